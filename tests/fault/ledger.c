/* The books of a fault run.
 *
 * Order: the messages that two clients both received must have come in one
 * order. Comparing all pairs of clients would take the square of them, so each
 * is compared with the one that received most: whom two clients agree with,
 * they agree with each other as far as it saw. (The log's order is no measure:
 * what a failover forgot is submitted again and stands there in a new place,
 * after it was delivered in the old one.) */
#include "ledger.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES_MAX = 20000, VERDICTS_MAX = 4096, FINDINGS_MAX = 10 };

struct message {
  size_t client, number;
  uint64_t sent_us;
  enum ledger_answer answer;
  struct ledger_id id;
  bool orphan; /* its sender's node was killed before it was answered or soon
                  after */
};

struct client {
  bool open;
  uint64_t open_us; /* since when, without a break */
  size_t sent;
  uint8_t *got;      /* by message: 1 signal, 2 history */
  uint64_t *when_us; /* of the signal */
  size_t *order;     /* messages as they came */
  size_t count;
};

struct verdict {
  enum ledger_verdict kind;
  struct ledger_id from, to;
};

struct ledger {
  pthread_mutex_t lock;
  struct client *clients;
  size_t client_count;
  struct message *messages;
  size_t message_count;
  struct verdict *verdicts;
  size_t verdict_count;
  size_t duplicated;
  unsigned findings;
};

static bool client_init(struct client *client) {
  client->got = calloc(MESSAGES_MAX, sizeof *client->got);
  client->when_us = calloc(MESSAGES_MAX, sizeof *client->when_us);
  client->order = calloc(MESSAGES_MAX, sizeof *client->order);
  return client->got && client->when_us && client->order;
}

struct ledger *ledger_new(size_t clients) {
  struct ledger *ledger = calloc(1, sizeof *ledger);
  if (!ledger) return NULL;
  pthread_mutex_init(&ledger->lock, NULL);
  ledger->clients = calloc(clients, sizeof *ledger->clients);
  ledger->messages = calloc(MESSAGES_MAX, sizeof *ledger->messages);
  ledger->verdicts = calloc(VERDICTS_MAX, sizeof *ledger->verdicts);
  bool ok = ledger->clients && ledger->messages && ledger->verdicts;
  for (; ok && ledger->client_count < clients; ledger->client_count++) {
    ok = client_init(&ledger->clients[ledger->client_count]);
  }
  if (ok) return ledger;
  ledger_free(ledger);
  return NULL;
}

void ledger_free(struct ledger *ledger) {
  if (!ledger) return;
  for (size_t i = 0; ledger->clients && i < ledger->client_count; i++) {
    free(ledger->clients[i].got);
    free(ledger->clients[i].when_us);
    free(ledger->clients[i].order);
  }
  free(ledger->clients);
  free(ledger->messages);
  free(ledger->verdicts);
  pthread_mutex_destroy(&ledger->lock);
  free(ledger);
}

/* --- entries --- */

size_t ledger_send(struct ledger *ledger, size_t client, uint64_t now_us) {
  size_t message = SIZE_MAX;
  pthread_mutex_lock(&ledger->lock);
  if (ledger->message_count < MESSAGES_MAX) {
    message = ledger->message_count++;
    ledger->messages[message] =
        (struct message){.client = client,
                         .number = ledger->clients[client].sent++,
                         .sent_us = now_us};
  }
  pthread_mutex_unlock(&ledger->lock);
  return message;
}

void ledger_answer(struct ledger *ledger, size_t message,
                   enum ledger_answer answer) {
  pthread_mutex_lock(&ledger->lock);
  ledger->messages[message].answer = answer;
  pthread_mutex_unlock(&ledger->lock);
}

void ledger_open(struct ledger *ledger, size_t client, uint64_t now_us) {
  pthread_mutex_lock(&ledger->lock);
  ledger->clients[client].open = true;
  ledger->clients[client].open_us = now_us;
  pthread_mutex_unlock(&ledger->lock);
}

void ledger_close(struct ledger *ledger, size_t client) {
  pthread_mutex_lock(&ledger->lock);
  ledger->clients[client].open = false;
  pthread_mutex_unlock(&ledger->lock);
}

