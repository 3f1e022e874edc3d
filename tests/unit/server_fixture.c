#include "server_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAIT_SECONDS = 30, BUFFER_BYTES = 64 << 20 };

void *__real_realloc(void *memory, size_t size); /* see test_alloc.c */

struct fixture fix;
void (*fixture_end)(void);

static struct {
  enum wwr_handlers handlers;
  uint32_t io_threads;
} mode;

bool is_blocking(void) {
  return mode.handlers == WWR_HANDLERS_BLOCKING;
}

/* --- Waiting -------------------------------------------------------------- */

struct timespec wait_deadline(void) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += WAIT_SECONDS;
  return until;
}

int wait_changed(const struct timespec *until) {
  return pthread_cond_timedwait(&fix.changed, &fix.lock, until);
}

void note(int *counter) {
  pthread_mutex_lock(&fix.lock);
  ++*counter;
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
}

uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct errand {
  struct wwri_mail mail;
  void (*fn)(void *arg);
  void *arg;
  bool done;
};

static void run_errand(struct wwri_mail *mail) {
  struct errand *errand = WWRI_CONTAINER(mail, struct errand, mail);
  errand->fn(errand->arg);
  pthread_mutex_lock(&fix.lock);
  errand->done = true;
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
}

void run_on(struct wwri_loop *loop, void (*fn)(void *arg), void *arg) {
  struct errand errand = {.mail.fn = run_errand, .fn = fn, .arg = arg};
  wwri_loop_post(loop, &errand.mail);
  pthread_mutex_lock(&fix.lock);
  while (!errand.done) pthread_cond_wait(&fix.changed, &fix.lock);
  pthread_mutex_unlock(&fix.lock);
}

static void nothing(void *arg) {
  (void)arg;
}

void settle(void) {
  for (int round = 0; round < 8; round++) {
    run_on(fix.client_loop, nothing, NULL);
    for (size_t i = 0; i < fix.server->shard_count; i++) {
      run_on(fix.server->loops[i], nothing, NULL);
    }
  }
}

static struct {
  struct wwri_mail mails[2];
  atomic_bool on;
  int over;
} traffic;

static void keep_coming(struct wwri_mail *mail) {
  if (atomic_load(&traffic.on)) {
    wwri_loop_post(fix.server->loops[mail - traffic.mails], mail);
  } else {
    note(&traffic.over);
  }
}

void traffic_start(void) {
  atomic_store(&traffic.on, true);
  traffic.over = 0;
  for (size_t i = 0; i < fix.server->shard_count; i++) {
    traffic.mails[i].fn = keep_coming;
    wwri_loop_post(fix.server->loops[i], &traffic.mails[i]);
  }
}

void traffic_stop(void) {
  if (!atomic_exchange(&traffic.on, false)) return;
  WAIT(traffic.over == (int)fix.server->shard_count);
}

/* --- The application ------------------------------------------------------ */

/* Move a connection from one stage of its life to the next. */
static void stage_of(struct wwr_conn *conn, uint8_t from, uint8_t to) {
  uint64_t id = wwr_conn_id(conn);
  pthread_mutex_lock(&fix.lock);
  if (id == 0 || id >= CONNS_MAX || fix.conns[id] != from) fix.broken++;
  if (id < CONNS_MAX) fix.conns[id] = to;
  pthread_mutex_unlock(&fix.lock);
}

static void on_connected(struct wwr_conn *conn, void *user_data) {
  stage_of(conn, 0, 1);
  pthread_mutex_lock(&fix.lock);
  struct wwr_conn *before = fix.last_conn;
  fix.last_conn = wwr_conn_ref(conn);
  pthread_mutex_unlock(&fix.lock);
  wwr_conn_unref(before);
  if (fix.override.on_connected) fix.override.on_connected(conn, user_data);
  stage_of(conn, 1, 2);
  note(&fix.connected);
}

static void on_disconnected(struct wwr_conn *conn, wwr_err reason,
                            void *user_data) {
  stage_of(conn, 2, 3);
  if (wwr_conn_is_active(conn)) note(&fix.broken);
  if (fix.override.on_disconnected) {
    fix.override.on_disconnected(conn, reason, user_data);
  }
  pthread_mutex_lock(&fix.lock);
  fix.reason = reason;
  pthread_mutex_unlock(&fix.lock);
  note(&fix.disconnected);
}

