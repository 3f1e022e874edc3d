/* Senders say numbered messages; every connection that listens, the senders
 * included, must get every number of every sender once and in order, and with
 * several senders all connections in the same order. A message has landed when
 * all have got it and it was answered; a window of them is in flight.
 *
 * The number's upper 16 bits are the sender's. Which connection has got what is
 * a bit per message in flight; its meaning turns over whenever the place in the
 * window is used again, because then all bits are the same. */
#include "measure.h"

#include <stdlib.h>
#include <string.h>

enum { SENDER_SHIFT = 48, WORD_BITS = 64 };

struct flight {
  uint64_t due_ns;
  uint32_t missing; /* connections that have not got it */
  bool answered;
};

struct sender {
  struct flight *flights; /* of message n at n % window */
  uint64_t next;          /* number of the next message */
  uint64_t lowest;        /* of the lowest that has not landed */
  uint64_t *got;          /* a bit per link and place */
  uint64_t *highest;      /* 1 + the highest number each link got */
};

struct fanout {
  struct measure *measure;
  struct sender *senders;
  uint32_t sender_count;
  uint32_t turn;      /* the sender that is next */
  uint32_t listening; /* the first link that listens */
  uint32_t listeners;
  uint32_t window;
  uint32_t words; /* of bits per link */
  uint32_t size;
  uint64_t *order; /* per link a hash of what came in which order */
  uint8_t *payload;
};

/* --- Who has got what ----------------------------------------------------- */

static uint64_t *word_of(const struct fanout *fanout, struct sender *sender,
                         uint32_t link, uint64_t number) {
  uint32_t place = (uint32_t)(number % fanout->window);
  return &sender->got[(size_t)link * fanout->words + place / WORD_BITS];
}

static bool has_got(const struct fanout *fanout, struct sender *sender,
                    uint32_t link, uint64_t number) {
  uint64_t bit = *word_of(fanout, sender, link, number) >>
                 (number % fanout->window % WORD_BITS);
  return (bit & 1) == (number / fanout->window % 2 ? 0 : 1);
}

static void set_got(const struct fanout *fanout, struct sender *sender,
                    uint32_t link, uint64_t number) {
  *word_of(fanout, sender, link, number) ^=
      1ULL << (number % fanout->window % WORD_BITS);
}

/* --- Sending -------------------------------------------------------------- */

static bool has_room(const struct fanout *fanout, const struct sender *sender) {
  return sender->next - sender->lowest < fanout->window;
}

static void say(struct fanout *fanout, uint32_t index, uint64_t due_ns) {
  struct measure *measure = fanout->measure;
  struct net *net = &measure->net;
  struct sender *sender = &fanout->senders[index];
  uint64_t number = (uint64_t)index << SENDER_SHIFT | sender->next;
  payload_number(fanout->payload, number);
  size_t len =
      net->dialect->say(net->draft, number, fanout->payload, fanout->size);
  if (!net_send(&net->links[index], net->draft, len)) {
    measure->stuck = true; /* the sender's connection broke */
    return;
  }
  sender->flights[sender->next % fanout->window] =
      (struct flight){.due_ns = due_ns,
                      .missing = fanout->listeners,
                      .answered = !net->dialect->acknowledges};
  sender->next++;
  measure_issued(measure);
}

/* The next sender that has room; sender_count when none has. */
static uint32_t whose_turn(struct fanout *fanout) {
  for (uint32_t i = 0; i < fanout->sender_count; i++) {
    uint32_t index = (fanout->turn + i) % fanout->sender_count;
    if (has_room(fanout, &fanout->senders[index])) return index;
  }
  return fanout->sender_count;
}

static uint64_t pump(struct measure *measure) {
  struct fanout *fanout = measure->net.user_data;
  uint64_t due_ns, wait_ns = UINT64_MAX;
  while (!measure->stuck) {
    uint32_t index = whose_turn(fanout);
    if (index == fanout->sender_count ||
        !measure_may_issue(measure, &due_ns, &wait_ns))
      break;
    say(fanout, index, due_ns);
    fanout->turn = (index + 1) % fanout->sender_count;
  }
  return wait_ns;
}