void ledger_receive(struct ledger *ledger, size_t client, size_t message,
                    uint64_t now_us) {
  pthread_mutex_lock(&ledger->lock);
  struct client *to = &ledger->clients[client];
  if (to->got[message] & 1) {
    ledger->duplicated++;
  } else {
    to->got[message] |= 1;
    to->when_us[message] = now_us;
    to->order[to->count++] = message;
  }
  pthread_mutex_unlock(&ledger->lock);
}

void ledger_read(struct ledger *ledger, size_t client, size_t message) {
  pthread_mutex_lock(&ledger->lock);
  ledger->clients[client].got[message] |= 2;
  pthread_mutex_unlock(&ledger->lock);
}

void ledger_logged(struct ledger *ledger, size_t message, struct ledger_id id) {
  pthread_mutex_lock(&ledger->lock);
  ledger->messages[message].id = id;
  pthread_mutex_unlock(&ledger->lock);
}

void ledger_verdict(struct ledger *ledger, enum ledger_verdict kind,
                    struct ledger_id from, struct ledger_id to) {
  pthread_mutex_lock(&ledger->lock);
  if (ledger->verdict_count < VERDICTS_MAX) {
    ledger->verdicts[ledger->verdict_count++] =
        (struct verdict){kind, from, to};
  }
  pthread_mutex_unlock(&ledger->lock);
}

void ledger_killed(struct ledger *ledger, const bool *clients) {
  pthread_mutex_lock(&ledger->lock);
  for (size_t i = 0; i < ledger->message_count; i++) {
    struct message *message = &ledger->messages[i];
    if (clients[message->client]) message->orphan = true;
  }
  pthread_mutex_unlock(&ledger->lock);
}

/* --- judgement, under the lock --- */

static int compare(struct ledger_id a, struct ledger_id b) {
  if (a.epoch != b.epoch) return a.epoch < b.epoch ? -1 : 1;
  if (a.offset != b.offset) return a.offset < b.offset ? -1 : 1;
  return 0;
}

static bool known(struct ledger_id id) {
  return id.epoch != 0;
}

static bool names(const struct verdict *verdict,
                  const struct message *message) {
  if (verdict->kind == LEDGER_UNCERTAIN) return message->orphan;
  if (verdict->kind == LEDGER_DIVERGED || !known(message->id)) return false;
  return compare(message->id, verdict->from) >= 0 &&
         compare(message->id, verdict->to) <= 0;
}

static bool excused(const struct ledger *ledger,
                    const struct message *message) {
  for (size_t i = 0; i < ledger->verdict_count; i++) {
    if (names(&ledger->verdicts[i], message)) return true;
  }
  return false;
}

/* It must have reached the client, and has not. */
static bool missing(const struct client *client, size_t index,
                    const struct message *message, bool history) {
  if (message->answer != LEDGER_ACKED || !client->open) return false;
  if (client->got[index] & 1) return false;
  if (client->open_us < message->sent_us) return true;
  return history && !client->got[index];
}

bool ledger_settled(struct ledger *ledger, bool history) {
  bool settled = true;
  pthread_mutex_lock(&ledger->lock);
  for (size_t i = 0; settled && i < ledger->message_count; i++) {
    const struct message *message = &ledger->messages[i];
    if (message->answer == LEDGER_OPEN) settled = false;
    for (size_t c = 0; settled && c < ledger->client_count; c++) {
      settled = !missing(&ledger->clients[c], i, message, history) ||
                excused(ledger, message);
    }
  }
  pthread_mutex_unlock(&ledger->lock);
  return settled;
}

static void write_text(const struct ledger *ledger, size_t message,
                       char out[64]) {
  const struct message *it = &ledger->messages[message];
  snprintf(out, 64, "%zu-%zu-%zu", it->client, it->number, message);
}

static void finding(struct ledger *ledger, const char *what, size_t client,
                    size_t message) {
  if (ledger->findings++ >= FINDINGS_MAX) return;
  char text[64];
  write_text(ledger, message, text);
  const struct ledger_id id = ledger->messages[message].id;
  fprintf(stderr, "  %s: message %s (log %llu-%llu) at client %zu\n", what,
          text, (unsigned long long)id.epoch, (unsigned long long)id.offset,
          client);
}

