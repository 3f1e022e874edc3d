/* Graceful shutdown (docs/protocol.md, "Transport" and "Requests"), on a thread
 * of its own so that it can be asked for anywhere, hooks included.
 *
 * Happy path: refuse new connections and requests -> refuse what waits -> open
 * handlers finish and their replies are queued -> every connection is closed
 * with 1001 behind its last reply -> the transport stops -> the bus is closed,
 * unless something is still open: then the server's end does it. Each wait is
 * bounded by shutdown_timeout_ms and ended early by wwr_server_abort(). */
#include <errno.h>
#include <time.h>

#include "internal.h"

enum { CLOSE_WAIT_MS = WWRI_CLOSE_LINGER_MS + 1000 };

void wwri_shutdown_nudge(struct wwr_server *server) {
  if (!atomic_load(&server->stopping)) return;
  pthread_mutex_lock(&server->control.lock);
  pthread_cond_broadcast(&server->control.changed);
  pthread_mutex_unlock(&server->control.lock);
}

static bool no_work(const struct wwr_server *server) {
  return atomic_load(&server->open_work) == 0;
}

static bool no_conns(const struct wwr_server *server) {
  return atomic_load(&server->live_conns) == 0;
}

static bool no_pipes(const struct wwr_server *server) {
  return atomic_load(&server->live_pipes) == 0;
}

static bool idle(const struct wwr_server *server) {
  return no_work(server) && no_conns(server);
}

static bool nothing_late(const struct wwr_server *server) {
  return atomic_load(&server->late_work) == 0;
}

static struct timespec after(uint32_t ms) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  at.tv_sec += ms / 1000;
  at.tv_nsec += (long)(ms % 1000) * 1000000;
  if (at.tv_nsec >= 1000000000) {
    at.tv_sec++;
    at.tv_nsec -= 1000000000;
  }
  return at;
}

/* True when it came true; false after `ms` (0: never) or on abort. */
static bool wait_for(struct wwr_server *server,
                     bool (*done)(const struct wwr_server *), uint32_t ms) {
  struct timespec until = after(ms);
  int rc = 0;
  pthread_mutex_lock(&server->control.lock);
  while (!done(server) && !server->control.abort && rc != ETIMEDOUT) {
    rc =
        ms ? pthread_cond_timedwait(&server->control.changed,
                                    &server->control.lock, &until)
           : pthread_cond_wait(&server->control.changed, &server->control.lock);
  }
  pthread_mutex_unlock(&server->control.lock);
  return done(server);
}

static void wait_until(struct wwr_server *server,
                       bool (*done)(const struct wwr_server *)) {
  pthread_mutex_lock(&server->control.lock);
  while (!done(server)) {
    pthread_cond_wait(&server->control.changed, &server->control.lock);
  }
  pthread_mutex_unlock(&server->control.lock);
}

void wwri_shutdown_wait_idle(struct wwr_server *server) {
  wait_until(server, idle);
}

void wwri_shutdown_wait_late(struct wwr_server *server) {
  wait_until(server, nothing_late);
}

static void refuse_inbox(struct wwr_conn *conn, void *arg) {
  (void)arg;
  wwri_inbox_refuse(conn);
}

static void close_conn(struct wwr_conn *conn, void *arg) {
  (void)arg;
  /* Still in on_connected: it is closed as soon as that has returned. */
  if (conn->state == WWRI_CONN_CONNECTING && !conn->channels.awaiting) return;
  wwri_conn_close_now(conn, WWRI_CLOSE_GOING_AWAY, WWR_OK);
}

void wwri_shutdown_end_channels(struct wwr_server *server) {
  wwri_channels_close(server);
  wait_until(server, wwri_channels_quiet);
}

static void warn(struct wwr_server *server, const char *message) {
  wwri_log(&server->opts.log, WWR_LOG_WARN, 0, message, NULL);
}

static void stop_gracefully(struct wwr_server *server) {
  bool (*closed)(const struct wwr_server *) = no_conns;
  wwri_each_conn(server, refuse_inbox, NULL);
  if (!wait_for(server, no_work, server->opts.shutdown_timeout_ms)) {
    warn(server, "shutdown: open handlers are cut off");
    closed = no_pipes; /* on_disconnected waits for those handlers */
  }
  atomic_store(&server->closing_all, true);
  wwri_each_conn(server, close_conn, NULL);
  if (!wait_for(server, closed, CLOSE_WAIT_MS)) {
    warn(server, "shutdown: open connections are cut off");
  }
  server->transport->ops->stop(server->transport);
  if (idle(server)) wwri_channels_close(server);
}

static void set_stopped(struct wwr_server *server) {
  server->control.state = WWRI_SERVER_STOPPED;
  pthread_cond_broadcast(&server->control.changed);
}

void *wwri_shutdown_thread(void *arg) {
  struct wwr_server *server = arg;
  pthread_mutex_lock(&server->control.lock);
  while (server->control.state == WWRI_SERVER_RUNNING) {
    pthread_cond_wait(&server->control.changed, &server->control.lock);
  }
  pthread_mutex_unlock(&server->control.lock);
  wwri_drain_run(server);
  wwr_server_shutdown_async(server); /* unless it is what ended the drain */
  server->transport->ops->refuse(server->transport);
  stop_gracefully(server);
  pthread_mutex_lock(&server->control.lock);
  set_stopped(server);
  pthread_mutex_unlock(&server->control.lock);
  return NULL;
}

void wwr_server_shutdown_async(struct wwr_server *server) {
  pthread_mutex_lock(&server->control.lock);
  if (server->control.state == WWRI_SERVER_NEW) {
    set_stopped(server);
  } else if (server->control.state < WWRI_SERVER_STOPPING) {
    server->control.state = WWRI_SERVER_STOPPING;
    pthread_cond_broadcast(&server->control.changed);
  }
  atomic_store(&server->draining, true);
  atomic_store(&server->stopping, true);
  pthread_mutex_unlock(&server->control.lock);
}

void wwr_server_abort(struct wwr_server *server) {
  pthread_mutex_lock(&server->control.lock);
  server->control.abort = true;
  pthread_cond_broadcast(&server->control.changed);
  pthread_mutex_unlock(&server->control.lock);
}

void wwr_server_wait(struct wwr_server *server) {
  pthread_mutex_lock(&server->control.lock);
  while (server->control.state != WWRI_SERVER_STOPPED) {
    pthread_cond_wait(&server->control.changed, &server->control.lock);
  }
  pthread_mutex_unlock(&server->control.lock);
}

void wwr_server_shutdown(struct wwr_server *server) {
  wwr_server_shutdown_async(server);
  wwr_server_wait(server);
}
