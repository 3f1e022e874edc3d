#include "client_fixture.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct letter {
  struct letter *next;
  struct wwri_msg msg;
  size_t len;
  uint8_t bytes[];
};

/* Test code gives up when it has no memory or a step fails. */
static void must(bool good, const char *what) {
  if (good) return;
  fprintf(stderr, "fixture: %s\n", what);
  abort();
}

static bool wait_cond(pthread_cond_t *cond, pthread_mutex_t *mutex,
                      const struct timespec *until) {
  return pthread_cond_timedwait(cond, mutex, until) == 0;
}

static struct timespec deadline(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  now.tv_sec += WAIT_MS / 1000;
  return now;
}

static void lock_init(pthread_mutex_t *mutex, pthread_cond_t *cond) {
  pthread_mutex_init(mutex, NULL);
  pthread_cond_init(cond, NULL);
}

/* The peer's connection */

static void keep(struct peer *peer, struct wwr_view bytes) {
  struct letter *letter = malloc(sizeof *letter + bytes.len);
  must(letter, "memory");
  letter->next = NULL;
  letter->len = bytes.len;
  memcpy(letter->bytes, bytes.data, bytes.len);
  struct wwr_view copy = {letter->bytes, bytes.len};
  must(wwri_decode(copy, &letter->msg) == WWR_OK, "decode");
  struct letter **at = &peer->inbox;
  while (*at) at = &(*at)->next;
  *at = letter;
}

/* Allocates nothing when on_message is set, for tests that fail allocations. */
static void on_message(struct wwri_pipe *pipe, struct wwr_view bytes) {
  struct peer *peer = pipe->user;
  struct wwri_msg msg;
  must(wwri_decode(bytes, &msg) == WWR_OK, "the client sent garbage");
  pthread_mutex_lock(&peer->mutex);
  bool heartbeat = msg.type == WWRI_HEARTBEAT;
  if (heartbeat) {
    peer->heartbeats++;
  } else if (!peer->on_message) {
    keep(peer, bytes);
  }
  void (*react)(struct peer *, struct wwri_pipe *, const struct wwri_msg *) =
      peer->on_message;
  pthread_cond_broadcast(&peer->cond);
  pthread_mutex_unlock(&peer->mutex);
  if (react && !heartbeat) react(peer, pipe, &msg);
}

static void on_violation(struct wwri_pipe *pipe, uint16_t code) {
  pipe->ops->close(pipe, code);
}

static void on_closed(struct wwri_pipe *pipe, wwr_err reason) {
  struct peer *peer = pipe->user;
  (void)reason;
  pthread_mutex_lock(&peer->mutex);
  peer->closed++;
  if (peer->pipe == pipe) peer->pipe = NULL;
  pthread_cond_broadcast(&peer->cond);
  pthread_mutex_unlock(&peer->mutex);
}

static const struct wwri_pipe_events pipe_events = {on_message, on_violation,
                                                    on_closed};

static bool on_upgrade(void *owner, size_t shard, struct wwr_http *http,
                       void **token) {
  struct peer *peer = owner;
  (void)shard;
  *token = NULL;
  pthread_mutex_lock(&peer->mutex);
  int refuse = peer->refuse;
  if (refuse) peer->opened++;
  pthread_cond_broadcast(&peer->cond);
  pthread_mutex_unlock(&peer->mutex);
  if (!refuse) return true;
  (void)wwr_http_respond(http, refuse, NULL, (struct wwr_view){NULL, 0});
  return false;
}

static void on_abandoned(void *owner, size_t shard, void *token) {
  (void)owner;
  (void)shard;
  (void)token;
}

static void on_opened(void *owner, size_t shard, void *token,
                      struct wwri_pipe *pipe) {
  struct peer *peer = owner;
  (void)shard;
  (void)token;
  pipe->events = &pipe_events;
  pipe->user = peer;
  pthread_mutex_lock(&peer->mutex);
  struct wwri_msg conf = peer->conf;
  peer->pipe = pipe;
  peer->opened++;
  pthread_cond_broadcast(&peer->cond);
  pthread_mutex_unlock(&peer->mutex);
  pipe->ops->release(pipe);
  if (conf.type) peer_send_now(pipe, &conf);
}

