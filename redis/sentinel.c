/* Happy path: dial, [AUTH], ask, tell, subscribe, listen.
 *
 * Failure modes: a sentinel that does not answer in time, does not know the
 * name, or talks nonsense is passed over. When the listening connection ends,
 * the next sentinel is asked after a second, quietly: its answer counts as
 * news, and if none answers it is tried again. */
#include "sentinel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rconn.h"
#include "reply.h"

enum {
  RETRY_MS = 1000, /* of a lost listening connection */
  MAX_OUT = 64 << 10,
  MAX_PORT = 65535
};

enum sentinel_step { STEP_IDLE, STEP_DIAL, STEP_AUTH, STEP_ASK, STEP_LISTEN };

struct wwri_redis_sentinel {
  struct wwri_loop *loop;
  const struct wwri_redis_url *url;
  struct wwri_redis_tls_config *tls;
  const struct wwri_redis_sentinel_hooks *hooks;
  void *user;
  struct wwri_rconn *conn; /* NULL: none */
  size_t conns;            /* not yet gone */
  enum sentinel_step step;
  struct wwri_timer timer;
  size_t next;    /* whom to ask next */
  size_t untried; /* in this round */
  bool asked;     /* someone waits for the answer */
  bool freed;
  uint32_t each_ms;
  char why[200];
};

static void try_one(struct wwri_redis_sentinel *it);

static void set_timer(struct wwri_redis_sentinel *it, uint32_t ms) {
  wwri_loop_timer_set(it->loop, &it->timer, ms);
}

static void hang_up(struct wwri_redis_sentinel *it) {
  struct wwri_rconn *conn = it->conn;
  it->conn = NULL;
  it->step = STEP_IDLE;
  wwri_loop_timer_cancel(it->loop, &it->timer);
  wwri_rconn_close(conn);
}

/* This one is of no use: the next, or nobody knows. */
static void pass_over(struct wwri_redis_sentinel *it, const char *why) {
  const struct wwri_redis_host *host =
      &it->url
           ->hosts[(it->next + it->url->host_count - 1) % it->url->host_count];
  snprintf(it->why, sizeof(it->why), "sentinel %.64s:%u: %.100s", host->name,
           host->port, why);
  bool listened = it->step == STEP_LISTEN;
  hang_up(it);
  if (!listened && it->untried > 0) {
    try_one(it);
    return;
  }
  bool asked = it->asked;
  it->asked = false;
  it->untried = it->url->host_count;
  set_timer(it, RETRY_MS);
  if (asked) it->hooks->on_none(it->why, it->user);
}

static void send_step(struct wwri_redis_sentinel *it,
                      const struct wwr_view *argv, size_t argc,
                      enum sentinel_step step) {
  it->step = step;
  if (wwri_resp_command(wwri_rconn_out(it->conn), argv, argc) != WWR_OK) {
    pass_over(it, "out of memory");
    return;
  }
  wwri_rconn_commit(it->conn);
}

static void ask(struct wwri_redis_sentinel *it) {
  const struct wwr_view argv[] = {wwr_view_str("SENTINEL"),
                                  wwr_view_str("get-master-addr-by-name"),
                                  wwr_view_str(it->url->master)};
  send_step(it, argv, 3, STEP_ASK);
}

static void listen_for_news(struct wwri_redis_sentinel *it) {
  const struct wwr_view argv[] = {wwr_view_str("SUBSCRIBE"),
                                  wwr_view_str("+switch-master")};
  wwri_loop_timer_cancel(it->loop, &it->timer);
  send_step(it, argv, 2, STEP_LISTEN);
}

static void on_open(void *user) {
  struct wwri_redis_sentinel *it = user;
  const struct wwri_redis_url *url = it->url;
  struct wwr_view argv[3] = {wwr_view_str("AUTH")};
  size_t argc = 1;
  if (!url->sentinel_password[0]) {
    ask(it);
    return;
  }
  if (url->sentinel_user[0]) argv[argc++] = wwr_view_str(url->sentinel_user);
  argv[argc++] = wwr_view_str(url->sentinel_password);
  send_step(it, argv, argc, STEP_AUTH);
}

/* Host and port as text. False when they are none. */
static bool read_address(struct wwr_view host, struct wwr_view port,
                         char name[WWRI_REDIS_MAX_TEXT], uint16_t *number) {
  uint32_t value = 0;
  if (host.len == 0 || host.len >= WWRI_REDIS_MAX_TEXT) return false;
  if (memchr(host.data, '\0', host.len)) return false;
  if (port.len == 0 || port.len > 5) return false;
  for (size_t i = 0; i < port.len; i++) {
    if (port.data[i] < '0' || port.data[i] > '9') return false;
    value = value * 10 + (uint32_t)(port.data[i] - '0');
  }
  if (value == 0 || value > MAX_PORT) return false;
  memcpy(name, host.data, host.len);
  name[host.len] = '\0';
  *number = (uint16_t)value;
  return true;
}

static void take_answer(struct wwri_redis_sentinel *it,
                        const struct wwri_redis_reply *reply) {
  char host[WWRI_REDIS_MAX_TEXT];
  uint16_t port;
  if (wwri_redis_reply_type(reply) == WWRI_REDIS_NIL) {
    pass_over(it, "it does not know the master's name");
    return;
  }
  if (!read_address(wwri_redis_reply_text(wwri_redis_reply_at(reply, 0)),
                    wwri_redis_reply_text(wwri_redis_reply_at(reply, 1)), host,
                    &port)) {
    pass_over(it, "its answer is no address");
    return;
  }
  it->asked = false;
  listen_for_news(it);
  it->hooks->on_master(host, port, it->user);
}