/* Move on when the lowest messages have landed. */
static void landed(struct fanout *fanout, struct sender *sender) {
  while (sender->lowest < sender->next) {
    struct flight *flight = &sender->flights[sender->lowest % fanout->window];
    if (flight->missing > 0 || !flight->answered) break;
    sender->lowest++;
    fanout->measure->open--;
  }
  pump(fanout->measure);
}

/* --- Receiving ------------------------------------------------------------ */

static bool in_flight(const struct sender *sender, uint64_t number) {
  return number >= sender->lowest && number < sender->next;
}

static bool is_right(const struct fanout *fanout, const struct heard *heard,
                     uint64_t *number) {
  return heard->len == fanout->size && payload_read(heard->payload, number) &&
         *number >> SENDER_SHIFT < fanout->sender_count &&
         memcmp(heard->payload + NUMBER_DIGITS, fanout->payload + NUMBER_DIGITS,
                fanout->size - NUMBER_DIGITS) == 0;
}

/* A number that this link gets for the first time. */
static void delivered(struct fanout *fanout, struct sender *sender,
                      const struct link *link, uint64_t number) {
  struct measure *measure = fanout->measure;
  struct flight *flight = &sender->flights[number % fanout->window];
  uint64_t *highest = &sender->highest[link->index];
  set_got(fanout, sender, link->index, number);
  if (number < *highest)
    measure->disordered++;
  else
    *highest = number + 1;
  measure_done(measure, flight->due_ns);
  if (--flight->missing == 0) landed(fanout, sender);
}

static void on_signal(struct fanout *fanout, const struct link *link,
                      const struct heard *heard) {
  struct measure *measure = fanout->measure;
  uint64_t said = 0;
  if (!is_right(fanout, heard, &said)) {
    measure->wrong++;
    return;
  }
  struct sender *sender = &fanout->senders[said >> SENDER_SHIFT];
  uint64_t number = said & ((1ULL << SENDER_SHIFT) - 1);
  if (number >= sender->next || link->index < fanout->listening) {
    measure->unexpected++;
  } else if (!in_flight(sender, number) ||
             has_got(fanout, sender, link->index, number)) {
    measure->duplicated++;
  } else {
    uint64_t *order = &fanout->order[link->index];
    *order = (*order ^ (said + 1)) * 0x100000001b3ULL;
    delivered(fanout, sender, link, number);
  }
}

/* Nobody will get it, so nobody lacks it. */
static void give_up(struct fanout *fanout, struct sender *sender,
                    uint64_t number) {
  for (uint32_t i = fanout->listening; i < fanout->measure->net.count; i++) {
    if (!has_got(fanout, sender, i, number)) set_got(fanout, sender, i, number);
  }
  sender->flights[number % fanout->window].missing = 0;
}

static void on_reply(struct fanout *fanout, const struct link *link,
                     const struct heard *heard) {
  struct measure *measure = fanout->measure;
  uint64_t number = heard->id & ((1ULL << SENDER_SHIFT) - 1);
  struct sender *sender = link->index < fanout->sender_count &&
                                  heard->id >> SENDER_SHIFT == link->index
                              ? &fanout->senders[link->index]
                              : NULL;
  if (!sender || number >= sender->next) {
    measure->unexpected++;
    return;
  }
  struct flight *flight = &sender->flights[number % fanout->window];
  if (!in_flight(sender, number) || flight->answered) {
    measure->duplicated++;
    return;
  }
  flight->answered = true;
  if (heard->kind == HEARD_REFUSAL) {
    measure->refused++;
    give_up(fanout, sender, number);
  } else if (heard->len > 0) {
    measure->wrong++;
  } else if (!has_got(fanout, sender, link->index, number) &&
             fanout->listening <= link->index) {
    measure->disordered++; /* the sender's signal comes before its reply */
  }
  if (flight->missing == 0) landed(fanout, sender);
}

