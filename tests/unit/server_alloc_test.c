/* Every allocation of a scenario fails once. The server survives, nothing
 * leaks, and no client is left without an answer or a close. */
#include <string.h>

#include "server_fixture.h"

/* Connect; NULL: refused, or cut off before accept-conf. */
static struct peer *try_connect(void) {
  struct wwri_msg msg;
  struct peer *peer = peer_dial();
  if (!peer || !LOCKED(peer->opened)) return NULL;
  if (peer_try_next(peer, &msg)) {
    CU_ASSERT_EQUAL(msg.type, WWRI_ACCEPT_CONF);
    return peer;
  }
  CU_ASSERT_EQUAL(LOCKED(peer->closed), 1);
  return NULL;
}

/* Send what is staged, wait for the answer to `id`. False: cut off. */
static bool answered(struct peer *peer, uint64_t id) {
  struct wwri_id want = id_of(id);
  struct wwri_msg msg;
  (void)peer_flush(peer);
  while (peer_try_next(peer, &msg)) {
    if (memcmp(&msg.id, &want, sizeof want) == 0) return true;
  }
  CU_ASSERT_EQUAL(LOCKED(peer->closed), 1); /* not merely silent */
  return false;
}

static bool got_signal(struct peer *peer, const char *name) {
  struct wwri_msg msg;
  while (peer_try_next(peer, &msg)) {
    if (view_is(msg.name, name)) return true;
  }
  CU_ASSERT_EQUAL(LOCKED(peer->closed), 1);
  return false;
}

static void broadcast(struct peer *peer) {
  struct wwr_payload text = wwr_payload_text("x");
  wwr_err err = wwr_server_broadcast(fix.server, wwr_view_str("b"), &text);
  if (err == WWR_OK) {
    (void)got_signal(peer, "b");
  } else {
    CU_ASSERT_EQUAL(err, WWR_E_NOMEM);
  }
}

static void requests_and_sessions(struct peer *peer) {
  stage_request(peer, 1, "echo", "a");
  if (!answered(peer, 1)) return;
  for (uint64_t i = 2; i < 6; i++) stage_request(peer, i, "echo", "queued");
  stage_signal(peer, "s", "x");
  if (!answered(peer, 5)) return;
  stage_request(peer, 6, "create", "{\"a\":1}");
  if (!answered(peer, 6)) return;
  stage_restore(peer, 7, "key");
  if (!answered(peer, 7)) return;
  stage_close_session(peer, 8);
  if (!answered(peer, 8)) return;
  stage_request(peer, 9, "create", NULL);
  if (!answered(peer, 9)) return;
  stage_request(peer, 10, "close-session", NULL);
  if (!answered(peer, 10)) return;
  stage_request(peer, 11, "hold", NULL);
  stage_request(peer, 12, "echo", NULL);
  (void)peer_flush(peer);
  WAIT(fix.held_count == 1 || peer->closed);
  if (LOCKED(fix.held_count)) answer_held(next_held(), "x");
  (void)answered(peer, 12);
}

static int told;

static void count_told(const struct wwr_close_result *results, size_t count,
                       void *user_data) {
  (void)results;
  (void)count;
  (void)user_data;
  note(&told);
}

/* By key: all or nothing, and told once when it was taken. */
static void close_by_key(struct peer *peer) {
  told = 0;
  struct wwr_conn **conns;
  size_t count;
  struct wwr_view key = wwr_view_str("key2");
  stage_restore(peer, 20, "key2");
  if (!answered(peer, 20)) return;
  if (wwr_server_session_conns(fix.server, key, &conns, &count) == WWR_OK) {
    for (size_t i = 0; i < count; i++) wwr_conn_unref(conns[i]);
    wwr_free(conns);
  }
  wwr_err err = wwr_server_close_session(fix.server, key, count_told, NULL);
  if (err == WWR_OK) {
    WAIT(told == 1);
    CU_ASSERT_EQUAL(wwr_server_session_conn_count(fix.server, key), -1);
  } else {
    CU_ASSERT_EQUAL(err, WWR_E_NOMEM);
  }
  stage_request(peer, 21, "close", NULL);
  (void)answered(peer, 21);
}

static void scenario(bool in_traffic) {
  if (fixture_new() != WWR_OK) return;
  if (wwr_server_start(fix.server) != WWR_OK) return;
  if (in_traffic) traffic_start();
  struct peer *first = try_connect();
  struct peer *second = try_connect();
  if (first) requests_and_sessions(first);
  if (second) broadcast(second);
  if (second) close_by_key(second);
  traffic_stop();
}

static void prepare(void) {
  store_put("key", NULL);
  store_put("key2", NULL);
}

static void every_allocation_fails(void) {
  fixture_fail_each(prepare, scenario, false);
}

/* Everything goes by mail: other allocations, other ways. */
static void every_allocation_fails_in_traffic(void) {
  fixture_fail_each(prepare, scenario, true);
}

static CU_TestInfo tests[] = {
    {"every allocation fails", every_allocation_fails},
    {"every allocation fails in traffic", every_allocation_fails_in_traffic},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return fixture_main(argc, argv, tests);
}