static void sum_client(struct ledger *ledger, size_t index, bool history,
                       uint64_t heal_us, struct ledger_sum *out) {
  const struct client *client = &ledger->clients[index];
  for (size_t i = 0; i < ledger->message_count; i++) {
    const struct message *message = &ledger->messages[i];
    if (missing(client, i, message, history)) {
      if (excused(ledger, message)) {
        out->excused++;
      } else {
        out->lost++;
        finding(ledger, "lost", index, i);
      }
    }
    if (!(client->got[i] & 1)) continue;
    if (message->answer == LEDGER_FAILED) {
      out->undead++;
      finding(ledger, "failed, yet received", index, i);
    }
    uint64_t way = client->when_us[i] - message->sent_us;
    if (way > out->worst_us) out->worst_us = way;
    if (message->sent_us < heal_us && client->when_us[i] > out->last_us) {
      out->last_us = client->when_us[i];
    }
  }
  out->delivered += client->count;
}

/* Where each message came at the client that received most, from 1 on; 0: it
 * did not. NULL without memory. */
static size_t *reference_order(const struct ledger *ledger) {
  const struct client *most = &ledger->clients[0];
  for (size_t i = 1; i < ledger->client_count; i++) {
    if (ledger->clients[i].count > most->count) most = &ledger->clients[i];
  }
  size_t *place = calloc(MESSAGES_MAX, sizeof *place);
  for (size_t i = 0; place && i < most->count; i++) {
    place[most->order[i]] = i + 1;
  }
  return place;
}

/* The common order, and each sender's own (`last`: by sender, scratch). */
static void sum_order(struct ledger *ledger, size_t index, const size_t *place,
                      size_t *last, struct ledger_sum *out) {
  const struct client *client = &ledger->clients[index];
  size_t top = 0;
  memset(last, 0, ledger->client_count * sizeof *last);
  for (size_t i = 0; i < client->count; i++) {
    size_t at = client->order[i];
    const struct message *message = &ledger->messages[at];
    bool wrong = message->number + 1 <= last[message->client];
    last[message->client] = message->number + 1;
    if (place[at]) {
      wrong = wrong || place[at] < top;
      top = place[at];
    }
    if (!wrong) continue;
    out->reordered++;
    finding(ledger, "out of order", index, at);
  }
}

void ledger_sum(struct ledger *ledger, bool history, uint64_t heal_us,
                struct ledger_sum *out) {
  *out = (struct ledger_sum){0};
  size_t *last = calloc(ledger->client_count, sizeof *last);
  pthread_mutex_lock(&ledger->lock);
  size_t *place = reference_order(ledger);
  out->sent = ledger->message_count;
  out->duplicated = ledger->duplicated;
  for (size_t i = 0; i < ledger->message_count; i++) {
    out->answers[ledger->messages[i].answer]++;
  }
  for (size_t i = 0; i < ledger->verdict_count; i++) {
    out->verdicts[ledger->verdicts[i].kind]++;
  }
  for (size_t i = 0; i < ledger->client_count; i++) {
    sum_client(ledger, i, history, heal_us, out);
    if (last && place) sum_order(ledger, i, place, last, out);
  }
  if (!last || !place) out->reordered = SIZE_MAX;
  pthread_mutex_unlock(&ledger->lock);
  free(place);
  free(last);
}

void ledger_text(struct ledger *ledger, size_t message, char out[64]) {
  pthread_mutex_lock(&ledger->lock);
  write_text(ledger, message, out);
  pthread_mutex_unlock(&ledger->lock);
}

size_t ledger_parse(struct ledger *ledger, const char *text) {
  size_t client, number, message;
  int end = 0;
  if (sscanf(text, "%zu-%zu-%zu%n", &client, &number, &message, &end) != 3 ||
      text[end] != '\0') {
    return SIZE_MAX;
  }
  pthread_mutex_lock(&ledger->lock);
  bool found = message < ledger->message_count &&
               ledger->messages[message].client == client &&
               ledger->messages[message].number == number;
  pthread_mutex_unlock(&ledger->lock);
  return found ? message : SIZE_MAX;
}