static void on_http(void *owner, size_t shard, struct wwr_http *http) {
  (void)owner;
  (void)shard;
  (void)http;
}

static const struct wwri_accept_events accept_events = {
    on_upgrade, on_abandoned, on_opened, on_http};

/* What the test makes it do */

struct order {
  struct wwri_mail mail;
  struct peer *peer;
  enum { SEND, CUT, CLOSE, PAUSE } what;
  struct wwri_frame *frame;
};

static void on_order(struct wwri_mail *mail) {
  struct order *order = WWRI_CONTAINER(mail, struct order, mail);
  struct wwri_pipe *pipe = order->peer->pipe; /* only this thread sets it */
  if (!pipe) {
    wwri_frame_unref(order->frame);
  } else if (order->what == SEND) {
    (void)pipe->ops->send(pipe, order->frame);
  } else if (order->what == CUT) {
    pipe->ops->abort(pipe);
  } else if (order->what == CLOSE) {
    pipe->ops->close(pipe, WWRI_CLOSE_NORMAL);
  } else {
    pipe->ops->pause(pipe, true);
  }
  free(order);
}

static void post_order(struct peer *peer, struct order what) {
  struct order *order = malloc(sizeof *order);
  must(order, "memory");
  *order = what;
  order->peer = peer;
  order->mail.fn = on_order;
  wwri_loop_post(peer->loop, &order->mail);
}

void peer_send_bytes(struct peer *peer, const void *bytes, size_t len) {
  struct wwri_frame *frame = wwri_frame_new(len);
  must(frame, "memory");
  memcpy(wwri_frame_message(frame), bytes, len);
  post_order(peer, (struct order){.what = SEND, .frame = frame});
}

static struct wwri_frame *frame_of(const struct wwri_msg *msg) {
  struct wwri_frame *frame = wwri_frame_new(wwri_encoded_len(msg));
  if (frame) wwri_encode(msg, wwri_frame_message(frame));
  return frame;
}

void peer_send(struct peer *peer, const struct wwri_msg *msg) {
  struct wwri_frame *frame = frame_of(msg);
  must(frame, "memory");
  post_order(peer, (struct order){.what = SEND, .frame = frame});
}

void peer_send_now(struct wwri_pipe *pipe, const struct wwri_msg *msg) {
  struct wwri_frame *frame = frame_of(msg);
  if (!frame || pipe->ops->send(pipe, frame) != WWR_OK) pipe->ops->abort(pipe);
}

void peer_send_text(struct peer *peer, enum wwri_msg_type type,
                    const struct wwri_id *id, const char *text) {
  struct wwri_msg msg = {.type = type, .payload = wwr_payload_text(text)};
  if (id) msg.id = *id;
  peer_send(peer, &msg);
}

void peer_cut(struct peer *peer) {
  post_order(peer, (struct order){.what = CUT});
}

void peer_close(struct peer *peer) {
  post_order(peer, (struct order){.what = CLOSE});
}

void peer_pause(struct peer *peer) {
  post_order(peer, (struct order){.what = PAUSE});
}

void peer_echo(struct peer *peer, struct wwri_pipe *pipe,
               const struct wwri_msg *msg) {
  struct wwri_msg reply = {.type = WWRI_REPLY_UTF8, .id = msg->id};
  (void)peer;
  if (msg->type < WWRI_REQUEST_BINARY &&
      msg->type != WWRI_REQUEST_CLOSE_SESSION &&
      msg->type != WWRI_REQUEST_RESTORE_SESSION) {
    return;
  }
  char key[64];
  reply.payload = msg->payload;
  if (msg->type == WWRI_REQUEST_RESTORE_SESSION) {
    snprintf(key, sizeof key, "%.*s", (int)msg->name.len, msg->name.data);
    reply.payload = wwr_payload_text(session_json(key));
  }
  peer_send_now(pipe, &reply);
}

