/* One lws context on one loop: how it comes and how it goes.
 *
 * Going is the delicate part. lws_context_destroy() on a loop that is not its
 * own only begins; its libuv handles close over the next passes, and a second
 * call then frees the context (4.1), or it frees itself (4.3). Nothing says
 * when that is, so the handles that go last are noted when they come, and
 * looked for until they are gone from the loop.
 *
 * And 4.1 closes the descriptor of its event pipe twice, some passes apart: in
 * between another thread may have got that number for a socket of its own. 4.3
 * never closes it. So it is kept under a second number and, where it has lost
 * its own, put back at once, for lws to close; what is still there in the end
 * is closed here. A lower number is free for what others open before it is put
 * back, since the lowest one is given out. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

#include "websocket.h"

/* Not 0: libuv would fire it again in the same pass. */
enum { STOP_POLL_MS = 1, STOP_POLLS_MAX = 50, SECOND_MS = 1000 };

/* lws' process-wide state: the TLS set-up must happen once, because 4.1 gives
 * out new OpenSSL ex_data indexes each time, under the connections of contexts
 * that are there already (docs/libwebsockets.md). */
static pthread_mutex_t creation = PTHREAD_MUTEX_INITIALIZER;

static uint64_t global_options(bool tls) {
  static bool ready; /* guarded by `creation` */
  if (!tls || ready) return 0;
  ready = true;
  return LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
}

/* Handles */

struct handle_search {
  struct wwri_ws_shard *shard;
  unsigned seen;
  unsigned before; /* handles that were there already */
  unsigned found;
};

static void count_handle(uv_handle_t *handle, void *arg) {
  (void)handle;
  ((struct handle_search *)arg)->before++;
}

/* Handles are walked in the order in which they were made; the first that polls
 * is the event pipe's. */
static void note_handle(uv_handle_t *handle, void *arg) {
  struct handle_search *search = arg;
  if (search->seen++ < search->before) return;
  if (handle->type == UV_POLL && search->shard->event_fd < 0) {
    uv_os_fd_t fd;
    if (uv_fileno(handle, &fd) == 0) search->shard->event_fd = fd;
  }
  if (handle->type != UV_IDLE && handle->type != UV_TIMER) return;
  if (search->found == WWRI_WS_STATIC_HANDLES) return;
  search->shard->static_handles[search->found++] = handle;
}

static void find_handle(uv_handle_t *handle, void *arg) {
  struct handle_search *search = arg;
  for (int i = 0; i < WWRI_WS_STATIC_HANDLES; i++) {
    if (search->shard->static_handles[i] == handle) search->found++;
  }
}

/* Coming */

static void on_todo(struct wwri_timer *timer) {
  struct wwri_ws_shard *shard =
      WWRI_CONTAINER(timer, struct wwri_ws_shard, todo_timer);
  struct wwri_list batch;
  struct wwri_list *node;
  wwri_list_init(&batch);
  wwri_list_splice(&batch, &shard->todo);
  while ((node = wwri_list_pop(&batch))) {
    wwri_ws_pipe_work(WWRI_CONTAINER(node, struct wwri_ws_pipe, todo_link));
  }
}

void wwri_ws_todo(struct wwri_ws_pipe *pipe) {
  if (!pipe->opened || !wwri_list_empty(&pipe->todo_link)) return;
  wwri_list_append(&pipe->shard->todo, &pipe->todo_link);
  if (!pipe->shard->todo_timer.armed) {
    wwri_loop_timer_set(pipe->shard->loop, &pipe->shard->todo_timer, 0);
  }
}

static void on_stop_poll(struct wwri_timer *timer);

void wwri_ws_shard_init(struct wwri_ws_shard *shard, struct wwri_loop *loop,
                        const struct wwri_ws_shard_events *events,
                        const struct wwr_log *log) {
  shard->loop = loop;
  shard->events = events;
  shard->log = log;
  shard->event_fd = -1;
  shard->spare_fd = shard->kept_fd = -1;
  wwri_list_init(&shard->pipes);
  wwri_list_init(&shard->dirty);
  wwri_list_init(&shard->bulk);
  wwri_list_init(&shard->todo);
  wwri_flusher_init(&shard->flusher, wwri_ws_flush);
  wwri_flusher_init_ranked(&shard->bulk_flusher, wwri_ws_flush_bulk,
                           WWRI_RANK_BULK);
  wwri_timer_init(&shard->todo_timer, on_todo);
  wwri_timer_init(&shard->stop_timer, on_stop_poll);
}

/* All values together; a page's cookies alone may take half of it. */
enum { HEADERS_MAX = 16384 };

/* No liveness checks by lws: its list of timers is sorted, O(n). */
static const lws_retry_bo_t no_retry;

static void fill_info(struct lws_context_creation_info *info,
                      struct wwri_ws_shard *shard,
                      const struct wwri_ws_context_opts *opts,
                      const struct lws_protocols *protocols) {
  memset(info, 0, sizeof(*info));
  info->port = CONTEXT_PORT_NO_LISTEN_SERVER;
  info->protocols = protocols;
  info->options = opts->options | LWS_SERVER_OPTION_LIBUV |
                  LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
  info->pt_serv_buf_size = (unsigned)opts->serv_buf;
  info->max_http_header_data2 = HEADERS_MAX;
  info->retry_and_idle_policy = &no_retry;
  info->alpn = "http/1.1"; /* raw frames would break inside HTTP/2 */
  info->fd_limit_per_thread = opts->fd_limit;
  info->timeout_secs = (opts->handshake_timeout_ms + SECOND_MS - 1) / SECOND_MS;
  info->timeout_secs_ah_idle = info->timeout_secs; /* from the first byte on */
  info->http_proxy_address = "none:0"; /* whatever $http_proxy says */
  info->pcontext = &shard->context;
  info->user = shard;
  info->vhost_name = "webwire";
}

