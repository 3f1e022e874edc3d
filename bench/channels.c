/* Many channels, each with one sender, which is one of its subscribers: every
 * subscriber must get every number of its channel once and in order. A message
 * has landed when all have got it and it was answered; each sender has a window
 * of them in flight.
 *
 * Connections come in groups of --subscribers; a group has one channel, and its
 * first connection is the sender. By default a group has one per --url, so that
 * every channel is heard on every node. */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The id of the requests that subscribe. */
#define SUBSCRIBED UINT64_MAX

struct flight {
  uint64_t due_ns;
  uint32_t missing; /* connections that have not got it */
  bool answered;
};

struct channel {
  struct flight *flights; /* of message n at n % window */
  uint64_t next;          /* number of the next message */
  uint64_t lowest;        /* that has not landed */
};

struct channels {
  struct measure *measure;
  struct channel *list;
  uint32_t count;
  uint32_t group; /* connections of a channel */
  uint32_t turn;  /* the channel that is next */
  uint32_t window;
  uint32_t size;
  uint32_t subscribed; /* connections */
  uint64_t *expected;  /* by every connection: the number that comes next */
  uint8_t *payload;
};

/* --- Sending -------------------------------------------------------------- */

static void say(struct channels *channels, uint32_t index, uint64_t due_ns) {
  struct measure *measure = channels->measure;
  struct net *net = &measure->net;
  struct channel *channel = &channels->list[index];
  payload_number(channels->payload, channel->next);
  size_t len = channels_request(net->draft, channel->next, "pub", index,
                                channels->payload, channels->size);
  if (!net_send(&net->links[index * channels->group], net->draft, len)) {
    measure->stuck = true; /* the sender's connection broke */
    return;
  }
  channel->flights[channel->next % channels->window] =
      (struct flight){.due_ns = due_ns, .missing = channels->group};
  channel->next++;
  measure_issued(measure);
}

/* The next channel that has room; `count` when none has. */
static uint32_t whose_turn(const struct channels *channels) {
  for (uint32_t i = 0; i < channels->count; i++) {
    uint32_t index = (channels->turn + i) % channels->count;
    const struct channel *channel = &channels->list[index];
    if (channel->next - channel->lowest < channels->window) return index;
  }
  return channels->count;
}

static uint64_t pump(struct measure *measure) {
  struct channels *channels = measure->net.user_data;
  uint64_t due_ns, wait_ns = UINT64_MAX;
  while (!measure->stuck) {
    uint32_t index = whose_turn(channels);
    if (index == channels->count ||
        !measure_may_issue(measure, &due_ns, &wait_ns))
      break;
    say(channels, index, due_ns);
    channels->turn = (index + 1) % channels->count;
  }
  return wait_ns;
}

/* Move on when the lowest messages have landed. */
static void landed(struct channels *channels, struct channel *channel) {
  uint64_t before = channel->lowest;
  while (channel->lowest < channel->next) {
    const struct flight *flight =
        &channel->flights[channel->lowest % channels->window];
    if (flight->missing > 0 || !flight->answered) break;
    channel->lowest++;
    channels->measure->open--;
  }
  if (channel->lowest != before) pump(channels->measure);
}

/* --- Receiving ------------------------------------------------------------ */

static bool is_right(const struct channels *channels, const struct heard *heard,
                     uint64_t *number) {
  return heard->len == channels->size && payload_read(heard->payload, number) &&
         memcmp(heard->payload + NUMBER_DIGITS,
                channels->payload + NUMBER_DIGITS,
                channels->size - NUMBER_DIGITS) == 0;
}

static void on_signal(struct channels *channels, const struct link *link,
                      const struct heard *heard) {
  struct measure *measure = channels->measure;
  struct channel *channel = &channels->list[link->index / channels->group];
  uint64_t number, *expected = &channels->expected[link->index];
  if (heard->id != link->index / channels->group) {
    measure->unexpected++; /* another channel's */
  } else if (!is_right(channels, heard, &number)) {
    measure->wrong++;
  } else if (number >= channel->next) {
    measure->unexpected++;
  } else if (number < *expected) {
    measure->duplicated++;
  } else {
    /* What was passed over is reckoned as not delivered. */
    struct flight *flight = &channel->flights[number % channels->window];
    measure->disordered += number > *expected;
    *expected = number + 1;
    measure_done(measure, flight->due_ns);
    flight->missing--;
    landed(channels, channel);
  }
}