/* What the test hears from it */

static void wait_count(struct peer *peer, const unsigned *counter,
                       unsigned count) {
  struct timespec until = deadline();
  pthread_mutex_lock(&peer->mutex);
  while (*counter < count && wait_cond(&peer->cond, &peer->mutex, &until)) {
  }
  CU_ASSERT_TRUE(*counter >= count);
  pthread_mutex_unlock(&peer->mutex);
}

void peer_wait_opened(struct peer *peer, unsigned count) {
  wait_count(peer, &peer->opened, count);
}

void peer_wait_closed(struct peer *peer, unsigned count) {
  wait_count(peer, &peer->closed, count);
}

void peer_wait_heartbeats(struct peer *peer, unsigned count) {
  wait_count(peer, &peer->heartbeats, count);
}

const struct wwri_msg *peer_expect(struct peer *peer, enum wwri_msg_type type) {
  static const struct wwri_msg nothing;
  struct timespec until = deadline();
  pthread_mutex_lock(&peer->mutex);
  while (!peer->inbox && wait_cond(&peer->cond, &peer->mutex, &until)) {
  }
  free(peer->taken);
  peer->taken = peer->inbox;
  if (peer->inbox) peer->inbox = peer->inbox->next;
  pthread_mutex_unlock(&peer->mutex);
  CU_ASSERT_PTR_NOT_NULL(peer->taken);
  if (!peer->taken) return &nothing;
  CU_ASSERT_EQUAL(peer->taken->msg.type, type);
  return &peer->taken->msg;
}

bool peer_heard_nothing(struct peer *peer) {
  pthread_mutex_lock(&peer->mutex);
  bool nothing = !peer->inbox;
  pthread_mutex_unlock(&peer->mutex);
  return nothing;
}

void peer_answer(struct peer *peer, const char *name) {
  const struct wwri_msg *msg = peer_expect(peer, WWRI_REQUEST_UTF8);
  CU_ASSERT_TRUE(wwr_view_equal(msg->name, wwr_view_str(name)));
  peer_send_text(peer, WWRI_REPLY_UTF8, &msg->id, name);
}

static void peer_start(struct peer *peer) {
  lock_init(&peer->mutex, &peer->cond);
  peer->conf = (struct wwri_msg){.type = WWRI_ACCEPT_CONF};
  peer->conf.conf.major = WWRI_VERSION_MAJOR;
  peer->conf.conf.read_timeout_ms = 60000;
  peer->conf.conf.buffer_bytes = 8192;
  must(wwri_loop_new(&peer->loop) == WWR_OK, "loop");
  must(wwri_loop_start(peer->loop, "peer") == WWR_OK, "thread");
  must(wwr_memory_hub_new(&peer->hub) == WWR_OK, "hub");
  must(wwr_memory_transport_new(&peer->transport, peer->hub) == WWR_OK, "mem");
  struct wwri_transport_config config = {.loops = &peer->loop,
                                         .loop_count = 1,
                                         .events = &accept_events,
                                         .owner = peer,
                                         .max_message_bytes = 1 << 20,
                                         .max_queued_bytes = 1 << 24,
                                         .close_linger_ms = 1000};
  must(peer->transport->ops->start(peer->transport, &config) == WWR_OK,
       "start");
}

static void peer_stop(struct peer *peer) {
  peer->transport->ops->stop(peer->transport);
  wwri_loop_stop(peer->loop);
  wwr_transport_free(peer->transport);
  wwri_loop_free(peer->loop);
  wwr_memory_hub_free(peer->hub);
  free(peer->taken);
  for (struct letter *letter = peer->inbox, *next; letter; letter = next) {
    next = letter->next;
    free(letter);
  }
  pthread_cond_destroy(&peer->cond);
  pthread_mutex_destroy(&peer->mutex);
}

/* The client's journal */