static void on_heard(struct link *link, const struct heard *heard,
                     void *user_data) {
  struct fanout *fanout = user_data;
  if (heard->kind == HEARD_SIGNAL) {
    on_signal(fanout, link, heard);
  } else if (heard->kind == HEARD_REPLY || heard->kind == HEARD_REFUSAL) {
    on_reply(fanout, link, heard);
  } else if (link->index >= fanout->listening) {
    fanout->measure->unexpected++;
  } /* else: what a place to publish says to publishers */
}

/* --- Life ----------------------------------------------------------------- */

static bool sender_init(const struct fanout *fanout, struct sender *sender) {
  size_t links = fanout->measure->net.count;
  sender->flights = calloc(fanout->window, sizeof *sender->flights);
  sender->got = calloc(links * fanout->words, sizeof *sender->got);
  sender->highest = calloc(links, sizeof *sender->highest);
  return sender->flights && sender->got && sender->highest;
}

static bool fanout_init(struct fanout *fanout, struct measure *measure) {
  const struct options *options = measure->options;
  const struct net *net = &measure->net;
  bool apart = options->publish.count > 0;
  *fanout = (struct fanout){
      .measure = measure,
      .sender_count = options->publishers,
      .listening = apart ? options->publishers : 0,
      .listeners = net->count - (apart ? options->publishers : 0),
      .window = options->window,
      .words = (options->window + WORD_BITS - 1) / WORD_BITS,
      .size = options->size};
  fanout->senders = calloc(options->publishers, sizeof *fanout->senders);
  fanout->order = calloc(net->count, sizeof *fanout->order);
  fanout->payload = malloc(options->size);
  if (!fanout->senders || !fanout->order || !fanout->payload) return false;
  payload_pad(fanout->payload, 0, options->size);
  for (uint32_t i = 0; i < options->publishers; i++)
    if (!sender_init(fanout, &fanout->senders[i])) return false;
  return true;
}

static void fanout_deinit(struct fanout *fanout) {
  for (uint32_t i = 0; fanout->senders && i < fanout->sender_count; i++) {
    free(fanout->senders[i].flights);
    free(fanout->senders[i].got);
    free(fanout->senders[i].highest);
  }
  free(fanout->senders);
  free(fanout->order);
  free(fanout->payload);
}

/* Only webwire promises one order of several senders; and who lacks a message
 * has another hash without having got anything in another order. */
static void reckon_order(struct fanout *fanout) {
  struct measure *measure = fanout->measure;
  if (fanout->sender_count < 2 || measure->undelivered > 0 ||
      measure->options->protocol != PROTOCOL_WEBWIRE)
    return;
  for (uint32_t i = fanout->listening + 1; i < measure->net.count; i++)
    if (fanout->order[i] != fanout->order[fanout->listening])
      measure->disordered++;
}

static void reckon(struct fanout *fanout) {
  struct measure *measure = fanout->measure;
  for (uint32_t i = 0; i < fanout->sender_count; i++) {
    const struct sender *sender = &fanout->senders[i];
    for (uint64_t n = sender->lowest; n < sender->next; n++) {
      const struct flight *flight = &sender->flights[n % fanout->window];
      measure->undelivered += flight->missing;
      if (!flight->answered) measure->unanswered++;
    }
  }
  reckon_order(fanout);
}

bool fanout_run(struct measure *measure) {
  struct fanout fanout;
  struct net *net = &measure->net;
  bool good = fanout_init(&fanout, measure);
  net->hooks = (struct net_hooks){.on_heard = on_heard};
  net->user_data = &fanout;
  /* The signal is the longer one: its JSON names the sender. */
  good = good && net_open(net) && measure_fits(measure, fanout.size + 64);
  if (good) {
    measure->pump = pump;
    measure_run(measure);
    reckon(&fanout);
  }
  fanout_deinit(&fanout);
  return good;
}
