#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "room.h"

/* --- Reading -------------------------------------------------------------- */

/* These move along the text; NULL: it does not go on like that. */
static const char *skip(const char *at, const char *text) {
  size_t len = strlen(text);
  return at && strncmp(at, text, len) == 0 ? at + len : NULL;
}

static const char *take_string(const char *at, char *out, size_t cap) {
  const char *end = at = skip(at, "\"");
  while (end && *end && *end != '"') end += *end == '\\' && end[1] ? 2 : 1;
  if (!end || *end != '"') return NULL;
  snprintf(out, cap, "%.*s", (int)(end - at), at);
  return end + 1;
}

/* In `shape` 0 is any digit. */
static bool is_shaped(const char *text, const char *shape) {
  if (strlen(text) != strlen(shape)) return false;
  for (; *text; text++, shape++) {
    bool digit = *text >= '0' && *text <= '9';
    if (*shape == '0' ? !digit : *text != *shape) return false;
  }
  return true;
}

static bool is_time(const char *text) {
  return is_shaped(text, "0000-00-00T00:00:00.000Z");
}

static bool is_id(const char *text) {
  size_t epoch = strspn(text, "0123456789");
  const char *offset = text + epoch + 1;
  return epoch > 0 && text[epoch] == '-' && *offset &&
         offset[strspn(offset, "0123456789")] == '\0';
}

static const char *take_entry(const char *at, struct room_entry *out,
                              bool logged) {
  char when[32] = "";
  *out = (struct room_entry){.user = ""};
  at = take_string(skip(at, "{\"user\":"), out->user, sizeof out->user);
  at = take_string(skip(at, ",\"msg\":"), out->msg, sizeof out->msg);
  const char *cid = skip(at, ",\"cid\":");
  if (cid) at = take_string(cid, out->cid, sizeof out->cid);
  if (logged) {
    at = take_string(skip(at, ",\"time\":"), when, sizeof when);
    at = take_string(skip(at, ",\"id\":"), out->id, sizeof out->id);
    if (!is_time(when) || !is_id(out->id)) return NULL;
  }
  return skip(at, "}");
}

static int parse_reply(const char *at, char node[64],
                       struct room_entry *entries) {
  int count = 0;
  at = skip(take_string(skip(at, "{\"node\":"), node, 64), ",\"history\":[");
  while (at && *at == '{' && count < ROOM_MAX_ENTRIES) {
    at = take_entry(at, &entries[count++], true);
    if (at && *at == ',' && at[1] == '{') at++;
  }
  at = skip(at, "]}");
  return at && *at == '\0' ? count : -1;
}

int room_joined(struct rawws *ws, char node[64],
                struct room_entry entries[ROOM_MAX_ENTRIES]) {
  struct rawws_message got = {.payload = NULL};
  enum rawws_result result = rawws_recv_message(ws, &got, WIRE_MS);
  if (result != RAWWS_OK || got.len < 9 || got.payload[0] != REPLY_UTF8 ||
      memcmp(got.payload + 1, WIRE_ID, 8) != 0) {
    fprintf(stderr, "room: no reply to join (%d): %.*s\n", (int)result,
            (int)got.len, (const char *)got.payload);
    return -1;
  }
  char *json = strndup((const char *)got.payload + 9, got.len - 9);
  int count = json ? parse_reply(json, node, entries) : -1;
  if (count < 0) fprintf(stderr, "room: odd reply to join: %s\n", json);
  free(json);
  return count;
}

int room_join(struct rawws *ws, const char *count, char node[64],
              struct room_entry entries[ROOM_MAX_ENTRIES]) {
  return wire_request(ws, "join", count) ? room_joined(ws, node, entries) : -1;
}

bool room_hear(struct rawws *ws, struct room_entry *out) {
  struct rawws_message got;
  char json[1024];
  *out = (struct room_entry){.user = ""};
  if (rawws_recv_message(ws, &got, WIRE_MS) != RAWWS_OK) return false;
  if (got.len < 2 || got.payload[0] != SIGNAL_UTF8 || got.payload[1] != 0)
    return false;
  snprintf(json, sizeof json, "%.*s", (int)(got.len - 2),
           (const char *)got.payload + 2);
  const char *end = take_entry(json, out, false);
  return end && *end == '\0';
}

bool room_say(struct rawws *ws, const char *msg, const char *cid, char id[48]) {
  char json[512], reply[256], when[32];
  snprintf(json, sizeof json, "{\"msg\":\"%s\",\"cid\":\"%s\"}", msg, cid);
  bool good = wire_ask(ws, "say", json, reply, sizeof reply);
  snprintf(id, 48, "%.47s", reply);
  if (!good) return false;
  const char *at = take_string(skip(reply, "{\"id\":"), id, 48);
  at = skip(take_string(skip(at, ",\"time\":"), when, sizeof when), "}");
  return at && *at == '\0' && is_id(id) && is_time(when);
}

struct rawws *room_open_page(uint16_t port) {
  struct rawws_message first;
  struct rawws *ws = rawws_dial(&(struct rawws_opts){.port = port});
  if (!ws) return NULL;
  if (rawws_upgrade(ws, &(struct rawws_request){.path = "/join"}) == 101 &&
      rawws_recv_message(ws, &first, WIRE_MS) == RAWWS_OK && first.len >= 11 &&
      first.payload[0] == ACCEPT_CONF)
    return ws;
  rawws_free(ws);
  return NULL;
}

