/* Threads that can't be started: a clear error, never a half-start, and no
 * client without an answer. */
#include <errno.h>

#include "server_fixture.h"

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                          void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                          void *(*run)(void *), void *arg);

static atomic_int allowed = -1; /* below 0: any number */

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                          void *(*run)(void *), void *arg) {
  if (atomic_load(&allowed) == 0) return EAGAIN;
  if (atomic_load(&allowed) > 0) atomic_fetch_sub(&allowed, 1);
  return __real_pthread_create(thread, attr, run, arg);
}

/* The loops and the shutdown's thread. */
static void start_without_threads(void) {
  for (int threads = 0; threads < (int)fix.opts.io_threads + 1; threads++) {
    CU_ASSERT_EQUAL_FATAL(fixture_new(), WWR_OK);
    atomic_store(&allowed, threads);
    wwr_err err = wwr_server_start(fix.server);
    atomic_store(&allowed, -1);
    CU_ASSERT_EQUAL(err, WWR_E_IO);
    CU_ASSERT_STRING_EQUAL(fix.log, "server could not start");
    CU_ASSERT_EQUAL(wwr_server_broadcast(fix.server, wwr_view_str("x"), NULL),
                    WWR_E_CLOSED);
    wwr_server_shutdown(fix.server);
    fixture_reset();
  }
}

/* Hooks of connections run late but run; requests fail. */
static void no_worker_starts(void) {
  fixture_start();
  atomic_store(&allowed, 0);
  struct peer *peer = peer_connect();
  stage_request(peer, 1, "echo", "x");
  stage_signal(peer, "s", NULL);
  stage_request(peer, 2, "echo", "x");
  (void)peer_flush(peer);
  for (uint64_t id = 1; id < 3; id++) {
    if (is_blocking()) {
      peer_expect_id(peer, WWRI_REPLY_INTERNAL_ERROR, id);
    } else {
      peer_expect_text(peer, id, "x");
    }
  }
  peer_abort(peer);
  WAIT(fix.disconnected == 1);
  atomic_store(&allowed, -1);
  CU_ASSERT_EQUAL(LOCKED(fix.requests), is_blocking() ? 0 : 2);
}

static void no_worker_of_the_store_starts(void) {
  fix.store_blocks = true;
  fix.opts.handlers = WWR_HANDLERS_NONBLOCKING;
  fixture_start();
  store_put("key", NULL);
  struct peer *peer = peer_connect();
  atomic_store(&allowed, 0);
  peer_restore(peer, 1, "key");
  peer_expect_id(peer, WWRI_REPLY_INTERNAL_ERROR, 1);
  peer_request(peer, 2, "create", NULL);
  (void)peer_expect(peer, WWRI_NOTIFY_SESSION_CREATED);
  peer_expect_text(peer, 2, "ok"); /* active, but not kept */
  peer_close_session(peer, 3);
  peer_expect_id(peer, WWRI_REPLY_BINARY, 3);
  atomic_store(&allowed, -1);
  CU_ASSERT_EQUAL(LOCKED(fix.errors_logged), 3);
}

static CU_TestInfo tests[] = {
    {"start without threads", start_without_threads},
    {"no worker starts", no_worker_starts},
    {"no worker of the store starts", no_worker_of_the_store_starts},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return fixture_main(argc, argv, tests);
}
