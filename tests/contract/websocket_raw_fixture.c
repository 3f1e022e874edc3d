#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "websocket_raw.h"

enum {
  BIG_BODY = 3 * 1024 * 1024,
  PATTERN_MAX = MAX_MESSAGE + 1,
  QUEUE_BYTES = 4 * 1024 * 1024
};

struct raw_server raw;
struct test_cert raw_cert;

struct timespec raw_deadline(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += WAIT_MS / 1000;
  return until;
}

uint64_t raw_now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void note(int *counter) {
  pthread_mutex_lock(&raw.lock);
  ++*counter;
  pthread_cond_broadcast(&raw.changed);
  pthread_mutex_unlock(&raw.lock);
}

/* The server */

static struct wwri_frame *frame_of(const void *data, size_t len) {
  struct wwri_frame *frame = wwri_frame_new(len);
  if (frame && len) memcpy(wwri_frame_message(frame), data, len);
  return frame;
}

static void send_bytes(struct wwri_pipe *pipe, const void *data, size_t len) {
  struct wwri_frame *frame = frame_of(data, len);
  if (frame) (void)pipe->ops->send(pipe, frame);
}

struct resume {
  struct wwri_timer timer;
  struct wwri_pipe *pipe;
};

static void on_resume(struct wwri_timer *timer) {
  struct resume *resume = WWRI_CONTAINER(timer, struct resume, timer);
  if (resume->pipe->user == resume) {
    resume->pipe->user = NULL;
    resume->pipe->ops->pause(resume->pipe, false);
  }
  free(resume);
}

static void pause_for(struct wwri_pipe *pipe, uint16_t ms) {
  struct resume *resume = calloc(1, sizeof(*resume));
  if (!resume || pipe->user) {
    free(resume);
    return;
  }
  wwri_timer_init(&resume->timer, on_resume);
  resume->pipe = pipe;
  pipe->user = resume;
  pipe->ops->pause(pipe, true);
  wwri_loop_timer_set(pipe->loop, &resume->timer, ms);
}

static void flood(struct wwri_pipe *pipe, uint32_t count, uint32_t len) {
  for (uint32_t i = 0; i < count; i++) {
    struct wwri_frame *frame = wwri_frame_new(len);
    if (!frame) return;
    memset(wwri_frame_message(frame), (int)(i & 0xff), len);
    memcpy(wwri_frame_message(frame), &i, sizeof(i));
    if (pipe->ops->send(pipe, frame)) return;
  }
}

static void on_message(struct wwri_pipe *pipe, struct wwr_view bytes) {
  uint16_t value = 0;
  uint32_t numbers[2];
  note(&raw.messages);
  if (bytes.len == 3) memcpy(&value, bytes.data + 1, sizeof(value));
  if (bytes.len == 3 && bytes.data[0] == 'C') {
    pipe->ops->close(pipe, value);
  } else if (bytes.len == 3 && bytes.data[0] == 'P') {
    pause_for(pipe, value);
  } else if (bytes.len == 9 && bytes.data[0] == 'F') {
    memcpy(numbers, bytes.data + 1, sizeof(numbers));
    flood(pipe, numbers[0], numbers[1]);
  } else {
    send_bytes(pipe, bytes.data, bytes.len);
  }
}

static void on_violation(struct wwri_pipe *pipe, uint16_t close_code) {
  send_bytes(pipe, "violated", 8);
  pipe->ops->close(pipe, close_code);
}

static void on_closed(struct wwri_pipe *pipe, wwr_err reason) {
  struct resume *resume = pipe->user;
  if (resume) {
    wwri_loop_timer_cancel(pipe->loop, &resume->timer);
    free(resume);
  }
  pthread_mutex_lock(&raw.lock);
  for (int i = 0; i < PIPES_MAX; i++) {
    if (raw.pipes[i] == pipe) raw.pipes[i] = NULL;
  }
  raw.closed++;
  raw.reason = reason;
  pthread_cond_broadcast(&raw.changed);
  pthread_mutex_unlock(&raw.lock);
}

static const struct wwri_pipe_events pipe_events = {
    .message = on_message, .violation = on_violation, .closed = on_closed};

static bool on_upgrade(void *owner, size_t shard, struct wwr_http *http,
                       void **token) {
  (void)owner;
  (void)shard;
  const char *origin = wwr_http_header(http, "Origin");
  pthread_mutex_lock(&raw.lock);
  snprintf(raw.last_origin, sizeof(raw.last_origin), "%s",
           origin ? origin : "-");
  pthread_mutex_unlock(&raw.lock);
  if (strcmp(wwr_http_path(http), "/no") == 0) return false;
  if (strcmp(wwr_http_path(http), "/teapot") == 0) {
    (void)wwr_http_respond(http, 429, "text/x-tea", wwr_view_str("no tea"));
    (void)wwr_http_add_header(http, "Retry-After", "7");
    return false;
  }
  *token = &raw;
  return true;
}