void fix_note(struct fix *fix, const char *what, const char *more) {
  pthread_mutex_lock(&fix->mutex);
  size_t len = strlen(fix->journal);
  snprintf(fix->journal + len, sizeof fix->journal - len, "%s%s;", what, more);
  pthread_cond_broadcast(&fix->cond);
  pthread_mutex_unlock(&fix->mutex);
  if (fix->in_hook) fix->in_hook(fix, what);
}

static void note_disconnected(wwr_err reason, void *user_data) {
  fix_note(user_data, "disconnected:", wwr_err_name(reason));
}

static void note_signal(const struct wwr_message *message, void *user_data) {
  char text[600];
  snprintf(text, sizeof text, "%.*s=%.*s", (int)message->name.len,
           (const char *)message->name.data, (int)message->payload.data.len,
           (const char *)message->payload.data.data);
  fix_note(user_data, "signal:", text);
}

static void note_created(struct wwr_session *session, void *user_data) {
  fix_note(user_data, "created:", wwr_session_key(session));
}

static void note_session_closed(void *user_data) {
  fix_note(user_data, "session closed", "");
}

static void note_reply(const struct wwr_reply *reply, void *user_data) {
  struct tagged *tagged = user_data;
  char text[64];
  snprintf(text, sizeof text, "%s:%s", tagged->name, wwr_err_name(reply->err));
  fix_note(tagged->fix, "reply ", text);
}

void fix_expect(struct fix *fix, const char *expected) {
  struct timespec until = deadline();
  pthread_mutex_lock(&fix->mutex);
  while (strlen(fix->journal) < strlen(expected) &&
         wait_cond(&fix->cond, &fix->mutex, &until)) {
  }
  CU_ASSERT_STRING_EQUAL(fix->journal, expected);
  if (strcmp(fix->journal, expected) != 0) {
    fprintf(stderr, "\n  expected: %s\n  happened: %s\n", expected,
            fix->journal);
  }
  fix->journal[0] = '\0';
  pthread_mutex_unlock(&fix->mutex);
}

wwr_call fix_request(struct fix *fix, const char *name, uint32_t timeout_ms) {
  struct tagged *tagged = &fix->calls[fix->call_count++ % CALLS_MAX];
  struct wwr_payload payload = wwr_payload_text("");
  wwr_call call;
  tagged->fix = fix;
  snprintf(tagged->name, sizeof tagged->name, "%s", name);
  wwr_err err = wwr_client_request(fix->client, wwr_view_str(name), &payload,
                                   timeout_ms, note_reply, tagged, &call);
  CU_ASSERT_EQUAL(err, WWR_OK);
  return call;
}

void fix_wait_status(struct fix *fix, enum wwr_client_status status) {
  struct timespec pause = {.tv_nsec = 1000000};
  for (int i = 0; i < WAIT_MS && wwr_client_status(fix->client) != status; i++)
    nanosleep(&pause, NULL);
  CU_ASSERT_EQUAL(wwr_client_status(fix->client), status);
}

struct visit {
  struct wwri_mail mail;
  struct fix *fix;
  void (*fn)(struct fix *fix);
  struct wwri_waiter waiter;
};

static void on_visit(struct wwri_mail *mail) {
  struct visit *visit = WWRI_CONTAINER(mail, struct visit, mail);
  visit->fn(visit->fix);
  wwri_waiter_wake(&visit->waiter, WWR_OK);
}

void fix_on_loop(struct fix *fix, void (*fn)(struct fix *fix)) {
  struct visit visit = {.mail.fn = on_visit, .fix = fix, .fn = fn};
  wwri_waiter_init(&visit.waiter);
  wwri_loop_post(fix->client->loop, &visit.mail);
  (void)wwri_waiter_wait(&visit.waiter);
}

static void count_waiting(struct fix *fix) {
  const struct wwri_list *head = &fix->client->waiting;
  fix->waiting = 0;
  for (const struct wwri_list *at = head->next; at != head; at = at->next) {
    fix->waiting++;
  }
}

void fix_wait_calls(struct fix *fix, unsigned count) {
  struct timespec pause = {.tv_nsec = 1000000};
  for (int i = 0; i < WAIT_MS; i++) {
    fix_on_loop(fix, count_waiting);
    if (fix->waiting == count) return;
    nanosleep(&pause, NULL);
  }
  CU_FAIL("the calls did not come");
}

