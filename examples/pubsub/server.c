/* pubsub-server - signals the current time to every client each second. */
#include <webwire/wwr_server.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>

#include "node.h"

struct clock {
  struct wwr_server *server;
  sem_t stop;
};

/* RFC 3339, in UTC. */
static void publish_time(struct wwr_server *server) {
  char text[32];
  struct tm utc;
  time_t now = time(NULL);
  if (!gmtime_r(&now, &utc)) return;
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  const struct wwr_payload payload = wwr_payload_text(text);
  wwr_server_broadcast(server, wwr_view_str(""), &payload);
}

/* True when it is time to stop, false at `when`. */
static bool stops_before(struct clock *clock, const struct timespec *when) {
  int failed;
  do {
    failed = sem_clockwait(&clock->stop, CLOCK_MONOTONIC, when);
  } while (failed && errno == EINTR);
  return !failed;
}

static void *tick(void *arg) {
  struct clock *clock = arg;
  struct timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (next.tv_sec++; !stops_before(clock, &next); next.tv_sec++) {
    publish_time(clock->server);
  }
  return NULL;
}

static int run(struct wwr_node *node) {
  struct clock clock;
  pthread_t ticker;
  int status = wwr_node_open(node, &clock.server);
  if (status != WWR_GO_ON) return status;
  sem_init(&clock.stop, 0, 0);
  if (pthread_create(&ticker, NULL, tick, &clock) != 0) {
    fputs("pubsub-server: no thread\n", stderr);
    return WWR_EXIT_FAILED;
  }
  status = wwr_node_run(node);
  sem_post(&clock.stop);
  pthread_join(ticker, NULL);
  sem_destroy(&clock.stop);
  return status;
}

int main(int argc, char **argv) {
  static const struct wwr_node_program program = {
      .name = "pubsub-server",
      .summary = "Signals the current time to every client each second.",
      .listen = "127.0.0.1:8082"};
  struct wwr_server_opts opts;
  struct wwr_node *node;
  wwr_server_opts_default(&opts);
  opts.handlers = WWR_HANDLERS_NONBLOCKING; /* there are none */

  int status = wwr_node_new(&node, &program, &opts, argc, argv);
  if (status == WWR_GO_ON) status = run(node);
  wwr_node_free(node);
  return status;
}
