#include "transport_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct fixture fix;
static const struct subject *selected;
static size_t selected_loops;

/* Set while this thread is inside a call into the transport. */
static _Thread_local bool in_call;

void fixture_select(const struct subject *subject, size_t loop_count) {
  selected = subject;
  selected_loops = loop_count;
}

/* Waiting */

struct timespec fixture_deadline(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += WAIT_SECONDS;
  return until;
}

int fixture_wait(const struct timespec *until) {
  return pthread_cond_timedwait(&fix.changed, &fix.lock, until);
}

static void lock(void) {
  pthread_mutex_lock(&fix.lock);
}

static void unlock_changed(void) {
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
}

struct call {
  struct wwri_mail mail;
  void (*fn)(void *arg);
  void *arg;
  bool done;
};

static void run_call(struct wwri_mail *mail) {
  struct call *call = WWRI_CONTAINER(mail, struct call, mail);
  call->fn(call->arg);
  lock();
  call->done = true;
  unlock_changed();
}

/* Waits without a deadline: `call` is on our stack. CTest has one. */
void run_on(struct wwri_loop *loop, void (*fn)(void *arg), void *arg) {
  struct call call = {{NULL, run_call}, fn, arg, false};
  wwri_loop_post(loop, &call.mail);
  lock();
  while (!call.done) pthread_cond_wait(&fix.changed, &fix.lock);
  pthread_mutex_unlock(&fix.lock);
}

static void nothing(void *arg) {
  (void)arg;
}

void settle(void) {
  for (int i = 0; i < 20; i++) {
    for (size_t k = 0; k < fix.loop_count; k++) {
      run_on(fix.loops[k], nothing, NULL);
    }
    run_on(fix.client_loop, nothing, NULL);
  }
}

/* Messages: their number decides every byte. */

static uint8_t byte_of(uint32_t number, size_t i) {
  return (uint8_t)(number * 31u + (number >> 8) * 7u + (uint32_t)i * 13u +
                   (uint32_t)(i >> 8));
}

static struct wwri_frame *make_message(uint32_t number, size_t len) {
  struct wwri_frame *frame = wwri_frame_new(len);
  if (!frame) return NULL;
  uint8_t *bytes = wwri_frame_message(frame);
  for (size_t i = 0; i < len; i++) bytes[i] = byte_of(number, i);
  return frame;
}

static bool is_message(struct wwr_view view, uint32_t number) {
  for (size_t i = 0; i < view.len; i++) {
    if (view.data[i] != byte_of(number, i)) return false;
  }
  return true;
}

/* Events of a pipe */

static bool event_is_good(const struct end *end, const struct wwri_pipe *pipe) {
  return !in_call && wwri_loop_is_current(pipe->loop) && end->opened == 1 &&
         end->closed == 0 && end->pipe == pipe;
}

static void on_message(struct wwri_pipe *pipe, struct wwr_view bytes) {
  struct end *end = pipe->user;
  lock();
  if (!event_is_good(end, pipe) || end->violations > 0) end->bad++;
  if (!is_message(bytes, end->received)) end->bad++;
  end->received++;
  end->bytes += bytes.len;
  end->last_rx_ms = pipe->last_rx_ms;
  bool pause = end->pause_at && end->received % end->pause_at == 0;
  bool close = end->close_at == end->received;
  unlock_changed();
  in_call = true;
  if (pause) pipe->ops->pause(pipe, true);
  if (close) pipe->ops->close(pipe, WWRI_CLOSE_NORMAL);
  in_call = false;
}

static void on_violation(struct wwri_pipe *pipe, uint16_t close_code) {
  struct end *end = pipe->user;
  lock();
  if (!event_is_good(end, pipe)) end->bad++;
  end->violations++;
  end->violation_code = close_code;
  unlock_changed();
}

static void on_closed(struct wwri_pipe *pipe, wwr_err reason) {
  struct end *end = pipe->user;
  lock();
  if (!event_is_good(end, pipe)) end->bad++;
  end->closed++;
  end->reason = reason;
  end->pipe = NULL;
  unlock_changed();
}

static const struct wwri_pipe_events pipe_events = {
    .message = on_message,
    .violation = on_violation,
    .closed = on_closed,
};

