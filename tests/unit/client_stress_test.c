/* Many threads, closing at any moment, no memory at any moment. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_fixture.h"
#include "test.h"

enum { THREADS = 8, REQUESTS = 500 };

static struct fix fix;

/* 8 threads x 500 requests, each with its own reply */

static unsigned ask_many(unsigned thread) {
  unsigned good = 0;
  for (unsigned i = 0; i < REQUESTS; i++) {
    char text[32];
    snprintf(text, sizeof text, "%u/%u", thread, i);
    struct wwr_payload payload = wwr_payload_text(text);
    struct wwr_reply reply;
    wwr_err err = wwr_client_request_wait(fix.client, wwr_view_str("echo"),
                                          &payload, 0, &reply);
    good +=
        err == WWR_OK && wwr_view_equal(reply.payload.data, wwr_view_str(text));
    wwr_reply_deinit(&reply);
  }
  return good;
}

static void *ask_thread(void *arg) {
  unsigned *slot = arg;
  *slot = ask_many(*slot);
  return NULL;
}

static void every_thread_gets_its_own_replies(void) {
  pthread_t threads[THREADS];
  unsigned slots[THREADS];
  fix_init(&fix);
  fix.peer.on_message = peer_echo;
  fix_start(&fix);
  for (unsigned i = 0; i < THREADS; i++) {
    slots[i] = i;
    pthread_create(&threads[i], NULL, ask_thread, &slots[i]);
  }
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(slots[i], REQUESTS);
  }
  CU_ASSERT_EQUAL(wwr_client_pending(fix.client), 0);
  CU_ASSERT_EQUAL(fix.peer.opened, 1);
  fix_deinit(&fix);
}

/* Everything at once while the client is closed and cut again and again */

static atomic_uint made;
static atomic_uint answered;
static atomic_uint strange;
static atomic_bool stop;

static void count_reply(const struct wwr_reply *reply, void *user_data) {
  (void)reply;
  (void)user_data;
  atomic_fetch_add(&answered, 1);
}

static bool expected_under_fire(wwr_err err) {
  return err == WWR_OK || err == WWR_E_CANCELED || err == WWR_E_DISCONNECTED ||
         err == WWR_E_SESSION_ACTIVE || err == WWR_E_LIMIT ||
         err == WWR_E_DEADLINE;
}

static void one_of_each(unsigned dice) {
  struct wwr_view name = wwr_view_str("n");
  struct wwr_reply reply;
  wwr_err err = WWR_OK;
  wwr_call call;
  switch (dice % 7) {
    case 0:
      err = wwr_client_request_wait(fix.client, name, NULL, 0, &reply);
      wwr_reply_deinit(&reply);
      break;
    case 1:
      err = wwr_client_signal(fix.client, name, NULL, 0);
      break;
    case 2:
      err = wwr_client_restore_session(fix.client, name, 0);
      break;
    case 3:
      err = wwr_client_close_session(fix.client, 0);
      break;
    case 4:
      err = wwr_client_connect(fix.client, 5);
      break;
    default:
      err = wwr_client_request(fix.client, name, NULL, dice % 3, count_reply,
                               NULL, &call);
      if (err == WWR_OK) atomic_fetch_add(&made, 1);
      if (dice % 2) wwr_client_cancel(fix.client, call);
      wwr_session_unref(wwr_client_session(fix.client));
      break;
  }
  /* Not by a CUnit assertion: those are for one thread. */
  if (!expected_under_fire(err)) atomic_fetch_add(&strange, 1);
}

static void *fire_thread(void *arg) {
  unsigned dice = *(unsigned *)arg;
  while (!atomic_load(&stop)) {
    dice = dice * 1664525u + 1013904223u;
    one_of_each(dice >> 16);
  }
  return NULL;
}

static void silent_hook(wwr_err reason, void *user_data) {
  (void)reason;
  (void)user_data;
}

static void quiet_hooks(void) {
  /* The journal has an end. */
  fix.opts.hooks = (struct wwr_client_hooks){.on_disconnected = silent_hook};
  fix.opts.reconnect_interval_ms = fix.opts.reconnect_max_ms = 1;
}

static void close_during_everything(void) {
  pthread_t threads[4];
  unsigned seeds[4] = {1, 2, 3, 4};
  fix_init(&fix);
  quiet_hooks();
  fix.opts.request_timeout_ms = 1000;
  fix.peer.on_message = peer_echo;
  fix_start(&fix);
  atomic_store(&stop, false);
  for (int i = 0; i < 4; i++) {
    pthread_create(&threads[i], NULL, fire_thread, &seeds[i]);
  }
  for (int i = 0; i < 300; i++) {
    if (i % 3 == 0) peer_cut(&fix.peer);
    if (i % 3 == 1) wwr_client_close(fix.client);
    if (i % 3 == 2) (void)!wwr_client_connect(fix.client, 5);
  }
  atomic_store(&stop, true);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  fix_deinit(&fix); /* with callbacks still to come */
  CU_ASSERT_EQUAL(atomic_load(&answered), atomic_load(&made));
  CU_ASSERT_TRUE(atomic_load(&made) > 0);
  CU_ASSERT_EQUAL(atomic_load(&strange), 0);
}

