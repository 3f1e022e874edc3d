/* SIGTERM while hundreds of clients are busy. Each request is answered, with a
 * reply or with reply-shutdown, or its client sees the connection close, with
 * 1001; newcomers get 503; the process ends with 0 in time. */
#include "fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  CLIENTS = FAULT_SCALED(500),
  THREADS = 4,
  IN_FLIGHT = 8,
  REPLY_SHUTDOWN = 1,
  GOING_AWAY = 1001,
  EXIT_MS = 12000
};

static const char *const options[] = {"--delay", "2", "--workers", "16", NULL};

/* --- Requests that were sent before the signal ---------------------------- */

struct tally {
  long replied, refused, unanswered;
};

/* Read what is left until the end, which must be a proper one. */
static void drain(struct rawws *ws, struct tally *tally) {
  bool seen[IN_FLIGHT] = {false};
  struct fault_reply reply;
  enum rawws_result result;
  while ((result = fault_recv_reply(ws, &reply, EXIT_MS)) == RAWWS_OK) {
    CU_ASSERT_FATAL(reply.id < IN_FLIGHT && !seen[reply.id]);
    seen[reply.id] = true;
    if (reply.type == REPLY_SHUTDOWN) {
      tally->refused++;
    } else {
      tally->replied++;
    }
  }
  CU_ASSERT_EQUAL(result, RAWWS_CLOSED);
  CU_ASSERT_EQUAL(rawws_close_code(ws), GOING_AWAY);
  rawws_send_close(ws, GOING_AWAY);
  CU_ASSERT(rawws_expect_end(ws, EXIT_MS) >= 0);
  for (int i = 0; i < IN_FLIGHT; i++) tally->unanswered += !seen[i];
}

static void test_requests_open(void) {
  static struct rawws *clients[CLIENTS];
  struct fault_server server;
  struct tally tally = {0, 0, 0};
  if (!fault_start(&server, options)) return;
  for (int i = 0; i < CLIENTS; i++) {
    clients[i] = fault_client(&server, 0);
    CU_ASSERT_FATAL(clients[i] != NULL);
  }
  for (uint64_t id = 0; id < IN_FLIGHT; id++) {
    for (int i = 0; i < CLIENTS; i++) {
      CU_ASSERT(fault_send_request(clients[i], id, "slow", "x", 1));
    }
  }
  CU_ASSERT(proc_signal(server.proc, SIGTERM));
  for (int i = 0; i < CLIENTS; i++) {
    drain(clients[i], &tally);
    rawws_free(clients[i]);
  }
  fault_expect_exit(&server, EXIT_MS);
  printf("\n    %ld replied, %ld told of the shutdown, %ld closed unanswered",
         tally.replied, tally.refused, tally.unanswered);
  CU_ASSERT_EQUAL(tally.replied + tally.refused + tally.unanswered,
                  (long)CLIENTS * IN_FLIGHT);
}

/* --- Clients that go on while the server stops ---------------------------- */

struct storm {
  pthread_t thread;
  struct rawws *clients[CLIENTS / THREADS];
  long replied, refused, closed, wrong;
  const struct fault_server *server;
};

/* One request and its answer. False: the connection has ended. */
static bool talk(struct storm *storm, struct rawws *ws, uint64_t id) {
  struct fault_reply reply;
  enum rawws_result result = RAWWS_RESET;
  if (fault_send_request(ws, id, "echo", &id, sizeof id)) {
    result = fault_recv_reply(ws, &reply, EXIT_MS);
  }
  if (result == RAWWS_OK && reply.id == id) {
    if (reply.type == REPLY_SHUTDOWN) {
      storm->refused++;
    } else {
      storm->replied++;
    }
    return true;
  }
  bool closing =
      result == RAWWS_CLOSED || result == RAWWS_EOF || result == RAWWS_RESET;
  if (closing) {
    storm->closed++;
  } else {
    storm->wrong++;
  }
  return false;
}

static void *run_storm(void *arg) {
  struct storm *storm = arg;
  int open = CLIENTS / THREADS;
  for (uint64_t id = 1; open > 0; id++) {
    for (int i = 0; i < CLIENTS / THREADS; i++) {
      if (!storm->clients[i] || talk(storm, storm->clients[i], id)) continue;
      rawws_free(storm->clients[i]);
      storm->clients[i] = NULL;
      open--;
    }
  }
  return NULL;
}

static void start_storm(struct storm *storm,
                        const struct fault_server *server) {
  memset(storm, 0, sizeof *storm);
  for (int i = 0; i < CLIENTS / THREADS; i++) {
    storm->clients[i] = fault_client(server, 0);
    CU_ASSERT_FATAL(storm->clients[i] != NULL);
  }
  CU_ASSERT_FATAL(pthread_create(&storm->thread, NULL, run_storm, storm) == 0);
}