static void open_end(struct end *end, struct wwri_pipe *pipe, bool hold) {
  pipe->events = &pipe_events;
  pipe->user = end;
  lock();
  if (in_call || !wwri_loop_is_current(pipe->loop)) end->bad++;
  if (!pipe->ops->remote(pipe)) end->bad++;
  end->opened++;
  end->pipe = pipe;
  end->loop = pipe->loop;
  unlock_changed();
  if (hold) return;
  in_call = true;
  pipe->ops->release(pipe);
  in_call = false;
}

/* Events of the transport */

static bool on_upgrade(void *owner, size_t shard, struct wwr_http *http,
                       void **token) {
  bool good = owner == &fix && shard < fix.loop_count && !in_call &&
              wwri_loop_is_current(fix.loops[shard]) && wwr_http_path(http) &&
              wwr_http_method(http) && wwr_http_remote(http);
  lock();
  if (!good) fix.bad++;
  bool (*upgrade)(struct wwr_http * http) = fix.upgrade;
  pthread_mutex_unlock(&fix.lock);
  if (upgrade && !upgrade(http)) return false;
  lock();
  struct end *end = fix.taken < ENDS_MAX ? &fix.server_ends[fix.taken++] : NULL;
  if (end) end->taken = true;
  unlock_changed();
  *token = end;
  return end != NULL;
}

static void on_abandoned(void *owner, size_t shard, void *token) {
  struct end *end = token;
  lock();
  if (owner != &fix || shard >= fix.loop_count || end->opened) fix.bad++;
  end->abandoned = true;
  unlock_changed();
}

static void on_opened(void *owner, size_t shard, void *token,
                      struct wwri_pipe *pipe) {
  struct end *end = token;
  lock();
  if (owner != &fix || pipe->loop != fix.loops[shard]) fix.bad++;
  bool hold = fix.hold_servers;
  pthread_mutex_unlock(&fix.lock);
  open_end(end, pipe, hold);
  lock();
  fix.opened++;
  unlock_changed();
}

static void on_http(void *owner, size_t shard, struct wwr_http *http) {
  (void)owner;
  (void)shard;
  struct wwr_view none = {NULL, 0};
  wwr_err err = wwr_http_respond(http, 404, NULL, none);
  (void)err;
}

static const struct wwri_accept_events accept_events = {
    .upgrade = on_upgrade,
    .abandoned = on_abandoned,
    .opened = on_opened,
    .http = on_http,
};

/* Events of a dialer */

static void on_dialed(void *owner, struct wwri_pipe *pipe) {
  struct client *client = owner;
  open_end(&client->end, pipe, client->end.hold);
}

static void on_dial_failed(void *owner, wwr_err reason, int http_status) {
  struct client *client = owner;
  lock();
  if (in_call || !wwri_loop_is_current(fix.client_loop)) client->end.bad++;
  client->failed++;
  client->fail_reason = reason;
  client->status = http_status;
  unlock_changed();
}

static const struct wwri_dial_events dial_events = {
    .opened = on_dialed,
    .failed = on_dial_failed,
};

/* Life */

static void set_defaults(void) {
  memset(&fix, 0, sizeof(fix));
  pthread_mutex_init(&fix.lock, NULL);
  pthread_cond_init(&fix.changed, NULL);
  fix.subject = selected;
  fix.loop_count = selected_loops;
  fix.config.max_message_bytes = 2 * 1024 * 1024;
  fix.config.max_queued_bytes = 256 * 1024 * 1024;
  fix.config.close_linger_ms = 20 * 1000;
  fix.dialer_config.max_message_bytes = fix.config.max_message_bytes;
  fix.dialer_config.max_queued_bytes = fix.config.max_queued_bytes;
  fix.dialer_config.close_linger_ms = fix.config.close_linger_ms;
}

static bool start_loop(struct wwri_loop **out, const char *name) {
  if (wwri_loop_new(out)) return false;
  return wwri_loop_start(*out, name) == WWR_OK;
}

bool fixture_try_setup(void) {
  set_defaults();
  for (size_t i = 0; i < fix.loop_count; i++) {
    if (!start_loop(&fix.loops[i], "server")) return false;
  }
  if (!start_loop(&fix.client_loop, "clients")) return false;
  return fix.subject->make_transport(&fix.transport, &fix.data) == WWR_OK;
}

void fixture_setup(void) {
  CU_ASSERT_TRUE_FATAL(fixture_try_setup());
}

wwr_err fixture_start(void) {
  fix.config.loops = fix.loops;
  fix.config.loop_count = fix.loop_count;
  fix.config.events = &accept_events;
  fix.config.owner = &fix;
  wwr_err err = fix.transport->ops->start(fix.transport, &fix.config);
  fix.started = err == WWR_OK;
  return err;
}