static void on_signal(struct wwr_conn *conn, const struct wwr_message *message,
                      void *user_data) {
  stage_of(conn, 2, 2);
  if (fix.override.on_signal) {
    fix.override.on_signal(conn, message, user_data);
  }
  note(&fix.signals);
}

bool view_is(struct wwr_view view, const char *text) {
  return wwr_view_equal(view, wwr_view_str(text));
}

void reply_text(struct wwr_request *request, const char *text) {
  struct wwr_payload payload = wwr_payload_text(text);
  (void)wwr_request_reply(request, &payload);
}

static void hold(struct wwr_request *request) {
  pthread_mutex_lock(&fix.lock);
  if (fix.held_count < HELD_MAX) {
    fix.held[fix.held_count++] = request;
  } else {
    fix.broken++;
  }
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
}

static void reply_when_done(struct wwr_conn *conn, wwr_err err,
                            void *user_data) {
  (void)conn;
  reply_text(user_data, wwr_err_name(err));
}

static void create(struct wwr_conn *conn, struct wwr_request *request,
                   const struct wwr_message *message) {
  char info[256];
  snprintf(info, sizeof info, "%.*s", (int)message->payload.data.len,
           (const char *)message->payload.data.data);
  wwr_err err = wwr_conn_create_session(conn, info[0] ? info : NULL,
                                        reply_when_done, request);
  if (err != WWR_OK) reply_text(request, wwr_err_name(err));
}

static void close_session(struct wwr_conn *conn, struct wwr_request *request) {
  wwr_err err = wwr_conn_close_session(conn, reply_when_done, request);
  if (err != WWR_OK) reply_text(request, wwr_err_name(err));
}

static void run(struct wwr_conn *conn, struct wwr_request *request,
                const struct wwr_message *message) {
  if (view_is(message->name, "hold")) {
    hold(request);
  } else if (view_is(message->name, "create")) {
    create(conn, request, message);
  } else if (view_is(message->name, "close-session")) {
    close_session(conn, request);
  } else if (view_is(message->name, "close")) {
    wwr_conn_close(conn);
    reply_text(request, "closed");
  } else {
    (void)wwr_request_reply(request, &message->payload);
  }
}

static void on_request(struct wwr_conn *conn, struct wwr_request *request,
                       const struct wwr_message *message, void *user_data) {
  stage_of(conn, 2, 2);
  note(&fix.requests);
  if (fix.override.on_request) {
    fix.override.on_request(conn, request, message, user_data);
  } else {
    run(conn, request, message);
  }
}

static bool take_held(struct wwr_request **out) {
  if (fix.held_next < fix.held_count) *out = fix.held[fix.held_next++];
  return *out != NULL;
}

struct wwr_request *next_held(void) {
  struct wwr_request *request = NULL;
  WAIT(request || take_held(&request));
  return request;
}

struct answer {
  struct wwr_request *request;
  const char *text;
};

static void *answer_thread(void *arg) {
  struct answer *answer = arg;
  reply_text(answer->request, answer->text);
  return NULL;
}

void answer_held(struct wwr_request *request, const char *text) {
  struct answer answer = {request, text};
  pthread_t thread;
  CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, answer_thread, &answer),
                        0);
  pthread_join(thread, NULL);
}

static void write_log(const struct wwr_log_record *record, void *user_data) {
  (void)user_data;
  if (record->level < WWR_LOG_WARN) return;
  pthread_mutex_lock(&fix.lock);
  snprintf(fix.log, sizeof fix.log, "%s", record->message);
  fix.errors_logged++;
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
}

/* --- Making and ending ---------------------------------------------------- */

static void init_sync(void) {
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&fix.changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  pthread_mutex_init(&fix.lock, NULL);
}

static void setup(void) {
  memset(&fix, 0, sizeof fix);
  init_sync();
  fix.with_store = true;
  wwr_server_opts_default(&fix.opts);
  fix.opts.handlers = mode.handlers;
  fix.opts.io_threads = mode.io_threads;
  fix.opts.log = (struct wwr_log){write_log, NULL, WWR_LOG_DEBUG};
  fix.opts.hooks.on_connected = on_connected;
  fix.opts.hooks.on_disconnected = on_disconnected;
  fix.opts.hooks.on_signal = on_signal;
  fix.opts.hooks.on_request = on_request;
  CU_ASSERT_EQUAL_FATAL(wwr_memory_hub_new(&fix.hub), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwri_loop_new(&fix.client_loop), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwri_loop_start(fix.client_loop, "clients"), WWR_OK);
}

