/* Connections come and go. A visit begins when a link is started, and is done
 * when it is open and, after --login, its session is back; then it stays until
 * its turn comes again, when it is reset. Each link has a session of its own,
 * made before the measured stretch.
 *
 * Links are only restarted from pump(), never while events are handled: one of
 * those could be of the socket before. */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  CLOSE_SESSION = 31,
  RESTORE_SESSION = 32,
  REQUEST_UTF8 = 128,
  ID_BYTES = 8,
  MAX_KEY = 512,
  MAX_REST = 8192 /* --login is checked to be shorter */
};

struct visit {
  uint64_t due_ns;
  bool under_way;
  char key[MAX_KEY + 1]; /* of its session, "" for none */
};

struct visits {
  struct measure *measure;
  struct visit *list;
  uint32_t *free; /* ring of links that are at rest, longest first */
  uint32_t free_at;
  uint32_t free_count;
  uint32_t logged_in;
  bool logging_in;
};

static void rest(struct visits *visits, uint32_t index) {
  uint32_t count = visits->measure->net.count;
  visits->free[(visits->free_at + visits->free_count++) % count] = index;
}

/* type, id, what follows; at most MAX_REST bytes of it. */
static bool send_request(struct link *link, uint8_t type, const void *rest_of,
                         size_t len) {
  uint8_t message[1 + ID_BYTES + MAX_REST];
  uint64_t id = link->index;
  message[0] = type;
  memcpy(message + 1, &id, ID_BYTES);
  memcpy(message + 1 + ID_BYTES, rest_of, len);
  return net_send(link, message, 1 + ID_BYTES + len);
}

/* --- Visits --------------------------------------------------------------- */

static void finish(struct visits *visits, struct link *link, bool well) {
  struct visit *visit = &visits->list[link->index];
  if (!visit->under_way) return;
  visit->under_way = false;
  visits->measure->open--;
  if (well) measure_done(visits->measure, visit->due_ns);
  rest(visits, link->index);
}

static uint64_t pump(struct measure *measure) {
  struct visits *visits = measure->net.user_data;
  uint64_t due_ns, wait_ns = UINT64_MAX;
  while (!measure->stuck && measure->open < measure->options->window &&
         visits->free_count > 0 &&
         measure_may_issue(measure, &due_ns, &wait_ns)) {
    uint32_t index = visits->free[visits->free_at];
    struct link *link = &measure->net.links[index];
    visits->free_at = (visits->free_at + 1) % measure->net.count;
    visits->free_count--;
    net_reset(link);
    visits->list[index].due_ns = due_ns;
    visits->list[index].under_way = true;
    measure_issued(measure);
    if (!net_start(link)) {
      measure->stuck = true;
      measure->net.broken++;
    }
  }
  return wait_ns;
}

static void on_open(struct link *link, void *user_data) {
  struct visits *visits = user_data;
  const char *key = visits->list[link->index].key;
  if (visits->logging_in) return;
  if (*key)
    send_request(link, RESTORE_SESSION, key, strlen(key));
  else
    finish(visits, link, true);
}

static void on_broken(struct link *link, void *user_data) {
  finish(user_data, link, false);
}

/* --- Sessions ------------------------------------------------------------- */

/* The "k" of a session's JSON. */
static bool take_key(struct visit *visit, const struct heard *heard) {
  static const char before[] = "\"k\":\"";
  const uint8_t *end = heard->payload + heard->len;
  const uint8_t *at =
      memmem(heard->payload, heard->len, before, sizeof before - 1);
  if (!at) return false;
  at += sizeof before - 1;
  const uint8_t *quote = memchr(at, '"', (size_t)(end - at));
  if (!quote || quote == at || quote - at > MAX_KEY) return false;
  memcpy(visit->key, at, (size_t)(quote - at));
  visit->key[quote - at] = '\0';
  return true;
}