static wwr_err create(struct wwri_ws_shard *shard,
                      const struct wwri_ws_context_opts *opts) {
  const struct lws_protocols protocols[] = {
      {.name = "",
       .callback = opts->callback,
       .per_session_data_size = sizeof(void *), /* for DROP_PROTOCOL */
       .rx_buffer_size = opts->rx_buffer,
       .tx_packet_size = WWRI_WS_TX_PACKET},
      {.name = NULL}};
  struct lws_context_creation_info info;
  void *loops[1] = {wwri_loop_uv(shard->loop)};
  fill_info(&info, shard, opts, protocols);
  info.foreign_loops = loops;
  info.options |= global_options(opts->tls);
  shard->context = lws_create_context(&info);
  if (!shard->context) return WWR_E_IO;
  if (opts->tls) {
    info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.provided_client_ssl_ctx = opts->client_ssl_ctx;
  }
  shard->vhost = lws_create_vhost(shard->context, &info);
  return shard->vhost ? WWR_OK : WWR_E_IO;
}

wwr_err wwri_ws_shard_open(struct wwri_ws_shard *shard,
                           const struct wwri_ws_context_opts *opts) {
  struct handle_search search = {.shard = shard};
  shard->spare_fd = memfd_create("webwire", MFD_CLOEXEC);
  wwri_ws_log_to(shard->log);
  uv_walk(wwri_loop_uv(shard->loop), count_handle, &search);
  pthread_mutex_lock(&creation);
  wwr_err err = create(shard, opts);
  pthread_mutex_unlock(&creation);
  uv_walk(wwri_loop_uv(shard->loop), note_handle, &search);
  return err;
}

/* Going */

static void finish_pipes(struct wwri_ws_shard *shard) {
  while (!wwri_list_empty(&shard->pipes)) {
    struct wwri_ws_pipe *pipe =
        WWRI_CONTAINER(shard->pipes.next, struct wwri_ws_pipe, link);
    wwri_ws_pipe_kill(pipe, WWR_E_DISCONNECTED);
    wwri_ws_pipe_finish(pipe);
  }
}

static void release(struct wwri_ws_shard *shard) {
  wwri_flusher_cancel(&shard->flusher);
  wwri_flusher_cancel(&shard->bulk_flusher);
  wwri_loop_timer_cancel(shard->loop, &shard->todo_timer);
  wwri_ws_ping_deinit(shard);
  free(shard->scratch);
  shard->scratch = NULL;
}

static void drop(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void keep_event_fd(struct wwri_ws_shard *shard) {
  if (shard->event_fd < 0) return;
  shard->kept_fd = fcntl(shard->event_fd, F_DUPFD_CLOEXEC, shard->event_fd);
  drop(&shard->spare_fd);
}

static void hold_event_fd(const struct wwri_ws_shard *shard) {
  if (shard->kept_fd < 0) return;
  int fd = fcntl(shard->kept_fd, F_DUPFD_CLOEXEC, shard->event_fd);
  if (fd >= 0 && fd != shard->event_fd) close(fd); /* it is still there */
}

/* Two numbers of one descriptor have the same flags, whatever they are. */
static bool are_one(int a, int b) {
  int flags = fcntl(a, F_GETFL);
  if (flags < 0 || fcntl(b, F_GETFL) != flags) return false;
  (void)fcntl(a, F_SETFL, flags ^ O_NONBLOCK);
  bool one = fcntl(b, F_GETFL) == (flags ^ O_NONBLOCK);
  (void)fcntl(a, F_SETFL, flags);
  return one;
}

static void drop_event_fd(struct wwri_ws_shard *shard) {
  if (are_one(shard->kept_fd, shard->event_fd)) close(shard->event_fd);
  shard->event_fd = -1;
  drop(&shard->kept_fd);
  drop(&shard->spare_fd);
}

static bool handles_are_gone(struct wwri_ws_shard *shard) {
  struct handle_search search = {.shard = shard};
  if (!shard->context) return true; /* it has freed itself */
  uv_walk(wwri_loop_uv(shard->loop), find_handle, &search);
  return search.found == 0;
}

/* Connections first, so that destroying the context is short, and with it the
 * time in which the event pipe's number is nobody's. */
static void destroy_when_idle(struct wwri_ws_shard *shard) {
  wwri_loop_timer_set(shard->loop, &shard->stop_timer, STOP_POLL_MS);
  if (shard->wsi_count > 0 && ++shard->stop_polls < STOP_POLLS_MAX) return;
  shard->destroying = true;
  if (!shard->context) return;
  keep_event_fd(shard);
  lws_context_destroy(shard->context);
  hold_event_fd(shard);
}

static void on_stop_poll(struct wwri_timer *timer) {
  struct wwri_ws_shard *shard =
      WWRI_CONTAINER(timer, struct wwri_ws_shard, stop_timer);
  if (!shard->destroying) {
    destroy_when_idle(shard);
    return;
  }
  if (!handles_are_gone(shard)) {
    wwri_loop_timer_set(shard->loop, timer, STOP_POLL_MS);
    return;
  }
  pthread_mutex_lock(&creation);
  if (shard->context) lws_context_destroy(shard->context);
  pthread_mutex_unlock(&creation);
  shard->context = NULL;
  drop_event_fd(shard);
  wwri_ws_log_to(NULL);
  shard->events->stopped(shard);
}

void wwri_ws_shard_stop(struct wwri_ws_shard *shard) {
  finish_pipes(shard);
  release(shard);
  wwri_loop_timer_set(shard->loop, &shard->stop_timer, STOP_POLL_MS);
}