wwr_err fixture_new(void) {
  fix.store.base.ops = &test_store_ops[fix.store_blocks];
  wwr_err err = wwr_memory_transport_new(&fix.opts.transport, fix.hub);
  if (err != WWR_OK) return err;
  if (fix.with_store) fix.opts.store = &fix.store.base;
  err = wwr_server_new(&fix.server, &fix.opts, NULL);
  if (err != WWR_OK) {
    wwr_transport_free(fix.opts.transport);
  }
  return err;
}

void fixture_start(void) {
  CU_ASSERT_EQUAL_FATAL(fixture_new(), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwr_server_start(fix.server), WWR_OK);
}

static void free_frames(struct wwri_frame **frames, size_t count) {
  for (size_t i = 0; i < count; i++) wwri_frame_unref(frames[i]);
  free(frames);
}

void fixture_stop_peers(void) {
  for (int i = 0; i < fix.peer_count; i++) {
    struct peer *peer = &fix.peers[i];
    if (!peer->dialer) continue;
    peer->dialer->ops->stop(peer->dialer);
    peer->dialer->ops->free(peer->dialer);
    peer->dialer = NULL;
  }
}

/* Shut down while answering what a client that was cut off left behind. */
static void answer_the_rest(void) {
  static const struct timespec nap = {0, 1000000};
  wwr_server_shutdown_async(fix.server);
  while (wwri_server_is_running(fix.server) ||
         LOCKED(fix.connected != fix.disconnected)) {
    struct wwr_request *request = NULL;
    if (LOCKED(take_held(&request))) {
      (void)wwr_request_reply(request, NULL);
    } else {
      nanosleep(&nap, NULL);
    }
  }
}

void fixture_free_server(void) {
  if (!fix.server) return;
  if (fix.tolerant) answer_the_rest();
  wwr_conn_unref(fix.last_conn);
  fix.last_conn = NULL;
  wwr_server_free(fix.server);
  fix.server = NULL;
  CU_ASSERT_EQUAL(fix.connected, fix.disconnected);
  CU_ASSERT_EQUAL(fix.broken, 0);
  CU_ASSERT_EQUAL(fix.store.freed, fix.with_store);
}

/* A failed test may leave anything behind, requests for which the server would
 * wait for ever: tell, and end at once. */
static void end_if_failed(void) {
  CU_pFailureRecord failure = CU_get_failure_list();
  if (!failure) return;
  for (; failure; failure = failure->pNext) {
    printf("\n%s:%u: %s", failure->strFileName, failure->uiLineNumber,
           failure->strCondition);
  }
  printf("\n");
  exit(1);
}

static void teardown(void) {
  end_if_failed();
  traffic_stop();
  fixture_stop_peers();
  fixture_free_server();
  if (fixture_end) fixture_end();
  if (fix.store.kept_count) fix.store.base.ops->free(&fix.store.base);
  for (int i = 0; i < fix.peer_count; i++) {
    free_frames(fix.peers[i].rx, fix.peers[i].rx_count);
    free_frames(fix.peers[i].staged, fix.peers[i].staged_count);
  }
  wwri_loop_stop(fix.client_loop);
  wwri_loop_free(fix.client_loop);
  wwr_memory_hub_free(fix.hub);
  pthread_cond_destroy(&fix.changed);
  pthread_mutex_destroy(&fix.lock);
}

void fixture_reset(void) {
  teardown();
  setup();
}

/* Under AddressSanitizer, which sees most of what can go wrong, each one fails.
 * Plain and under ThreadSanitizer every third does: its neighbours show what
 * threads share and how a client is answered just as well. */
#ifdef __SANITIZE_ADDRESS__
enum { FAIL_STEP = 1 };
#else
enum { FAIL_STEP = 3 };
#endif

void fixture_fail_each(void (*prepare)(void), void (*scenario)(bool in_traffic),
                       bool in_traffic) {
  for (long n = 0; n < 2000; n += FAIL_STEP) {
    fix.tolerant = true;
    prepare();
    test_alloc_fail_at(n);
    scenario(in_traffic);
    bool more = test_alloc_failed();
    fixture_reset();
    if (!more) {
      CU_ASSERT_TRUE(n > 50);
      return;
    }
  }
  CU_FAIL("the scenario never came to its end");
}