/* The reply to a restore is the session, which must be the one asked for. */
static void restored(struct visits *visits, struct link *link,
                     const struct heard *heard) {
  struct visit *visit = &visits->list[link->index];
  struct measure *measure = visits->measure;
  if (!visit->under_way || heard->id != link->index) {
    measure->unexpected++;
    return;
  }
  bool given = heard->kind == HEARD_REPLY;
  bool right = given && memmem(heard->payload, heard->len, visit->key,
                               strlen(visit->key)) != NULL;
  if (!given)
    measure->refused++;
  else if (!right)
    measure->wrong++;
  finish(visits, link, right);
}

static void on_heard(struct link *link, const struct heard *heard,
                     void *user_data) {
  struct visits *visits = user_data;
  struct visit *visit = &visits->list[link->index];
  if (heard->kind == HEARD_SESSION && visits->logging_in) {
    if (!take_key(visit, heard)) visits->measure->wrong++;
  } else if (heard->kind == HEARD_REPLY || heard->kind == HEARD_REFUSAL) {
    if (!visits->logging_in)
      restored(visits, link, heard);
    else if (heard->kind == HEARD_REPLY && *visit->key)
      visits->logged_in++;
    else
      visits->measure->refused++;
  } else if (heard->kind == HEARD_ODD) {
    visits->measure->unexpected++;
  } /* signals may come; nobody asked for them */
}

static void send_login(struct link *link, const char *login) {
  uint8_t rest_of[MAX_REST];
  const char *equals = strchr(login, '=');
  size_t name_len = (size_t)(equals - login), len = strlen(equals + 1);
  rest_of[0] = (uint8_t)name_len;
  memcpy(rest_of + 1, login, name_len);
  memcpy(rest_of + 1 + name_len, equals + 1, len);
  send_request(link, REQUEST_UTF8, rest_of, 1 + name_len + len);
}

static bool log_in(struct visits *visits) {
  struct measure *measure = visits->measure;
  struct net *net = &measure->net;
  uint64_t end = net_clock_ns() + 10000000000ULL + net->count * 10000000ULL;
  for (uint32_t i = 0; i < net->count; i++)
    send_login(&net->links[i], measure->options->login);
  while (visits->logged_in < net->count && net_clock_ns() < end &&
         net->broken == 0 && measure->refused == 0)
    net_poll(net, 100000000);
  if (visits->logged_in == net->count) return true;
  fprintf(stderr, "webwire-bench: --login: %u of %u connections logged in\n",
          visits->logged_in, net->count);
  return false;
}

/* So that the next run finds no sessions of this one: who closes the last
 * connection of a session by request destroys it. */
static void log_out(struct visits *visits) {
  struct net *net = &visits->measure->net;
  uint64_t end = net_clock_ns() + 2000000000ULL;
  visits->logging_in = true; /* their answers are none of restores */
  visits->logged_in = 0;
  uint32_t asked = 0;
  for (uint32_t i = 0; i < net->count; i++)
    asked += send_request(&net->links[i], CLOSE_SESSION, "", 0);
  while (visits->logged_in < asked && net->open > 0 && net_clock_ns() < end)
    net_poll(net, 100000000);
}

/* --- Life ----------------------------------------------------------------- */

static bool visits_init(struct visits *visits, struct measure *measure) {
  uint32_t count = measure->net.count;
  *visits = (struct visits){.measure = measure,
                            .logging_in = measure->options->login != NULL};
  visits->list = calloc(count, sizeof *visits->list);
  visits->free = calloc(count, sizeof *visits->free);
  if (!visits->list || !visits->free) return false;
  for (uint32_t i = 0; i < count; i++) rest(visits, i);
  return true;
}

bool connect_run(struct measure *measure) {
  struct visits visits;
  struct net *net = &measure->net;
  bool good = visits_init(&visits, measure);
  net->hooks = (struct net_hooks){on_heard, on_open, on_broken};
  net->user_data = &visits;
  if (good && visits.logging_in) {
    good = net_open(net) && log_in(&visits);
    visits.logging_in = false;
  }
  if (good) {
    measure->pump = pump;
    measure_run(measure);
    measure->unanswered = measure->open;
    if (measure->options->login) log_out(&visits);
  }
  free(visits.list);
  free(visits.free);
  return good;
}