/* Sessions */

const char *session_json(const char *key) {
  static _Thread_local char json[256];
  snprintf(json, sizeof json,
           "{\"k\":\"%s\",\"c\":\"2026-01-02T03:04:05Z\","
           "\"l\":\"2026-01-02T03:04:05Z\",\"i\":{\"username\":\"me\"}}",
           key);
  return json;
}

void fix_give_session(struct fix *fix, const char *key) {
  char expected[64];
  peer_send_text(&fix->peer, WWRI_NOTIFY_SESSION_CREATED, NULL,
                 session_json(key));
  snprintf(expected, sizeof expected, "created:%s;", key);
  fix_expect(fix, expected);
}

/* Life */

void fix_init(struct fix *fix) {
  memset(fix, 0, sizeof *fix);
  lock_init(&fix->mutex, &fix->cond);
  peer_start(&fix->peer);
  wwr_client_opts_default(&fix->opts);
  fix->opts.hooks.on_disconnected = note_disconnected;
  fix->opts.hooks.on_signal = note_signal;
  fix->opts.hooks.on_session_created = note_created;
  fix->opts.hooks.on_session_closed = note_session_closed;
  fix->opts.user_data = fix;
  fix->opts.request_timeout_ms = WAIT_MS;
  fix->opts.reconnect_interval_ms = 5;
  fix->opts.reconnect_max_ms = 20;
  fix->opts.dial_timeout_ms = WAIT_MS;
}

void fix_start(struct fix *fix) {
  const char *bad;
  if (!fix->opts.dialer) {
    must(wwr_memory_dialer_new(&fix->opts.dialer, fix->peer.hub) == WWR_OK,
         "dialer");
  }
  must(wwr_client_new(&fix->client, &fix->opts, &bad) == WWR_OK, "client");
}

void fix_connect(struct fix *fix) {
  fix_init(fix);
  fix_start(fix);
  CU_ASSERT_EQUAL(wwr_client_connect(fix->client, 0), WWR_OK);
}

void fix_deinit(struct fix *fix) {
  wwr_client_free(fix->client);
  peer_stop(&fix->peer);
  pthread_cond_destroy(&fix->cond);
  pthread_mutex_destroy(&fix->mutex);
}

/* A dialer that never gets there */

struct failing {
  struct wwr_dialer base;
  struct wwri_dialer_config config;
  struct wwri_mail mail;
  wwr_err reason;
  int http_status;
};

static wwr_err failing_start(struct wwr_dialer *dialer,
                             const struct wwri_dialer_config *config) {
  WWRI_CONTAINER(dialer, struct failing, base)->config = *config;
  return WWR_OK;
}

static void on_fail(struct wwri_mail *mail) {
  struct failing *failing = WWRI_CONTAINER(mail, struct failing, mail);
  failing->config.events->failed(failing->config.owner, failing->reason,
                                 failing->http_status);
}

static wwr_err failing_dial(struct wwr_dialer *dialer, uint32_t timeout_ms) {
  struct failing *failing = WWRI_CONTAINER(dialer, struct failing, base);
  (void)timeout_ms;
  failing->mail.fn = on_fail;
  wwri_loop_post(failing->config.loop, &failing->mail);
  return WWR_OK;
}

static void failing_ignore(struct wwr_dialer *dialer) {
  (void)dialer;
}

static void failing_free(struct wwr_dialer *dialer) {
  free(WWRI_CONTAINER(dialer, struct failing, base));
}

struct wwr_dialer *failing_dialer(wwr_err reason, int http_status) {
  static const struct wwri_dialer_ops ops = {failing_start, failing_dial,
                                             failing_ignore, failing_ignore,
                                             failing_free};
  struct failing *failing = calloc(1, sizeof *failing);
  must(failing, "memory");
  failing->base.ops = &ops;
  failing->reason = reason;
  failing->http_status = http_status;
  return &failing->base;
}
