#include "chatters.h"

#include <webwire/wwr_client.h>
#include <webwire/wwr_websocket.h>

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { JOIN_MS = 20000, REQUEST_MS = 45000, TURN_US = 5000 };

struct chatter {
  struct chatters *all;
  size_t index;
  struct wwr_client *client;
  atomic_bool open;   /* has read the history of this connection */
  atomic_bool broken; /* it was lost at least once */
  uint64_t lost_us;   /* when, the last time; the client's thread */
};

struct speech {
  struct chatter *from;
  size_t message;
};

struct chatters {
  struct chatters_opts opts;
  struct chatter one[CHATTERS_MAX];
  pthread_t mouth;
  bool has_mouth;
  atomic_bool speaking;
  atomic_size_t breaks;
  atomic_uint_fast64_t away_us; /* the longest */
  char text[64 + CHATTERS_PAD_MAX];
};

uint64_t chatters_now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void nap(uint64_t us) {
  struct timespec time = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
  nanosleep(&time, NULL);
}

/* --- hearing --- */

static json_t *parse(const struct wwr_payload *payload) {
  return json_loadb((const char *)payload->data.data, payload->data.len, 0,
                    NULL);
}

static size_t message_of(const struct chatter *chatter, const json_t *said) {
  const char *text = json_string_value(json_object_get(said, "msg"));
  char word[64];
  if (!text || sscanf(text, "%63s", word) != 1) return SIZE_MAX;
  return ledger_parse(chatter->all->opts.ledger, word);
}

static void on_signal(const struct wwr_message *message, void *user_data) {
  struct chatter *chatter = user_data;
  json_t *said = parse(&message->payload);
  size_t index = message_of(chatter, said);
  if (index != SIZE_MAX) {
    ledger_receive(chatter->all->opts.ledger, chatter->index, index,
                   chatters_now_us());
  }
  json_decref(said);
}

static void on_history(const struct wwr_reply *reply, void *user_data);

/* Waits for the connection by itself. */
static void ask_history(struct chatter *chatter) {
  const struct wwr_payload count = wwr_payload_text("256");
  wwr_err err =
      wwr_client_request(chatter->client, wwr_view_str("history"), &count,
                         REQUEST_MS, on_history, chatter, NULL);
  if (err == WWR_OK || err == WWR_E_CLOSED) return; /* it is being freed */
  fprintf(stderr, "client %zu can't ask for the history: %s\n", chatter->index,
          wwr_err_text(err));
}

static void note_away(struct chatter *chatter) {
  atomic_uint_fast64_t *longest = &chatter->all->away_us;
  uint64_t before = atomic_load(longest);
  if (!chatter->lost_us) return;
  uint64_t away = chatters_now_us() - chatter->lost_us;
  chatter->lost_us = 0;
  while (away > before &&
         !atomic_compare_exchange_weak(longest, &before, away)) {
    continue;
  }
}

static void on_history(const struct wwr_reply *reply, void *user_data) {
  struct chatter *chatter = user_data;
  struct ledger *ledger = chatter->all->opts.ledger;
  size_t i;
  json_t *said;
  if (reply->err == WWR_E_REQUEST || reply->err == WWR_E_SHUTDOWN) {
    ask_history(chatter); /* the cluster is away, or the node leaves */
    return;
  }
  if (reply->err != WWR_OK) return; /* broken: on_disconnected asks again */
  json_t *history = parse(&reply->payload);
  json_array_foreach(history, i, said) {
    size_t index = message_of(chatter, said);
    if (index != SIZE_MAX) ledger_read(ledger, chatter->index, index);
  }
  json_decref(history);
  note_away(chatter);
  atomic_store(&chatter->open, true);
  ledger_open(ledger, chatter->index, chatters_now_us());
}

static void on_disconnected(wwr_err reason, void *user_data) {
  struct chatter *chatter = user_data;
  (void)reason;
  atomic_fetch_add(&chatter->all->breaks, 1);
  if (!chatter->lost_us) chatter->lost_us = chatters_now_us();
  atomic_store(&chatter->open, false);
  atomic_store(&chatter->broken, true);
  ledger_close(chatter->all->opts.ledger, chatter->index);
  ask_history(chatter);
}