static void on_reply(struct channels *channels, const struct link *link,
                     const struct heard *heard) {
  struct measure *measure = channels->measure;
  struct channel *channel = &channels->list[link->index / channels->group];
  if (heard->kind == HEARD_REFUSAL) measure->refused++;
  if (heard->id == SUBSCRIBED) {
    channels->subscribed++;
    return;
  }
  if (heard->id < channel->lowest || heard->id >= channel->next ||
      link->index % channels->group != 0) {
    measure->unexpected++;
    return;
  }
  struct flight *flight = &channel->flights[heard->id % channels->window];
  measure->duplicated += flight->answered;
  flight->answered = true;
  if (heard->kind == HEARD_REFUSAL) flight->missing = 0;
  landed(channels, channel);
}

static void on_heard(struct link *link, const struct heard *heard,
                     void *user_data) {
  struct channels *channels = user_data;
  if (heard->kind == HEARD_SIGNAL)
    on_signal(channels, link, heard);
  else if (heard->kind == HEARD_REPLY || heard->kind == HEARD_REFUSAL)
    on_reply(channels, link, heard);
  else
    channels->measure->unexpected++;
}

/* --- Life ----------------------------------------------------------------- */

static bool subscribe_all(struct channels *channels) {
  struct net *net = &channels->measure->net;
  uint64_t begun_ns = net_clock_ns();
  for (uint32_t i = 0; i < net->count; i++) {
    size_t len = channels_request(net->draft, SUBSCRIBED, "sub",
                                  i / channels->group, NULL, 0);
    if (!net_send(&net->links[i], net->draft, len)) return false;
  }
  while (channels->subscribed < net->count && net->broken == 0) {
    net_poll(net, 100000000);
    if (net->now_ns - begun_ns > 30000000000ULL) break;
  }
  if (channels->subscribed == net->count && channels->measure->refused == 0)
    return true;
  fprintf(stderr, "webwire-bench: only %u of %u subscriptions stand\n",
          channels->subscribed, net->count);
  return false;
}

static bool channels_init(struct channels *channels, struct measure *measure) {
  const struct options *options = measure->options;
  *channels =
      (struct channels){.measure = measure,
                        .group = options->subscribers,
                        .count = options->connections / options->subscribers,
                        .window = options->window,
                        .size = options->size};
  channels->list = calloc(channels->count, sizeof *channels->list);
  channels->expected = calloc(measure->net.count, sizeof *channels->expected);
  channels->payload = malloc(options->size);
  if (!channels->list || !channels->expected || !channels->payload)
    return false;
  payload_pad(channels->payload, 0, options->size);
  for (uint32_t i = 0; i < channels->count; i++) {
    struct channel *channel = &channels->list[i];
    channel->flights = calloc(options->window, sizeof *channel->flights);
    if (!channel->flights) return false;
  }
  return true;
}

static void channels_deinit(struct channels *channels) {
  for (uint32_t i = 0; channels->list && i < channels->count; i++)
    free(channels->list[i].flights);
  free(channels->list);
  free(channels->expected);
  free(channels->payload);
}

static void reckon(struct channels *channels) {
  struct measure *measure = channels->measure;
  for (uint32_t i = 0; i < channels->count; i++) {
    const struct channel *channel = &channels->list[i];
    for (uint64_t n = channel->lowest; n < channel->next; n++) {
      const struct flight *flight = &channel->flights[n % channels->window];
      measure->undelivered += flight->missing;
      if (!flight->answered) measure->unanswered++;
    }
  }
}

bool channels_run(struct measure *measure) {
  struct channels channels;
  struct net *net = &measure->net;
  bool good = channels_init(&channels, measure);
  net->hooks = (struct net_hooks){.on_heard = on_heard};
  net->user_data = &channels;
  good = good && net_open(net) &&
         measure_fits(measure, channels.size + net->dialect->overhead) &&
         subscribe_all(&channels);
  if (good) {
    measure->pump = pump;
    measure_run(measure);
    reckon(&channels);
  }
  channels_deinit(&channels);
  return good;
}