static void test_storm(void) {
  static struct storm storms[THREADS];
  struct fault_server server;
  struct fault_latency latency;
  long replied = 0, refused = 0, closed = 0, wrong = 0;
  if (!fault_start(&server, options)) return;
  struct fault_prober *prober = fault_prober_start(&server);
  for (int i = 0; i < THREADS; i++) start_storm(&storms[i], &server);
  fault_prober_take(prober, FAULT_SCALED(100), &latency);
  fault_prober_stop(prober);
  CU_ASSERT(proc_signal(server.proc, SIGTERM));
  fault_expect_exit(&server, EXIT_MS);
  for (int i = 0; i < THREADS; i++) {
    pthread_join(storms[i].thread, NULL);
    replied += storms[i].replied;
    refused += storms[i].refused;
    closed += storms[i].closed;
    wrong += storms[i].wrong;
  }
  printf("\n    %ld replied, %ld told of the shutdown, %ld connections closed",
         replied, refused, closed);
  CU_ASSERT(replied > 0);
  CU_ASSERT_EQUAL(closed, CLIENTS / THREADS * THREADS);
  CU_ASSERT_EQUAL(wrong, 0);
}

/* --- Newcomers, and clients that do not help ------------------------------ */

/* While a handler runs the listener stays open, to say 503. */
static void test_newcomers(void) {
  static const char *const slow[] = {"--delay", "1500", NULL};
  struct fault_server server;
  struct fault_reply reply;
  if (!fault_start(&server, slow)) return;
  struct rawws *busy = fault_client(&server, 0);
  struct rawws *idle = fault_client(&server, 0);
  CU_ASSERT_FATAL(busy != NULL && idle != NULL);
  CU_ASSERT(fault_send_request(busy, 1, "slow", "x", 1));
  CU_ASSERT(fault_wait_stat(idle, "open_handlers", 2, 2));
  CU_ASSERT(proc_signal(server.proc, SIGTERM));
  int status;
  do { /* the signal may take a moment to arrive */
    struct rawws *ws = rawws_dial(
        &(struct rawws_opts){.port = server.port, .tls = fault_is_tls()});
    status = ws ? rawws_upgrade(ws, NULL) : -1;
    rawws_free(ws);
  } while (status == 101);
  CU_ASSERT_EQUAL(status, 503);
  CU_ASSERT(fault_recv_reply(busy, &reply, EXIT_MS) == RAWWS_OK);
  CU_ASSERT(reply.id == 1 && reply.len == 1);
  CU_ASSERT_EQUAL(rawws_expect_end(busy, EXIT_MS), GOING_AWAY);
  CU_ASSERT_EQUAL(rawws_expect_end(idle, EXIT_MS), GOING_AWAY);
  fault_expect_exit(&server, EXIT_MS);
  rawws_free(busy);
  rawws_free(idle);
}

/* Those who neither read nor answer the close are dropped after a moment. */
static void test_unhelpful(void) {
  enum { COUNT = 20, BYTES = 4096, CASTS = 100 };
  static const uint8_t payload[BYTES];
  struct rawws *sleepers[COUNT];
  struct fault_server server;
  struct fault_reply reply;
  if (!fault_start(&server, options)) return;
  struct rawws *caster = fault_client(&server, 0);
  CU_ASSERT_FATAL(caster != NULL);
  for (int i = 0; i < COUNT; i++) {
    sleepers[i] = fault_client(&server, BYTES);
    CU_ASSERT_FATAL(sleepers[i] != NULL);
  }
  for (int i = 0; i < CASTS; i++) {
    CU_ASSERT(fault_call(caster, "cast", payload, BYTES, &reply));
  }
  CU_ASSERT(proc_signal(server.proc, SIGTERM));
  fault_expect_exit(&server, EXIT_MS);
  for (int i = 0; i < COUNT; i++) rawws_free(sleepers[i]);
  rawws_free(caster);
}

static CU_TestInfo plain_tests[] = {
    {"requests open", test_requests_open},
    {"requests go on", test_storm},
    {"newcomers", test_newcomers},
    {"unhelpful clients", test_unhelpful},
    CU_TEST_INFO_NULL,
};

static CU_TestInfo tls_tests[] = {
    {"TLS: requests open", test_requests_open},
    {"TLS: requests go on", test_storm},
    {"TLS: newcomers", test_newcomers},
    CU_TEST_INFO_NULL,
};

int main(int argc, char **argv) {
  CU_SuiteInfo suites[] = {
      {"restart", fault_use_plain, NULL, NULL, NULL, plain_tests},
      {"restart, TLS", fault_use_tls, NULL, NULL, NULL, tls_tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