/* --- speaking --- */

static void on_answer(const struct wwr_reply *reply, void *user_data) {
  struct speech *speech = user_data;
  enum ledger_answer answer = LEDGER_UNKNOWN;
  if (reply->err == WWR_OK) answer = LEDGER_ACKED;
  if (reply->err == WWR_E_SHUTDOWN) answer = LEDGER_FAILED;
  if (reply->err == WWR_E_REQUEST &&
      strcmp(reply->error_code, "UNAVAILABLE") == 0) {
    answer = LEDGER_FAILED;
  }
  ledger_answer(speech->from->all->opts.ledger, speech->message, answer);
  free(speech);
}

static void say(struct chatter *chatter) {
  struct ledger *ledger = chatter->all->opts.ledger;
  struct speech *speech = malloc(sizeof *speech);
  size_t message = speech
                       ? ledger_send(ledger, chatter->index, chatters_now_us())
                       : SIZE_MAX;
  if (message == SIZE_MAX) {
    free(speech);
    return;
  }
  *speech = (struct speech){chatter, message};
  char *text = chatter->all->text; /* of one speaker at a time */
  ledger_text(ledger, message, text);
  size_t len = strlen(text);
  memset(text + len, ' ', chatter->all->opts.pad);
  text[len + chatter->all->opts.pad] = '\0';
  const struct wwr_payload payload = wwr_payload_text(text);
  if (wwr_client_request(chatter->client, wwr_view_str("msg"), &payload,
                         REQUEST_MS, on_answer, speech, NULL) != WWR_OK) {
    ledger_answer(ledger, message, LEDGER_FAILED);
    free(speech);
  }
}

static void *speak(void *arg) {
  struct chatters *chatters = arg;
  uint64_t start = chatters_now_us(), said = 0;
  size_t next = 0;
  while (atomic_load(&chatters->speaking)) {
    uint64_t due = (chatters_now_us() - start) * chatters->opts.rate / 1000000;
    for (; said < due; said++) {
      struct chatter *chatter = &chatters->one[next];
      next = (next + 1) % chatters->opts.count;
      if (atomic_load(&chatter->open)) say(chatter);
    }
    nap(TURN_US);
  }
  return NULL;
}

void chatters_speak(struct chatters *chatters) {
  atomic_store(&chatters->speaking, true);
  chatters->has_mouth =
      pthread_create(&chatters->mouth, NULL, speak, chatters) == 0;
}

void chatters_hush(struct chatters *chatters) {
  atomic_store(&chatters->speaking, false);
  if (chatters->has_mouth) pthread_join(chatters->mouth, NULL);
  chatters->has_mouth = false;
}

/* --- coming and going --- */

static bool join(struct chatter *chatter, const char *address) {
  const struct wwr_websocket_dialer_opts dialer = {.url = address};
  struct wwr_client_opts opts;
  const char *why = NULL;
  wwr_client_opts_default(&opts);
  opts.hooks.on_signal = on_signal;
  opts.hooks.on_disconnected = on_disconnected;
  opts.user_data = chatter;
  opts.subprotocol = "chatroom-example-protocol";
  opts.reconnect_interval_ms = 100;
  opts.reconnect_max_ms = 500;
  opts.dial_timeout_ms = 8000;
  if (wwr_websocket_dialer_new(&opts.dialer, &dialer) != WWR_OK ||
      wwr_client_new(&chatter->client, &opts, &why) != WWR_OK) {
    fprintf(stderr, "client %zu: %s\n", chatter->index, why ? why : "?");
    return false;
  }
  ask_history(chatter);
  return true;
}

size_t chatters_open(struct chatters *chatters) {
  size_t open = 0;
  for (size_t i = 0; i < chatters->opts.count; i++) {
    if (atomic_load(&chatters->one[i].open)) open++;
  }
  return open;
}

size_t chatters_breaks(struct chatters *chatters) {
  return atomic_load(&chatters->breaks);
}