/* --- Peers: what happens to them ------------------------------------------ */

static void push(struct wwri_frame ***frames, size_t *count, size_t *cap,
                 struct wwri_frame *frame) {
  if (*count == *cap) {
    *cap = *cap ? *cap * 2 : 64;
    *frames = __real_realloc(*frames, *cap * sizeof(struct wwri_frame *));
  }
  (*frames)[(*count)++] = frame;
}

/* A copy that does not count as an allocation of the library. */
static struct wwri_frame *copy_of(struct wwr_view bytes) {
  struct wwri_frame *frame =
      __real_realloc(NULL, sizeof *frame + bytes.len + 1);
  memset(frame, 0, sizeof *frame);
  atomic_init(&frame->refs, 1);
  frame->message_len = (uint32_t)bytes.len;
  if (bytes.len) memcpy(frame->wire, bytes.data, bytes.len);
  return frame;
}

static void on_message(struct wwri_pipe *pipe, struct wwr_view bytes) {
  struct peer *peer = pipe->user;
  pthread_mutex_lock(&fix.lock);
  push(&peer->rx, &peer->rx_count, &peer->rx_cap, copy_of(bytes));
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
}

static void on_violation(struct wwri_pipe *pipe, uint16_t code) {
  (void)pipe;
  (void)code;
  note(&fix.broken);
}

static void on_closed(struct wwri_pipe *pipe, wwr_err reason) {
  struct peer *peer = pipe->user;
  peer->pipe = NULL;
  peer->reason = reason;
  note(&peer->closed);
}

static void on_opened(void *owner, struct wwri_pipe *pipe) {
  static const struct wwri_pipe_events events = {on_message, on_violation,
                                                 on_closed};
  struct peer *peer = owner;
  pipe->events = &events;
  pipe->user = peer;
  peer->pipe = pipe;
  pipe->ops->release(pipe);
  note(&peer->opened);
}

static void on_failed(void *owner, wwr_err reason, int status) {
  struct peer *peer = owner;
  pthread_mutex_lock(&fix.lock);
  peer->fail_reason = reason;
  peer->status = status;
  pthread_mutex_unlock(&fix.lock);
  note(&peer->failed);
}

/* --- Peers: what they do -------------------------------------------------- */

static wwr_err start_dialer(struct peer *peer) {
  static const struct wwri_dial_events events = {on_opened, on_failed};
  struct wwri_dialer_config config = {.loop = fix.client_loop,
                                      .events = &events,
                                      .owner = peer,
                                      .max_message_bytes = BUFFER_BYTES,
                                      .max_queued_bytes = BUFFER_BYTES,
                                      .close_linger_ms = 5000};
  wwr_err err = wwr_memory_dialer_new(&peer->dialer, fix.hub);
  return err == WWR_OK ? peer->dialer->ops->start(peer->dialer, &config) : err;
}

static void dial_here(void *arg) {
  struct peer *peer = arg;
  peer->sent = peer->dialer->ops->dial(peer->dialer, 20000);
}

/* A place for a new peer: a fresh one, or one that is over. */
static struct peer *new_peer(void) {
  if (fix.peer_count < PEERS_MAX) return &fix.peers[fix.peer_count++];
  for (int i = 0; i < PEERS_MAX; i++) {
    struct peer *peer = &fix.peers[i];
    if (!LOCKED(peer->closed)) continue;
    peer->dialer->ops->stop(peer->dialer);
    peer->dialer->ops->free(peer->dialer);
    free_frames(peer->rx, peer->rx_count);
    free_frames(peer->staged, peer->staged_count);
    memset(peer, 0, sizeof *peer);
    return peer;
  }
  CU_FAIL_FATAL("too many peers");
  return NULL;
}

struct peer *peer_dial(void) {
  struct peer *peer = new_peer();
  wwr_err err = start_dialer(peer);
  if (err == WWR_OK) {
    run_on(fix.client_loop, dial_here, peer);
    err = peer->sent;
  }
  if (err != WWR_OK) {
    CU_ASSERT_TRUE_FATAL(fix.tolerant);
    return NULL;
  }
  WAIT(peer->opened || peer->failed);
  return peer;
}