static void on_abandoned(void *owner, size_t shard, void *token) {
  (void)owner;
  (void)shard;
  CU_ASSERT_PTR_EQUAL(token, &raw);
  note(&raw.abandoned);
}

static void on_opened(void *owner, size_t shard, void *token,
                      struct wwri_pipe *pipe) {
  (void)owner;
  (void)shard;
  CU_ASSERT_PTR_EQUAL(token, &raw);
  pipe->events = &pipe_events;
  pipe->user = NULL;
  pthread_mutex_lock(&raw.lock);
  for (int i = 0; i < PIPES_MAX; i++) {
    if (raw.pipes[i]) continue;
    raw.pipes[i] = pipe;
    break;
  }
  if (raw.opened < PIPES_MAX) {
    raw.opened_ms[raw.opened] = wwri_loop_now_ms(raw.loop);
  }
  raw.opened++;
  pthread_cond_broadcast(&raw.changed);
  pthread_mutex_unlock(&raw.lock);
  pipe->ops->release(pipe);
}

static void answer_bytes(struct wwr_http *http, size_t len) {
  uint8_t *body = malloc(len);
  struct wwr_view view = {body, body ? len : 0};
  if (body) memset(body, 'x', len);
  (void)wwr_http_respond(http, 200, "text/plain", view);
  free(body);
}

/* As a file that a browser may have already. */
static void answer_page(struct wwr_http *http) {
  static const char etag[] = "\"tag\"";
  const char *known = wwr_http_header(http, "If-None-Match");
  if (known && strstr(known, etag)) {
    (void)wwr_http_respond(http, 304, NULL, wwr_view_str(""));
  } else {
    answer_bytes(http, PAGE_BYTES);
  }
  (void)wwr_http_add_header(http, "ETag", etag);
}

static void on_http(void *owner, size_t shard, struct wwr_http *http) {
  (void)owner;
  (void)shard;
  const char *cookie = wwr_http_header(http, "cookie");
  const char *custom = wwr_http_header(http, "X-Own-HEADER");
  if (strcmp(wwr_http_path(http), "/big") == 0) {
    answer_bytes(http, BIG_BODY);
  } else if (strcmp(wwr_http_path(http), "/page") == 0) {
    answer_page(http);
  } else if (strcmp(wwr_http_path(http), "/query") == 0) {
    (void)wwr_http_respond(http, 200, NULL, wwr_view_str(wwr_http_query(http)));
  } else if (cookie || custom) {
    (void)wwr_http_respond(http, 200, NULL,
                           wwr_view_str(cookie ? cookie : custom));
  } else {
    (void)wwr_http_respond(http, 200, "text/plain",
                           wwr_view_str(wwr_http_method(http)));
  }
}

static const struct wwri_accept_events accept_events = {
    .upgrade = on_upgrade,
    .abandoned = on_abandoned,
    .opened = on_opened,
    .http = on_http};

static void on_log(const struct wwr_log_record *record, void *user_data) {
  (void)record;
  (void)user_data;
  note(&raw.log_lines);
}

/* Life */

static enum wwr_write_path suite_path; /* unless a test chooses another */

int raw_use_direct(void) {
  suite_path = WWR_WRITE_DIRECT;
  return 0;
}

int raw_use_callback(void) {
  suite_path = WWR_WRITE_CALLBACK;
  return 0;
}

void raw_setup(void) {
  memset(&raw, 0, sizeof(raw));
  pthread_mutex_init(&raw.lock, NULL);
  pthread_cond_init(&raw.changed, NULL);
  CU_ASSERT_EQUAL_FATAL(wwri_loop_new(&raw.loop), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwri_loop_start(raw.loop, "server"), WWR_OK);
  wwr_websocket_opts_default(&raw.opts);
  raw.opts.write_path = suite_path;
  raw.tls.cert_file = raw_cert.cert_file;
  raw.tls.key_file = raw_cert.key_file;
  raw.log.write = on_log;
  raw.log.level = WWR_LOG_WARN;
  raw.config.loops = &raw.loop;
  raw.config.loop_count = 1;
  raw.config.events = &accept_events;
  raw.config.owner = &raw;
  raw.config.log = &raw.log;
  raw.config.max_message_bytes = MAX_MESSAGE;
  raw.config.max_queued_bytes = QUEUE_BYTES;
  raw.config.close_linger_ms = LINGER_MS;
}