uint64_t chatters_away_us(struct chatters *chatters) {
  return atomic_load(&chatters->away_us);
}

static bool wait_open(struct chatters *chatters, int timeout_ms) {
  uint64_t end = chatters_now_us() + (uint64_t)timeout_ms * 1000;
  while (chatters_open(chatters) < chatters->opts.count) {
    if (chatters_now_us() > end) return false;
    nap(TURN_US);
  }
  return true;
}

struct chatters *chatters_join(const struct chatters_opts *opts) {
  struct chatters *chatters = calloc(1, sizeof *chatters);
  if (!chatters) return NULL;
  chatters->opts = *opts;
  bool ok = opts->count <= CHATTERS_MAX;
  for (size_t i = 0; ok && i < opts->count; i++) {
    struct chatter *chatter = &chatters->one[i];
    chatter->all = chatters;
    chatter->index = i;
    ok = join(chatter, opts->addresses[i % opts->address_count]);
  }
  if (ok && wait_open(chatters, JOIN_MS)) return chatters;
  fprintf(stderr, "%zu of %zu clients are in\n", chatters_open(chatters),
          opts->count);
  chatters_free(chatters);
  return NULL;
}

bool chatters_settle(struct chatters *chatters, bool history, int timeout_ms) {
  uint64_t end = chatters_now_us() + (uint64_t)timeout_ms * 1000;
  while (!wait_open(chatters, 0) ||
         !ledger_settled(chatters->opts.ledger, history)) {
    if (chatters_now_us() > end) return false;
    nap(TURN_US * 4);
  }
  return true;
}

void chatters_broken(struct chatters *chatters, bool *broken) {
  for (size_t i = 0; i < chatters->opts.count; i++) {
    broken[i] = atomic_load(&chatters->one[i].broken);
  }
}

/* --- visitors --- */

struct visitor {
  struct wwr_client *client;
  atomic_bool heard;
};

static void on_heard(const struct wwr_message *message, void *user_data) {
  struct visitor *visitor = user_data;
  (void)message;
  atomic_store(&visitor->heard, true);
}

static bool visit_begin(struct chatters *chatters, struct visitor *visitor,
                        size_t number) {
  const struct wwr_websocket_dialer_opts dialer = {
      .url = chatters->opts.addresses[number % chatters->opts.address_count]};
  struct wwr_client_opts opts;
  wwr_client_opts_default(&opts);
  opts.hooks.on_signal = on_heard;
  opts.user_data = visitor;
  opts.subprotocol = "chatroom-example-protocol";
  return wwr_websocket_dialer_new(&opts.dialer, &dialer) == WWR_OK &&
         wwr_client_new(&visitor->client, &opts, NULL) == WWR_OK &&
         wwr_client_connect(visitor->client, JOIN_MS) == WWR_OK;
}

static bool visit_end(struct visitor *visitor) {
  uint64_t end = chatters_now_us() + (uint64_t)JOIN_MS * 1000;
  while (!atomic_load(&visitor->heard) && chatters_now_us() < end) {
    nap(TURN_US);
  }
  wwr_client_free(visitor->client);
  return atomic_load(&visitor->heard);
}

bool chatters_flap(struct chatters *chatters, size_t visits, size_t at_once) {
  struct visitor *visitors = calloc(at_once, sizeof *visitors);
  bool good = visitors != NULL;
  for (size_t i = 0; good && i < visits; i += at_once) {
    memset(visitors, 0, at_once * sizeof *visitors);
    for (size_t k = 0; k < at_once; k++) {
      good = visit_begin(chatters, &visitors[k], i + k) && good;
    }
    for (size_t k = 0; k < at_once; k++) {
      good = visitors[k].client && visit_end(&visitors[k]) && good;
    }
  }
  if (!good) fprintf(stderr, "a visitor could not join or heard nobody\n");
  free(visitors);
  return good;
}

void chatters_free(struct chatters *chatters) {
  if (!chatters) return;
  chatters_hush(chatters);
  for (size_t i = 0; i < chatters->opts.count; i++) {
    wwr_client_free(chatters->one[i].client);
  }
  free(chatters);
}