struct peer *peer_connect(void) {
  struct peer *peer = peer_dial();
  CU_ASSERT_EQUAL_FATAL(LOCKED(peer->opened), 1);
  (void)peer_expect(peer, WWRI_ACCEPT_CONF);
  return peer;
}

struct peer *peer_connect_conn(struct wwr_conn **conn) {
  struct peer *peer = peer_connect();
  *conn = LOCKED(fix.last_conn);
  return peer;
}

void peer_refused(int status) {
  struct peer *peer = peer_dial();
  CU_ASSERT_EQUAL(LOCKED(peer->failed), 1);
  CU_ASSERT_EQUAL(LOCKED(peer->status), status);
}

struct wwri_id id_of(uint64_t n) {
  struct wwri_id id;
  memcpy(id.bytes, &n, sizeof id.bytes);
  return id;
}

void stage_raw(struct peer *peer, const void *bytes, size_t len) {
  struct wwr_view view = {bytes, len};
  push(&peer->staged, &peer->staged_count, &peer->staged_cap, copy_of(view));
}

void stage(struct peer *peer, const struct wwri_msg *msg) {
  size_t len = wwri_encoded_len(msg);
  struct wwr_view empty = {NULL, 0};
  struct wwri_frame *frame = copy_of(empty);
  frame = __real_realloc(frame, sizeof *frame + len);
  frame->message_len = (uint32_t)len;
  wwri_encode(msg, frame->wire);
  push(&peer->staged, &peer->staged_count, &peer->staged_cap, frame);
}

void stage_request(struct peer *peer, uint64_t id, const char *name,
                   const char *payload) {
  struct wwri_msg msg = {.type = WWRI_REQUEST_UTF8,
                         .id = id_of(id),
                         .name = wwr_view_str(name),
                         .payload = wwr_payload_text(payload)};
  stage(peer, &msg);
}

void stage_signal(struct peer *peer, const char *name, const char *payload) {
  struct wwri_msg msg = {.type = WWRI_SIGNAL_UTF8,
                         .name = wwr_view_str(name),
                         .payload = wwr_payload_text(payload)};
  stage(peer, &msg);
}

void stage_restore(struct peer *peer, uint64_t id, const char *key) {
  struct wwri_msg msg = {.type = WWRI_REQUEST_RESTORE_SESSION,
                         .id = id_of(id),
                         .name = wwr_view_str(key)};
  stage(peer, &msg);
}

void stage_close_session(struct peer *peer, uint64_t id) {
  struct wwri_msg msg = {.type = WWRI_REQUEST_CLOSE_SESSION, .id = id_of(id)};
  stage(peer, &msg);
}

static void flush_here(void *arg) {
  struct peer *peer = arg;
  peer->sent = WWR_OK;
  for (size_t i = 0; i < peer->staged_count; i++) {
    if (!peer->pipe) {
      wwri_frame_unref(peer->staged[i]);
      peer->sent = WWR_E_DISCONNECTED;
    } else {
      wwr_err err = peer->pipe->ops->send(peer->pipe, peer->staged[i]);
      if (err != WWR_OK) peer->sent = err;
    }
  }
  peer->staged_count = 0;
}

wwr_err peer_flush(struct peer *peer) {
  run_on(fix.client_loop, flush_here, peer);
  return peer->sent;
}

void peer_request(struct peer *peer, uint64_t id, const char *name,
                  const char *payload) {
  stage_request(peer, id, name, payload);
  (void)peer_flush(peer);
}

void peer_signal(struct peer *peer, const char *name, const char *payload) {
  stage_signal(peer, name, payload);
  (void)peer_flush(peer);
}

void peer_restore(struct peer *peer, uint64_t id, const char *key) {
  stage_restore(peer, id, key);
  (void)peer_flush(peer);
}

void peer_close_session(struct peer *peer, uint64_t id) {
  stage_close_session(peer, id);
  (void)peer_flush(peer);
}

void peer_raw(struct peer *peer, const void *bytes, size_t len) {
  stage_raw(peer, bytes, len);
  (void)peer_flush(peer);
}

static void close_here(void *arg) {
  struct peer *peer = arg;
  if (peer->pipe) peer->pipe->ops->close(peer->pipe, WWRI_CLOSE_NORMAL);
}

void peer_close(struct peer *peer) {
  run_on(fix.client_loop, close_here, peer);
}