static void check_ends(void) {
  for (int i = 0; i < fix.taken; i++) {
    const struct end *end = &fix.server_ends[i];
    CU_ASSERT_EQUAL(end->opened + end->abandoned, 1);
    CU_ASSERT_EQUAL(end->closed, end->opened);
    CU_ASSERT_EQUAL(end->bad, 0);
  }
  for (int i = 0; i < fix.client_count; i++) {
    const struct end *end = &fix.clients[i].end;
    CU_ASSERT_EQUAL(end->closed, end->opened);
    CU_ASSERT_EQUAL(end->bad, 0);
  }
  CU_ASSERT_EQUAL(fix.bad, 0);
}

void fixture_teardown(void) {
  for (int i = 0; i < fix.client_count; i++) {
    fix.clients[i].dialer->ops->stop(fix.clients[i].dialer);
  }
  if (fix.transport) fix.transport->ops->stop(fix.transport);
  check_ends();
  for (size_t i = 0; i < fix.loop_count; i++) {
    if (fix.loops[i]) wwri_loop_stop(fix.loops[i]);
  }
  if (fix.client_loop) wwri_loop_stop(fix.client_loop);
  for (int i = 0; i < fix.client_count; i++) {
    wwr_dialer_free(fix.clients[i].dialer);
  }
  wwr_transport_free(fix.transport);
  if (fix.subject->free_data) fix.subject->free_data(fix.data);
  for (size_t i = 0; i < fix.loop_count; i++) wwri_loop_free(fix.loops[i]);
  wwri_loop_free(fix.client_loop);
  pthread_cond_destroy(&fix.changed);
  pthread_mutex_destroy(&fix.lock);
}

/* Clients */

struct client *client_new(void) {
  struct client *client = &fix.clients[fix.client_count];
  const char *address = fix.transport->ops->address(fix.transport);
  if (fix.subject->make_dialer(&client->dialer, address, fix.data)) {
    return NULL;
  }
  fix.client_count++; /* teardown stops and frees it from here on */
  fix.dialer_config.loop = fix.client_loop;
  fix.dialer_config.events = &dial_events;
  fix.dialer_config.owner = client;
  wwr_err err = client->dialer->ops->start(client->dialer, &fix.dialer_config);
  return err ? NULL : client;
}

struct dial_call {
  struct client *client;
  uint32_t timeout_ms;
  wwr_err err;
};

static void call_dial(void *arg) {
  struct dial_call *call = arg;
  struct wwr_dialer *dialer = call->client->dialer;
  in_call = true;
  call->err = dialer->ops->dial(dialer, call->timeout_ms);
  in_call = false;
}

wwr_err client_dial(struct client *client, uint32_t timeout_ms) {
  struct dial_call call = {client, timeout_ms, WWR_OK};
  run_on(fix.client_loop, call_dial, &call);
  return call.err;
}

struct end *connect_client(struct client **out) {
  struct client *client = client_new();
  CU_ASSERT_PTR_NOT_NULL_FATAL(client);
  int before = fix.opened;
  CU_ASSERT_EQUAL_FATAL(client_dial(client, 20 * 1000), WWR_OK);
  WAIT(client->failed || (client->end.opened && fix.opened > before));
  CU_ASSERT_EQUAL_FATAL(client->failed, 0);
  *out = client;
  return &fix.server_ends[fix.taken - 1];
}

struct client *dial_refused(wwr_err reason, int status) {
  struct client *client = client_new();
  CU_ASSERT_PTR_NOT_NULL_FATAL(client);
  CU_ASSERT_EQUAL_FATAL(client_dial(client, 20 * 1000), WWR_OK);
  WAIT(client->failed || client->end.opened);
  CU_ASSERT_EQUAL(client->failed, 1);
  CU_ASSERT_EQUAL(client->end.opened, 0);
  CU_ASSERT_EQUAL(client->fail_reason, reason);
  CU_ASSERT_EQUAL(client->status, status);
  return client;
}

/* Calls on a pipe */

enum op {
  OP_SEND,
  OP_FRAME,
  OP_RELEASE,
  OP_PAUSE,
  OP_CLOSE,
  OP_ABORT,
  OP_READ
};

struct op_call {
  struct end *end;
  enum op op;
  uint32_t first;
  uint32_t count;
  size_t len;
  struct wwri_frame *frame;
  bool paused;
  uint16_t code;
  uint32_t max_message;
  wwr_err err;
  uint32_t queued_bytes;
  uint64_t now_ms;
  uint64_t last_rx_ms;
};