/* --- Joining while others talk -------------------------------------------- */

enum { JOINERS = 20, THINGS = 1000, IN_FLIGHT = 8 };

struct speaker {
  struct rawws *ws;
  int run; /* tells what is said now from what was said earlier */
  atomic_int said;
  atomic_bool failed;
};

/* Bytes of its own: wire_named() belongs to the main thread. */
static bool send_thing(const struct speaker *speaker, int number) {
  uint8_t bytes[256] = "\x80" WIRE_ID "\x03say";
  int len = snprintf((char *)bytes + 13, sizeof bytes - 13,
                     "{\"msg\":\"%d/%d\",\"cid\":\"c%d/%d\"}", speaker->run,
                     number, speaker->run, number);
  return rawws_send(speaker->ws, bytes, 13 + (size_t)len);
}

static void *speak(void *arg) {
  struct speaker *speaker = arg;
  struct rawws_message got;
  int sent = 0, answered = 0;
  while (answered < THINGS) {
    while (sent < THINGS && sent - answered < IN_FLIGHT) {
      if (!send_thing(speaker, ++sent)) goto fail;
    }
    if (rawws_recv_message(speaker->ws, &got, WIRE_MS) != RAWWS_OK ||
        got.payload[0] != REPLY_UTF8)
      goto fail;
    atomic_store(&speaker->said, ++answered);
  }
  return NULL;
fail:
  fprintf(stderr, "room: the speaker failed after %d\n", answered);
  atomic_store(&speaker->failed, true);
  return NULL;
}

/* Its number in this run, 0 when it is from another one. */
static int number_of(const struct speaker *speaker,
                     const struct room_entry *entry) {
  int run = 0, number = 0;
  char cid[65];
  if (sscanf(entry->msg, "%d/%d", &run, &number) != 2 || run != speaker->run)
    return 0;
  snprintf(cid, sizeof cid, "c%s", entry->msg);
  return strcmp(cid, entry->cid) == 0 ? number : -1;
}

/* What one client has, from its history to the last thing said. A full history
 * begins anywhere; it may be some short, of messages that come as signals. */
static bool has_one_piece(struct rawws *ws, const struct speaker *speaker,
                          int *from_history) {
  struct room_entry entries[ROOM_MAX_ENTRIES], heard;
  char node[64];
  int count = room_joined(ws, node, entries), last = 0;
  if (count < 0) return false;
  *from_history = 0;
  for (int i = 0; i < count; i++) {
    int number = number_of(speaker, &entries[i]);
    bool first = last == 0 && count > ROOM_MAX_ENTRIES - JOINERS;
    if (number == 0 && last == 0) continue;
    if (number < 1 || (number != last + 1 && !first)) {
      fprintf(stderr, "room: history has %s (%s) after %d, as %d of %d\n",
              entries[i].msg, entries[i].cid, last, i, count);
      return false;
    }
    last = number;
    (*from_history)++;
  }
  while (last < THINGS) {
    if (!room_hear(ws, &heard) || number_of(speaker, &heard) != last + 1) {
      fprintf(stderr, "room: %s after %d, %d of history\n", heard.msg, last,
              *from_history);
      return false;
    }
    last++;
  }
  struct rawws_message got; /* and nothing behind it */
  bool good = wire_request(ws, "who", NULL) &&
              rawws_recv_message(ws, &got, WIRE_MS) == RAWWS_OK &&
              got.payload[0] == REPLY_UTF8;
  if (!good) fprintf(stderr, "room: more than all of it\n");
  return good;
}

/* Each joins when so much was said, and the talk goes on. */
static bool join_one_by_one(struct rawws **ws, struct speaker *speaker) {
  for (int i = 0; i < JOINERS; i++) {
    while (atomic_load(&speaker->said) < i * (THINGS / JOINERS) &&
           !atomic_load(&speaker->failed)) {
      sched_yield(); /* the speaker's own waits are bounded */
    }
    if (!wire_request(ws[i], "join", "256")) return false;
  }
  return true;
}

bool room_join_amid(const uint16_t *ports, int port_count) {
  static int runs;
  struct speaker speaker = {.ws = room_open_page(ports[0]), .run = ++runs};
  struct rawws *ws[JOINERS] = {NULL};
  pthread_t thread;
  bool good = speaker.ws != NULL;
  int amid = 0;
  for (int i = 0; i < JOINERS; i++) {
    ws[i] = room_open_page(ports[i % port_count]);
    good = good && ws[i];
  }
  good = good && pthread_create(&thread, NULL, speak, &speaker) == 0;
  if (good) {
    good = join_one_by_one(ws, &speaker);
    pthread_join(thread, NULL);
    good = good && !atomic_load(&speaker.failed);
  }
  for (int i = 0; i < JOINERS; i++) {
    int from_history = 0;
    good = good && has_one_piece(ws[i], &speaker, &from_history);
    amid += from_history % (THINGS / JOINERS) != 0;
    rawws_free(ws[i]);
  }
  rawws_free(speaker.ws);
  if (good) printf("(%d of %d amid) ", amid, JOINERS);
  return good;
}