static void abort_here(void *arg) {
  struct peer *peer = arg;
  if (peer->pipe) peer->pipe->ops->abort(peer->pipe);
}

void peer_abort(struct peer *peer) {
  run_on(fix.client_loop, abort_here, peer);
}

static void pause_here(void *arg) {
  struct peer *peer = arg;
  if (peer->pipe) peer->pipe->ops->pause(peer->pipe, true);
}

static void resume_here(void *arg) {
  struct peer *peer = arg;
  if (peer->pipe) peer->pipe->ops->pause(peer->pipe, false);
}

void peer_pause(struct peer *peer, bool paused) {
  run_on(fix.client_loop, paused ? pause_here : resume_here, peer);
}

/* --- Peers: what they got ------------------------------------------------- */

bool peer_try_next(struct peer *peer, struct wwri_msg *msg) {
  struct timespec until = wait_deadline();
  int status = 0;
  struct wwri_frame *frame = NULL;
  pthread_mutex_lock(&fix.lock);
  while (peer->rx_next == peer->rx_count && !peer->closed && status == 0) {
    status = wait_changed(&until);
  }
  if (peer->rx_next < peer->rx_count) frame = peer->rx[peer->rx_next++];
  pthread_mutex_unlock(&fix.lock);
  return frame && wwri_decode(wwri_frame_view(frame), msg) == WWR_OK;
}

struct wwri_msg peer_next(struct peer *peer) {
  struct wwri_msg msg = {0};
  bool good = peer_try_next(peer, &msg);
  CU_ASSERT_TRUE_FATAL(good);
  return msg;
}

struct wwri_msg peer_expect(struct peer *peer, enum wwri_msg_type type) {
  struct wwri_msg msg = peer_next(peer);
  if (msg.type != type) {
    printf("(got type %u, not %u) ", (unsigned)msg.type, (unsigned)type);
  }
  CU_ASSERT_EQUAL(msg.type, type);
  return msg;
}

struct wwri_msg peer_expect_id(struct peer *peer, enum wwri_msg_type type,
                               uint64_t id) {
  struct wwri_msg msg = peer_expect(peer, type);
  struct wwri_id want = id_of(id);
  CU_ASSERT_EQUAL(memcmp(&msg.id, &want, sizeof want), 0);
  return msg;
}

void peer_expect_text(struct peer *peer, uint64_t id, const char *text) {
  struct wwri_msg msg = peer_expect_id(peer, WWRI_REPLY_UTF8, id);
  if (!view_is(msg.payload.data, text)) {
    printf("(got '%.*s', not '%s') ", (int)msg.payload.data.len,
           (const char *)msg.payload.data.data, text);
  }
  CU_ASSERT_TRUE(view_is(msg.payload.data, text));
}

void peer_expect_nothing(struct peer *peer) {
  settle();
  CU_ASSERT_EQUAL(LOCKED(peer->rx_count - peer->rx_next), 0);
}

void peer_wait_closed(struct peer *peer) {
  WAIT(peer->closed == 1);
}

void peer_expect_closed(struct peer *peer) {
  peer_wait_closed(peer);
  CU_ASSERT_EQUAL(LOCKED(peer->rx_count - peer->rx_next), 0);
}

/* --- Suites --------------------------------------------------------------- */

static int blocking_1(void) {
  mode.handlers = WWR_HANDLERS_BLOCKING;
  mode.io_threads = 1;
  return 0;
}

static int blocking_2(void) {
  mode.handlers = WWR_HANDLERS_BLOCKING;
  mode.io_threads = 2;
  return 0;
}

static int nonblocking_1(void) {
  mode.handlers = WWR_HANDLERS_NONBLOCKING;
  mode.io_threads = 1;
  return 0;
}

static int nonblocking_2(void) {
  mode.handlers = WWR_HANDLERS_NONBLOCKING;
  mode.io_threads = 2;
  return 0;
}

int fixture_main(int argc, char **argv, CU_TestInfo *tests) {
  CU_SuiteInfo suites[] = {
      {"nonblocking_1", nonblocking_1, NULL, setup, teardown, tests},
      {"nonblocking_2", nonblocking_2, NULL, setup, teardown, tests},
      {"blocking_1", blocking_1, NULL, setup, teardown, tests},
      {"blocking_2", blocking_2, NULL, setup, teardown, tests},
      CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
