/* A server's process from listening to its exit status.
 *
 * Happy path: listen -> print the address -> the main thread waits for signals
 * while a second one waits for the server's end -> SIGTERM or SIGINT begins the
 * drain, which a graceful shutdown follows -> its end is sent to the main
 * thread as a signal too.
 *
 * A second SIGTERM or SIGINT cuts the shutdown short; what even that does not
 * end within ABORT_MS is left to the kernel. The same signal within TWIN_MS is
 * no second one: timeout(1) and its kin signal a process and then its group. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node_impl.h"
#include "notify.h"

enum { ABORT_MS = 1000, TWIN_MS = 50, SIGNAL_STATUS = 128, ALIVE_MS = 5000 };

/* --- Starting ----------------------------------------------------------- */

static int start(struct wwr_node *node) {
  int status = wwri_node_admin_start(node);
  if (status != WWR_GO_ON) return status;
  wwr_err err = wwr_server_start(node->server);
  if (err != WWR_OK) {
    char what[WWRI_REASON_MAX];
    snprintf(what, sizeof what, "can't listen on %.128s", node->listen);
    return wwri_node_failed(node, what, err);
  }
  if (printf("listening on %s\n", wwr_server_address(node->server)) < 0 ||
      fflush(stdout) != 0) {
    fprintf(stderr, "%s: stdout: %s\n", node->program->name, strerror(errno));
    wwr_server_shutdown(node->server);
    return WWR_EXIT_FAILED;
  }
  wwri_notify("READY=1");
  return WWR_GO_ON;
}

/* --- Signals ------------------------------------------------------------ */

struct watch {
  struct wwr_node *node;
  pthread_t main_thread;
  uint32_t watchdog_ms; /* 0: none */
  atomic_bool stopped;  /* tells our signal from a stranger's */
};

static void *watch_server(void *arg) {
  struct watch *watch = arg;
  wwr_server_wait(watch->node->server);
  atomic_store(&watch->stopped, true);
  pthread_kill(watch->main_thread, WWRI_SIGNAL_STOPPED);
  return NULL;
}

static void reload_certificate(const struct wwr_node *node) {
  if (!node->tls.cert_file) return;
  wwr_err err = wwr_websocket_reload_certificate(node->transport);
  if (err == WWR_OK) {
    wwr_node_say(node, WWR_LOG_INFO, "certificate read again");
  } else {
    wwr_node_say(node, WWR_LOG_ERROR,
                 "certificate not read again, the old one stays");
  }
}

static void reload(struct wwr_node *node) {
  const struct wwr_node_program *program = node->program;
  wwri_notify_reloading();
  reload_certificate(node);
  if (program->on_reload) program->on_reload(node, program->user_data);
  wwri_notify("READY=1");
}

/* Without a turning loop no connection is served: then better a new process. */
static void tell_alive(const struct wwr_node *node) {
  struct wwr_loops_state loops;
  wwr_server_loops(node->server, &loops);
  if (loops.silent_ms < ALIVE_MS) wwri_notify("WATCHDOG=1");
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The next signal; 0: it is time to tell that we are alive. */
static int wait_signal(const struct watch *watch) {
  uint32_t ms = watch->watchdog_ms;
  const struct timespec step = {ms / 1000, (long)(ms % 1000) * 1000000};
  int signal = sigtimedwait(&watch->node->signals, NULL, ms ? &step : NULL);
  return signal < 0 ? 0 : signal;
}

/* The next SIGTERM or SIGINT, or 0 when the server has stopped. */
static int next_signal(const struct watch *watch) {
  for (;;) {
    int signal = wait_signal(watch);
    if (signal == 0) {
      if (watch->watchdog_ms) tell_alive(watch->node);
      continue;
    }
    if (atomic_load(&watch->stopped)) return 0;
    if (signal == SIGHUP) reload(watch->node);
    if (signal == SIGTERM || signal == SIGINT) return signal;
  }
}

static bool stops_soon(const struct watch *watch) {
  const struct timespec step = {0, 10000000};
  int64_t deadline = now_ms() + ABORT_MS;
  while (!atomic_load(&watch->stopped) && now_ms() < deadline) {
    sigtimedwait(&watch->node->signals, NULL, &step);
  }
  return atomic_load(&watch->stopped);
}

/* Handlers may hang for ever, so nothing is freed: the process just ends. */
static _Noreturn void abort_now(const struct watch *watch, int signal) {
  wwr_node_say(watch->node, WWR_LOG_WARN,
               "second signal: not waiting any longer");
  wwr_server_abort(watch->node->server);
  if (!stops_soon(watch)) wwr_node_say(watch->node, WWR_LOG_WARN, "cut off");
  fflush(stdout);
  _exit(SIGNAL_STATUS + signal);
}

static void serve(const struct watch *watch) {
  int first = next_signal(watch);
  if (first == 0) return;
  wwri_notify("STOPPING=1");
  wwr_node_say(watch->node, WWR_LOG_INFO, "shutting down");
  wwr_server_drain(watch->node->server, watch->node->drain_ms);
  int64_t twins_until = now_ms() + TWIN_MS;
  int second;
  do {
    second = next_signal(watch);
  } while (second == first && now_ms() < twins_until);
  if (second != 0) abort_now(watch, second);
}

static int run(struct wwr_node *node) {
  struct wwr_server *server;
  int status = node->server ? WWR_GO_ON : wwr_node_open(node, &server);
  if (status == WWR_GO_ON) status = start(node);
  if (status != WWR_GO_ON) return status;
  struct watch watch = {.node = node,
                        .main_thread = pthread_self(),
                        .watchdog_ms = wwri_notify_watchdog_ms()};
  pthread_t watcher;
  if (pthread_create(&watcher, NULL, watch_server, &watch) != 0) {
    fprintf(stderr, "%s: no thread\n", node->program->name);
    wwr_server_shutdown(node->server);
    return WWR_EXIT_FAILED;
  }
  serve(&watch);
  pthread_join(watcher, NULL);
  return WWR_EXIT_OK;
}

/* Probes are answered until the server has ended. */
int wwr_node_run(struct wwr_node *node) {
  int status = run(node);
  wwri_admin_free(node->admin);
  node->admin = NULL;
  return status;
}