/* The text up to the next space; *text moves behind it. */
static struct wwr_view next_word(struct wwr_view *text) {
  const uint8_t *end =
      text->len > 0 ? memchr(text->data, ' ', text->len) : NULL;
  struct wwr_view word = *text;
  if (!end) {
    *text = (struct wwr_view){NULL, 0};
    return word;
  }
  word.len = (size_t)(end - text->data);
  *text = (struct wwr_view){end + 1, text->len - word.len - 1};
  return word;
}

/* ["message", "+switch-master", "NAME OLD-IP OLD-PORT NEW-IP NEW-PORT"] */
static void take_news(struct wwri_redis_sentinel *it,
                      const struct wwri_redis_reply *reply) {
  struct wwr_view word[5];
  char host[WWRI_REDIS_MAX_TEXT];
  uint16_t port;
  if (!wwri_redis_reply_is(wwri_redis_reply_at(reply, 0), "message")) {
    if (!wwri_redis_reply_is(wwri_redis_reply_at(reply, 0), "subscribe")) {
      pass_over(it, "it does not let us listen");
    }
    return;
  }
  struct wwr_view text = wwri_redis_reply_text(wwri_redis_reply_at(reply, 2));
  for (int i = 0; i < 5; i++) word[i] = next_word(&text);
  if (wwr_view_equal(word[0], wwr_view_str(it->url->master)) &&
      read_address(word[3], word[4], host, &port)) {
    it->hooks->on_master(host, port, it->user);
  }
}

static void on_reply(const struct wwri_redis_reply *reply, void *user) {
  struct wwri_redis_sentinel *it = user;
  if (it->step == STEP_LISTEN) {
    take_news(it, reply);
  } else if (wwri_redis_reply_type(reply) == WWRI_REDIS_ERROR) {
    char text[100];
    struct wwr_view error = wwri_redis_reply_text(reply);
    snprintf(text, sizeof(text), "%.*s",
             (int)(error.len < sizeof(text) ? error.len : sizeof(text)),
             (const char *)error.data);
    pass_over(it, text);
  } else if (it->step == STEP_AUTH) {
    ask(it);
  } else if (it->step == STEP_ASK) {
    take_answer(it, reply);
  } else {
    pass_over(it, "it answers what was not asked");
  }
}

static void on_closed(enum wwri_redis_cause cause, const char *why,
                      void *user) {
  struct wwri_redis_sentinel *it = user;
  (void)cause;
  it->conn = NULL; /* it is closed already */
  pass_over(it, why);
}

static void on_conn_gone(void *user) {
  struct wwri_redis_sentinel *it = user;
  it->conns--;
  if (it->freed && it->conns == 0) set_timer(it, 0);
}

static void try_one(struct wwri_redis_sentinel *it) {
  static const struct wwri_rconn_hooks hooks = {on_open, on_reply, on_closed,
                                                on_conn_gone};
  const struct wwri_redis_host *host = &it->url->hosts[it->next];
  const struct wwri_rconn_target target = {.host = host->name,
                                           .port = host->port,
                                           .tls = it->tls,
                                           .tls_name = it->url->tls_name};
  it->next = (it->next + 1) % it->url->host_count;
  it->untried--;
  it->step = STEP_DIAL;
  set_timer(it, it->each_ms);
  /* Without memory the time-out goes on to the next. */
  if (wwri_rconn_new(&it->conn, it->loop, &target, MAX_OUT, &hooks, it) ==
      WWR_OK) {
    it->conns++;
  }
}

static void on_timer(struct wwri_timer *timer) {
  struct wwri_redis_sentinel *it =
      WWRI_CONTAINER(timer, struct wwri_redis_sentinel, timer);
  if (it->freed) {
    const struct wwri_redis_sentinel_hooks *hooks = it->hooks;
    void *user = it->user;
    free(it);
    hooks->on_gone(user);
  } else if (it->step == STEP_IDLE) {
    try_one(it);
  } else {
    pass_over(it, "no answer in time");
  }
}

wwr_err wwri_redis_sentinel_new(struct wwri_redis_sentinel **out,
                                struct wwri_loop *loop,
                                const struct wwri_redis_url *url,
                                struct wwri_redis_tls_config *tls,
                                const struct wwri_redis_sentinel_hooks *hooks,
                                void *user) {
  struct wwri_redis_sentinel *it = calloc(1, sizeof(*it));
  *out = it;
  if (!it) return WWR_E_NOMEM;
  it->loop = loop;
  it->url = url;
  it->tls = tls;
  it->hooks = hooks;
  it->user = user;
  wwri_timer_init(&it->timer, on_timer);
  return WWR_OK;
}

void wwri_redis_sentinel_ask(struct wwri_redis_sentinel *sentinel,
                             uint32_t each_ms) {
  hang_up(sentinel);
  sentinel->asked = true;
  sentinel->each_ms = each_ms;
  sentinel->untried = sentinel->url->host_count;
  try_one(sentinel);
}

void wwri_redis_sentinel_free(struct wwri_redis_sentinel *sentinel) {
  if (!sentinel) return;
  sentinel->asked = false;
  hang_up(sentinel);
  sentinel->freed = true;
  if (sentinel->conns == 0) set_timer(sentinel, 0);
}