/* Each allocation fails once */

static bool expected_without_memory(wwr_err err) {
  return err == WWR_OK || err == WWR_E_NOMEM || err == WWR_E_DISCONNECTED ||
         err == WWR_E_CANCELED || err == WWR_E_DEADLINE;
}

static void use_all(struct wwr_client *client) {
  struct wwr_payload payload = wwr_payload_text("payload");
  struct wwr_reply reply;
  CU_ASSERT_TRUE(
      expected_without_memory(wwr_client_connect(client, WAIT_MS / 10)));
  CU_ASSERT_TRUE(expected_without_memory(wwr_client_request_wait(
      client, wwr_view_str("n"), &payload, WAIT_MS / 10, &reply)));
  wwr_reply_deinit(&reply);
  CU_ASSERT_TRUE(expected_without_memory(
      wwr_client_signal(client, wwr_view_str("s"), NULL, WAIT_MS / 10)));
  CU_ASSERT_TRUE(expected_without_memory(
      wwr_client_restore_session(client, wwr_view_str("key"), WAIT_MS / 10)));
  wwr_client_close(client);
  CU_ASSERT_TRUE(
      expected_without_memory(wwr_client_connect(client, WAIT_MS / 10)));
  CU_ASSERT_TRUE(
      expected_without_memory(wwr_client_close_session(client, WAIT_MS / 10)));
}

static wwr_err live_once(void) {
  struct wwr_client_opts opts = fix.opts;
  struct wwr_client *client;
  opts.subprotocol = "sub";
  wwr_err err = wwr_memory_dialer_new(&opts.dialer, fix.peer.hub);
  if (err != WWR_OK) return err;
  err = wwr_client_new(&client, &opts, NULL);
  if (err != WWR_OK) {
    wwr_dialer_free(opts.dialer);
    return err;
  }
  use_all(client);
  wwr_client_free(client);
  return WWR_OK;
}

static void every_allocation_failing_is_survived(void) {
  long n = 0;
  fix_init(&fix);
  quiet_hooks();
  fix.peer.on_message = peer_echo;
  fix.peer.conf.name = wwr_view_str("sub");
  for (;; n++) {
    test_alloc_fail_at(n);
    wwr_err err = live_once();
    if (!test_alloc_failed()) {
      CU_ASSERT_EQUAL(err, WWR_OK);
      break;
    }
    CU_ASSERT_TRUE(err == WWR_OK || err == WWR_E_NOMEM || err == WWR_E_IO);
  }
  CU_ASSERT_TRUE(n > 20);
  fix.client = NULL;
  fix_deinit(&fix);
}

static void refuse_error(struct peer *peer, struct wwri_pipe *pipe,
                         const struct wwri_msg *msg) {
  struct wwri_msg reply = {.type = WWRI_REPLY_ERROR, .id = msg->id};
  (void)peer;
  reply.name = wwr_view_str("CODE");
  peer_send_now(pipe, &reply);
}

static void an_error_without_memory_is_still_an_answer(void) {
  wwr_err err = WWR_OK;
  fix_init(&fix);
  quiet_hooks();
  fix.peer.on_message = refuse_error;
  fix_start(&fix);
  for (long n = 0;; n++) {
    struct wwr_reply reply;
    CU_ASSERT_EQUAL(wwr_client_connect(fix.client, 0), WWR_OK);
    test_alloc_fail_at(n);
    err =
        wwr_client_request_wait(fix.client, wwr_view_str("n"), NULL, 0, &reply);
    wwr_reply_deinit(&reply);
    if (!test_alloc_failed()) break;
    CU_ASSERT_TRUE(err == WWR_E_NOMEM || err == WWR_E_DISCONNECTED ||
                   err == WWR_E_REQUEST);
  }
  CU_ASSERT_EQUAL(err, WWR_E_REQUEST);
  fix_deinit(&fix);
}

/* Freed at every stage of life */

static void free_at_any_moment(void) {
  for (int i = 0; i < 200; i++) {
    fix_init(&fix);
    fix.opts.hooks = (struct wwr_client_hooks){.on_disconnected = silent_hook};
    if (i % 4 == 1) fix.peer.conf.type = 0;
    if (i % 4 == 2) fix.peer.refuse = 503;
    fix_start(&fix);
    atomic_store(&made, 0);
    atomic_store(&answered, 0);
    for (int k = 0; k < i % 5; k++) {
      atomic_fetch_add(&made, 1);
      CU_ASSERT_EQUAL(wwr_client_request(fix.client, wwr_view_str("n"), NULL, 0,
                                         count_reply, NULL, NULL),
                      WWR_OK);
    }
    if (i % 3 == 1) peer_wait_opened(&fix.peer, i % 5 ? 1 : 0);
    fix_deinit(&fix);
    CU_ASSERT_EQUAL(atomic_load(&answered), atomic_load(&made));
  }
}

static CU_TestInfo tests[] = {
    {"every thread gets its own replies", every_thread_gets_its_own_replies},
    {"close during everything", close_during_everything},
    {"every allocation failing", every_allocation_failing_is_survived},
    {"an error without memory", an_error_without_memory_is_still_an_answer},
    {"free at any moment", free_at_any_moment},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"client/stress", NULL, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
