/* Connection 0 sends chat messages that carry a number; every connection, it
 * included, must get every number once and in order. A message has landed when
 * all have got it and it was answered; a window of them is in flight. */
#include "measure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 16

struct flight {
  uint64_t sent_ns;
  uint32_t missing; /* connections that have not got it */
  bool answered;
};

struct broadcast {
  struct measure *measure;
  struct flight *flights; /* of message n at n % window */
  uint64_t *expected;     /* the next number each connection must get */
  char *text;             /* DIGITS digits and padding */
  uint32_t window;
  uint32_t size;
  uint64_t next;   /* number of the next message */
  uint64_t lowest; /* of the lowest that has not landed */
  uint64_t open;   /* next - lowest */
  double every_ns; /* between two messages; 0: as the window allows */
  uint64_t begun_ns;
  bool stopping;
};

/* type, id, name length, "msg", text. The message was due at `due_ns`. */
static void say(struct broadcast *chat, uint64_t due_ns) {
  struct link *sender = &chat->measure->net.links[0];
  size_t len = 13 + (size_t)chat->size;
  uint8_t *message = net_reserve(sender, len);
  if (!message) return;
  char digits[DIGITS + 1];
  snprintf(digits, sizeof digits, "%016" PRIx64, chat->next);
  memcpy(chat->text, digits, DIGITS);
  message[0] = 128;
  memcpy(message + 1, &chat->next, 8);
  message[9] = 3;
  memcpy(message + 10, "msg", 3);
  memcpy(message + 13, chat->text, chat->size);
  net_commit(sender, message, len);
  chat->flights[chat->next % chat->window] =
      (struct flight){.sent_ns = due_ns, .missing = chat->measure->net.count};
  chat->next++;
  chat->open++;
  chat->measure->issued++;
}

/* Move on when the lowest messages have landed. */
static void landed(struct broadcast *chat) {
  while (chat->lowest < chat->next) {
    struct flight *flight = &chat->flights[chat->lowest % chat->window];
    if (flight->missing > 0 || !flight->answered) return;
    chat->lowest++;
    chat->open--;
    if (!chat->stopping && chat->every_ns == 0) {
      say(chat, chat->measure->net.now_ns);
    }
  }
}

static uint64_t say_due(struct measure *measure) {
  struct broadcast *chat = measure->net.user_data;
  uint64_t now = net_clock_ns();
  while (chat->open < chat->window) {
    uint64_t due =
        chat->begun_ns + (uint64_t)((double)chat->next * chat->every_ns);
    if (due > now) return due - now;
    say(chat, due);
  }
  return UINT64_MAX;
}

static bool in_flight(const struct broadcast *chat, uint64_t number) {
  return number >= chat->lowest && number < chat->next;
}

/* The number in {"user":NAME,"msg":"DIGITS..."}; false when there is none. */
static bool number_in(const struct broadcast *chat, const uint8_t *json,
                      size_t len, uint64_t *number) {
  static const char before[] = "\"msg\":\"";
  const uint8_t *at = memmem(json, len, before, sizeof before - 1);
  if (!at) return false;
  at += sizeof before - 1;
  if ((size_t)(json + len - at) != chat->size + 2U) return false;
  *number = 0;
  for (int i = 0; i < DIGITS; i++) {
    uint8_t digit = at[i];
    uint8_t value = digit <= '9' ? digit - '0' : (uint8_t)(digit - 'a' + 10);
    if (value > 15) return false;
    *number = *number << 4 | value;
  }
  return memcmp(at + DIGITS, chat->text + DIGITS, chat->size - DIGITS) == 0;
}

/* type, name length 0, JSON */
static void on_signal(struct broadcast *chat, struct link *link,
                      const uint8_t *message, size_t len) {
  uint64_t number;
  uint64_t *expected = &chat->expected[link->index];
  if (message[1] != 0 || !number_in(chat, message + 2, len - 2, &number)) {
    chat->measure->wrong++;
    return;
  }
  if (number != *expected) chat->measure->disordered++;
  if (!in_flight(chat, number) || number < *expected) return;
  struct flight *flight = &chat->flights[number % chat->window];
  *expected = number + 1;
  if (flight->missing > 0) flight->missing--;
  measure_done(chat->measure, flight->sent_ns);
  if (flight->missing == 0) landed(chat);
}

static void on_reply(struct broadcast *chat, const uint8_t *message,
                     size_t len) {
  uint64_t id;
  struct measure *measure = chat->measure;
  memcpy(&id, message + 1, 8);
  struct flight *flight = &chat->flights[id % chat->window];
  if (!in_flight(chat, id) || flight->answered) {
    measure->unexpected++;
    return;
  }
  flight->answered = true;
  if (message[0] < 191) {
    measure->refused++;
    flight->missing = 0; /* nobody will get it */
  } else if (len != 9) {
    measure->wrong++;
  } else if (chat->expected[0] <= id && measure->options->target_count == 1) {
    measure->disordered++; /* the sender's signal comes before its reply */
  }
  if (flight->missing == 0) landed(chat);
}

static void on_message(struct link *link, const uint8_t *message, size_t len,
                       void *user_data) {
  struct broadcast *chat = user_data;
  if (len >= 3 && message[0] == 64) {
    on_signal(chat, link, message, len);
  } else if (link->index == 0 && len >= 9) {
    on_reply(chat, message, len);
  } else {
    chat->measure->unexpected++;
  }
}

static bool broadcast_init(struct broadcast *chat, struct measure *measure) {
  const struct options *options = measure->options;
  *chat = (struct broadcast){
      .measure = measure, .window = options->window, .size = options->size};
  chat->flights = calloc(options->window, sizeof *chat->flights);
  chat->expected = calloc(measure->net.count, sizeof *chat->expected);
  chat->text = malloc(options->size);
  if (!chat->flights || !chat->expected || !chat->text) return false;
  memset(chat->text, 'x', options->size);
  return true;
}

static void reckon(struct broadcast *chat) {
  struct measure *measure = chat->measure;
  for (uint64_t n = chat->lowest; n < chat->next; n++) {
    const struct flight *flight = &chat->flights[n % chat->window];
    measure->undelivered += flight->missing;
    if (!flight->answered) measure->unanswered++;
  }
}

static void begin(struct broadcast *chat) {
  struct measure *measure = chat->measure;
  chat->begun_ns = net_clock_ns();
  if (measure->options->rate > 0) {
    chat->every_ns = 1e9 / measure->options->rate;
    measure->due = say_due;
    return;
  }
  for (uint32_t i = 0; i < chat->window; i++) say(chat, chat->begun_ns);
}

bool broadcast_run(struct measure *measure) {
  struct broadcast chat;
  struct net *net = &measure->net;
  bool good = broadcast_init(&chat, measure);
  net->hooks = (struct net_hooks){on_message};
  net->user_data = &chat;
  /* The signal is the longer one: its JSON names the sender. */
  good = good && net_open(net) && measure_fits(measure, chat.size + 64);
  if (good) {
    begin(&chat);
    measure_run(measure);
    chat.stopping = true;
    measure_drain(measure, &chat.open);
    reckon(&chat);
  }
  free(chat.flights);
  free(chat.expected);
  free(chat.text);
  return good;
}