void raw_start(void) {
  CU_ASSERT_EQUAL_FATAL(
      wwr_websocket_transport_new(&raw.transport, &raw.opts, NULL), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(raw.transport->ops->start(raw.transport, &raw.config),
                        WWR_OK);
  const char *colon = strrchr(raw.transport->ops->address(raw.transport), ':');
  raw.port = (uint16_t)strtoul(colon + 1, NULL, 10);
}

void raw_start_with(enum wwr_write_path path, bool tls) {
  raw.opts.write_path = path;
  raw.opts.tls = tls ? &raw.tls : NULL;
  raw_start();
}

void raw_teardown(void) {
  if (raw.transport) {
    raw.transport->ops->stop(raw.transport);
    CU_ASSERT_EQUAL(raw.opened, raw.closed);
    wwr_transport_free(raw.transport);
  }
  if (raw.loop) {
    wwri_loop_stop(raw.loop);
    wwri_loop_free(raw.loop);
  }
  pthread_cond_destroy(&raw.changed);
  pthread_mutex_destroy(&raw.lock);
}

/* Clients */

struct rawws *raw_dial(void) {
  struct rawws_opts opts = {.port = raw.port, .tls = raw.opts.tls != NULL};
  struct rawws *ws = rawws_dial(&opts);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  return ws;
}

struct rawws *raw_client(int receive_buffer) {
  struct rawws_opts opts = {.port = raw.port,
                            .tls = raw.opts.tls != NULL,
                            .receive_buffer = receive_buffer};
  struct rawws *ws = rawws_dial(&opts);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_EQUAL_FATAL(rawws_upgrade(ws, NULL), 101);
  return ws;
}

int raw_status(const char *path, const char *headers) {
  struct rawws_request request = {.path = path, .headers = headers};
  struct rawws *ws = raw_dial();
  int status = rawws_upgrade(ws, &request);
  if (status != 101) CU_ASSERT_PTR_NOT_NULL(rawws_body(ws, WAIT_MS));
  rawws_free(ws);
  return status;
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
  pthread_mutex_lock(&raw.lock);
  errand->done = true;
  pthread_cond_broadcast(&raw.changed);
  pthread_mutex_unlock(&raw.lock);
}

void raw_on_loop(void (*fn)(void *arg), void *arg) {
  struct errand errand = {.mail.fn = run_errand, .fn = fn, .arg = arg};
  wwri_loop_post(raw.loop, &errand.mail);
  RAW_WAIT(errand.done);
}

const uint8_t *raw_pattern(size_t len) {
  static uint8_t pattern[PATTERN_MAX];
  CU_ASSERT_TRUE_FATAL(len <= sizeof(pattern));
  for (size_t i = 0; i < len; i++) pattern[i] = (uint8_t)(i * 7 + 1);
  return pattern;
}

bool raw_echo(struct rawws *ws, const void *data, size_t len) {
  return rawws_send(ws, data, len) && rawws_expect(ws, data, len, WAIT_MS);
}

bool raw_send_command(struct rawws *ws, char command, uint16_t value) {
  uint8_t bytes[3] = {(uint8_t)command};
  memcpy(bytes + 1, &value, sizeof(value));
  return rawws_send(ws, bytes, sizeof(bytes));
}

/* Only the loop's thread changes raw.pipes, so it may read it unlocked. */
static void resume_now(void *arg) {
  struct wwri_pipe *pipe = raw.pipes[0];
  struct resume *resume = pipe ? pipe->user : NULL;
  (void)arg;
  if (!resume) return;
  wwri_loop_timer_cancel(pipe->loop, &resume->timer);
  on_resume(&resume->timer);
}

void raw_resume(void) {
  raw_on_loop(resume_now, NULL);
}

bool raw_ask_flood(struct rawws *ws, uint32_t count, uint32_t len) {
  uint8_t bytes[9] = {'F'};
  memcpy(bytes + 1, &count, sizeof(count));
  memcpy(bytes + 5, &len, sizeof(len));
  return rawws_send(ws, bytes, sizeof(bytes));
}

bool raw_read_flood(struct rawws *ws, uint32_t count, uint32_t len) {
  for (uint32_t i = 0; i < count; i++) {
    struct rawws_message message;
    uint32_t number;
    if (rawws_recv_message(ws, &message, WAIT_MS) != RAWWS_OK) return false;
    if (message.opcode != RAWWS_BINARY || message.len != len) return false;
    memcpy(&number, message.payload, sizeof(number));
    if (number != i) return false;
    for (uint32_t at = sizeof(number); at < len; at++) {
      if (message.payload[at] != (uint8_t)i) return false;
    }
  }
  return true;
}
