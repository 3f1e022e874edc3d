#include "keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  CLOSE_SESSION = 31,
  RESTORE_SESSION = 32,
  REQUEST_UTF8 = 128,
  ID_BYTES = 8,
  MAX_REST = 8192, /* --login is checked to be shorter */
  TURN_NS = 100000000
};

bool keys_init(struct keys *keys, struct measure *measure) {
  *keys = (struct keys){.measure = measure};
  keys->list = calloc(measure->net.count, sizeof *keys->list);
  return keys->list != NULL;
}

void keys_deinit(struct keys *keys) {
  free(keys->list);
}

/* type, id, what follows; at most MAX_REST bytes of it. */
static bool send_request(struct link *link, uint8_t type, const void *rest,
                         size_t len) {
  uint8_t message[1 + ID_BYTES + MAX_REST];
  uint64_t id = link->index;
  message[0] = type;
  memcpy(message + 1, &id, ID_BYTES);
  memcpy(message + 1 + ID_BYTES, rest, len);
  return net_send(link, message, 1 + ID_BYTES + len);
}

/* The "k" of a session's JSON. */
static bool take_key(char *key, size_t cap, const struct heard *heard) {
  static const char before[] = "\"k\":\"";
  const uint8_t *end = heard->payload + heard->len;
  const uint8_t *at =
      memmem(heard->payload, heard->len, before, sizeof before - 1);
  if (!at) return false;
  at += sizeof before - 1;
  const uint8_t *quote = memchr(at, '"', (size_t)(end - at));
  if (!quote || quote == at || (size_t)(quote - at) >= cap) return false;
  memcpy(key, at, (size_t)(quote - at));
  key[quote - at] = '\0';
  return true;
}

/* --- Logging in and out --------------------------------------------------- */

static void on_heard(struct link *link, const struct heard *heard,
                     void *user_data) {
  struct keys *keys = user_data;
  char *key = keys->list[link->index];
  if (heard->kind == HEARD_SESSION) {
    if (!take_key(key, sizeof keys->list[0], heard)) keys->measure->wrong++;
  } else if (heard->kind == HEARD_REFUSAL ||
             (heard->kind == HEARD_REPLY && !*key)) {
    keys->measure->refused++;
  } else if (heard->kind == HEARD_REPLY) {
    keys->answered++;
  } else if (heard->kind == HEARD_ODD) {
    keys->measure->unexpected++;
  } /* signals may come; nobody asked for them */
}

static void ask_to_log_in(struct link *link, const char *login) {
  uint8_t rest[MAX_REST];
  const char *equals = strchr(login, '=');
  size_t name_len = (size_t)(equals - login), len = strlen(equals + 1);
  rest[0] = (uint8_t)name_len;
  memcpy(rest + 1, login, name_len);
  memcpy(rest + 1 + name_len, equals + 1, len);
  send_request(link, REQUEST_UTF8, rest, 1 + name_len + len);
}

bool keys_log_in(struct keys *keys) {
  struct net *net = &keys->measure->net;
  const char *login = keys->measure->options->login;
  if (!login) return true;
  net->hooks = (struct net_hooks){.on_heard = on_heard};
  net->user_data = keys;
  if (!net_open(net)) return false;
  uint64_t end = net_clock_ns() + 10000000000ULL + net->count * 10000000ULL;
  for (uint32_t i = 0; i < net->count; i++)
    ask_to_log_in(&net->links[i], login);
  while (keys->answered < net->count && net_clock_ns() < end &&
         net->broken == 0 && keys->measure->refused == 0)
    net_poll(net, TURN_NS);
  if (keys->answered == net->count) return true;
  fprintf(stderr, "webwire-bench: --login: %u of %u connections logged in\n",
          keys->answered, net->count);
  return false;
}

/* So that the store is as it was: who closes the last connection of a session
 * by request destroys it. */
void keys_log_out(struct keys *keys) {
  struct net *net = &keys->measure->net;
  uint64_t end = net_clock_ns() + 2000000000ULL;
  uint32_t asked = 0;
  if (!keys->measure->options->login) return;
  keys->answered = 0;
  net->hooks = (struct net_hooks){.on_heard = on_heard};
  net->user_data = keys;
  for (uint32_t i = 0; i < net->count; i++)
    asked += send_request(&net->links[i], CLOSE_SESSION, "", 0);
  while (keys->answered < asked && net->open > 0 && net_clock_ns() < end)
    net_poll(net, TURN_NS);
}

/* --- Restoring ------------------------------------------------------------ */

bool keys_restore(struct keys *keys, struct link *link) {
  const char *key = keys->list[link->index];
  return *key && send_request(link, RESTORE_SESSION, key, strlen(key));
}

/* The reply to a restore is the session, which must be the one asked for. */
enum keys_heard keys_heard(struct keys *keys, const struct link *link,
                           const struct heard *heard) {
  struct measure *measure = keys->measure;
  const char *key = keys->list[link->index];
  bool answer = heard->kind == HEARD_REPLY || heard->kind == HEARD_REFUSAL;
  if (!answer || heard->id != link->index) {
    measure->unexpected += answer || heard->kind == HEARD_ODD;
    return KEYS_OTHER;
  }
  if (heard->kind == HEARD_REFUSAL) {
    measure->refused++;
    return KEYS_NOT_BACK;
  }
  if (memmem(heard->payload, heard->len, key, strlen(key))) return KEYS_BACK;
  measure->wrong++;
  return KEYS_NOT_BACK;
}