static wwr_err send_many(struct wwri_pipe *pipe, const struct op_call *call) {
  for (uint32_t i = 0; i < call->count; i++) {
    struct wwri_frame *frame = make_message(call->first + i, call->len);
    if (!frame) return WWR_E_NOMEM;
    wwr_err err = pipe->ops->send(pipe, frame);
    if (err) return err;
  }
  return WWR_OK;
}

static void call_op_on(struct op_call *call, struct wwri_pipe *pipe) {
  switch (call->op) {
    case OP_SEND:
      call->err = send_many(pipe, call);
      break;
    case OP_FRAME:
      call->err = pipe->ops->send(pipe, wwri_frame_ref(call->frame));
      break;
    case OP_RELEASE:
      pipe->ops->release(pipe);
      break;
    case OP_PAUSE:
      pipe->ops->pause(pipe, call->paused);
      break;
    case OP_CLOSE:
      break; /* below, behind a send as well */
    case OP_ABORT:
      pipe->ops->abort(pipe);
      break;
    case OP_READ:
      break;
  }
  if (call->code) pipe->ops->close(pipe, call->code);
  if (call->max_message) pipe->max_message_bytes = call->max_message;
  call->queued_bytes = pipe->queued_bytes;
  call->now_ms = wwri_loop_now_ms(pipe->loop);
  call->last_rx_ms = pipe->last_rx_ms;
}

/* Only the loop's thread changes end->pipe, so it may read it unlocked. */
static void call_op(void *arg) {
  struct op_call *call = arg;
  struct wwri_pipe *pipe = call->end->pipe;
  if (!pipe) {
    call->err = WWR_E_DISCONNECTED;
    return;
  }
  in_call = true;
  call_op_on(call, pipe);
  in_call = false;
}

static wwr_err run_op(struct end *end, struct op_call *call) {
  call->end = end;
  run_on(end->loop, call_op, call);
  return call->err;
}

wwr_err end_send(struct end *end, uint32_t first, uint32_t count, size_t len) {
  struct op_call call = {
      .op = OP_SEND, .first = first, .count = count, .len = len};
  return run_op(end, &call);
}

wwr_err end_send_and_close(struct end *end, uint32_t count, size_t len) {
  struct op_call call = {
      .op = OP_SEND, .count = count, .len = len, .code = WWRI_CLOSE_NORMAL};
  return run_op(end, &call);
}

struct wwri_frame *message_frame(size_t len) {
  return make_message(0, len);
}

wwr_err end_send_frame(struct end *end, struct wwri_frame *frame) {
  struct op_call call = {.op = OP_FRAME, .frame = frame};
  return run_op(end, &call);
}

void end_release(struct end *end) {
  struct op_call call = {.op = OP_RELEASE};
  run_op(end, &call);
}

void end_pause(struct end *end, bool paused) {
  struct op_call call = {.op = OP_PAUSE, .paused = paused};
  run_op(end, &call);
}

void end_close(struct end *end, uint16_t code) {
  struct op_call call = {.op = OP_CLOSE, .code = code};
  run_op(end, &call);
}

void end_abort(struct end *end) {
  struct op_call call = {.op = OP_ABORT};
  run_op(end, &call);
}

void end_set_max_message(struct end *end, uint32_t bytes) {
  struct op_call call = {.op = OP_READ, .max_message = bytes};
  run_op(end, &call);
}

uint32_t end_queued_bytes(struct end *end) {
  struct op_call call = {.op = OP_READ};
  run_op(end, &call);
  return call.queued_bytes;
}

void end_times(struct end *end, uint64_t *now_ms, uint64_t *last_rx_ms) {
  struct op_call call = {.op = OP_READ};
  run_op(end, &call);
  *now_ms = call.now_ms;
  *last_rx_ms = call.last_rx_ms;
}

struct wwri_transport_stats server_stats(void) {
  struct wwri_transport_stats stats;
  memset(&stats, 0, sizeof(stats));
  fix.transport->ops->stats(fix.transport, &stats);
  return stats;
}

bool connections_become(uint64_t count) {
  struct timespec until = fixture_deadline();
  struct timespec now;
  do {
    if (server_stats().connections == count) return true;
    settle();
    clock_gettime(CLOCK_REALTIME, &now);
  } while (now.tv_sec < until.tv_sec);
  return false;
}
