/* docs/protocol.md, "Requests": answers and the concurrency limit. */
#include <stdlib.h>
#include <string.h>

#include "server_fixture.h"

/* --- Answers -------------------------------------------------------------- */

static void replies_in_the_payloads_encoding(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  static const struct wwr_payload payloads[] = {
      {WWR_BINARY, {(const uint8_t *)"\0\1", 2}},
      {WWR_UTF8, {(const uint8_t *)"text", 4}},
      {WWR_UTF16, {(const uint8_t *)"t\0x\0", 4}}};
  for (size_t i = 0; i < 3; i++) {
    struct wwri_msg msg = {.type = wwri_request_type(payloads[i].encoding),
                           .id = id_of(i),
                           .name = wwr_view_str("echo"),
                           .payload = payloads[i]};
    stage(peer, &msg);
    (void)peer_flush(peer);
    struct wwri_msg reply =
        peer_expect_id(peer, wwri_reply_type(payloads[i].encoding), i);
    CU_ASSERT_TRUE(wwr_view_equal(reply.payload.data, payloads[i].data));
  }
}

static char long_code[257];

static void answer_by_name(struct wwr_conn *conn, struct wwr_request *request,
                           const struct wwr_message *message, void *user_data) {
  static const char zeros[64];
  (void)user_data;
  CU_ASSERT_PTR_EQUAL(wwr_request_conn(request), conn);
  struct wwr_payload odd = {WWR_UTF16, {(const uint8_t *)"abc", 3}};
  struct wwr_payload fits = wwr_payload_binary(zeros, 55);
  struct wwr_payload large = wwr_payload_binary(zeros, 56);
  if (view_is(message->name, "fail")) {
    CU_ASSERT_EQUAL(wwr_request_fail(request, "CODE", "m\xc3\xb6p"), WWR_OK);
  } else if (view_is(message->name, "short")) {
    CU_ASSERT_EQUAL(wwr_request_fail(request, "C", NULL), WWR_OK);
  } else if (view_is(message->name, "long")) {
    CU_ASSERT_EQUAL(wwr_request_fail(request, long_code, NULL), WWR_E_PROTOCOL);
  } else if (view_is(message->name, "longest")) {
    CU_ASSERT_EQUAL(wwr_request_fail(request, long_code, NULL), WWR_OK);
  } else if (view_is(message->name, "no-code")) {
    CU_ASSERT_EQUAL(wwr_request_fail(request, "", "x"), WWR_E_PROTOCOL);
  } else if (view_is(message->name, "bad-code")) {
    CU_ASSERT_EQUAL(wwr_request_fail(request, "a\n", "x"), WWR_E_PROTOCOL);
  } else if (view_is(message->name, "internal")) {
    CU_ASSERT_EQUAL(wwr_request_fail_internal(request, "secret"), WWR_OK);
  } else if (view_is(message->name, "odd")) {
    CU_ASSERT_EQUAL(wwr_request_reply(request, &odd), WWR_E_PROTOCOL);
  } else if (view_is(message->name, "fits")) {
    CU_ASSERT_EQUAL(wwr_request_reply(request, &fits), WWR_OK);
  } else if (view_is(message->name, "large")) {
    CU_ASSERT_EQUAL(wwr_request_reply(request, &large), WWR_E_BUFFER_OVERFLOW);
  } else {
    CU_ASSERT_EQUAL(wwr_request_reply(request, NULL), WWR_OK);
  }
}

static void expect_internal(struct peer *peer, const char *name) {
  int before = LOCKED(fix.errors_logged);
  peer_request(peer, 5, name, NULL);
  peer_expect_id(peer, WWRI_REPLY_INTERNAL_ERROR, 5);
  WAIT(fix.errors_logged == before + 1);
}

static void errors_and_what_becomes_one(void) {
  memset(long_code, 'x', sizeof long_code - 1);
  fix.override.on_request = answer_by_name;
  fix.opts.message_buffer_bytes = 64;
  fixture_start();
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "fail", NULL);
  struct wwri_msg msg = peer_expect_id(peer, WWRI_REPLY_ERROR, 1);
  CU_ASSERT_TRUE(view_is(msg.name, "CODE"));
  CU_ASSERT_TRUE(view_is(msg.payload.data, "m\xc3\xb6p"));
  peer_request(peer, 2, "short", NULL);
  msg = peer_expect_id(peer, WWRI_REPLY_ERROR, 2);
  CU_ASSERT_TRUE(view_is(msg.name, "C"));
  CU_ASSERT_EQUAL(msg.payload.data.len, 0);
  peer_request(peer, 3, "fits", NULL);
  CU_ASSERT_EQUAL(peer_expect_id(peer, WWRI_REPLY_BINARY, 3).payload.data.len,
                  55);
  expect_internal(peer, "large");
  expect_internal(peer, "odd");
  expect_internal(peer, "no-code");
  expect_internal(peer, "bad-code");
  expect_internal(peer, "long");
  expect_internal(peer, "internal");
  peer_request(peer, 4, "empty", NULL);
  CU_ASSERT_EQUAL(peer_expect_id(peer, WWRI_REPLY_BINARY, 4).payload.data.len,
                  0);
}

static void longest_code_fits(void) {
  fix.override.on_request = answer_by_name;
  fixture_start();
  struct peer *peer = peer_connect();
  memset(long_code, 'x', sizeof long_code - 1);
  expect_internal(peer, "long");
  long_code[255] = '\0';
  peer_request(peer, 1, "longest", NULL);
  CU_ASSERT_EQUAL(peer_expect_id(peer, WWRI_REPLY_ERROR, 1).name.len, 255);
}

static void no_request_hook(void) {
  fix.opts.hooks.on_request = NULL;
  fix.opts.hooks.on_signal = NULL;
  fixture_start();
  struct peer *peer = peer_connect();
  stage_signal(peer, "s", NULL);
  stage_request(peer, 1, "a", NULL);
  stage_request(peer, 2, "b", NULL);
  (void)peer_flush(peer);
  peer_expect_id(peer, WWRI_REPLY_INTERNAL_ERROR, 1);
  peer_expect_id(peer, WWRI_REPLY_INTERNAL_ERROR, 2);
}

static void names_only_and_payloads_only(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  stage_request(peer, 1, "", "only payload");
  stage_request(peer, 2, "only-name", NULL);
  (void)peer_flush(peer);
  peer_expect_text(peer, 1, "only payload");
  peer_expect_text(peer, 2, "");
}

/* --- Concurrency limit ---------------------------------------------------- */

static struct {
  int order[16384];
  int count;
  int running;
  int most;
} seen;

/* Remembers the number in the payload, and how many run at once. */
static void see(const struct wwr_payload *payload) {
  char text[16] = "";
  memcpy(text, payload->data.data,
         payload->data.len < 15 ? payload->data.len : 15);
  pthread_mutex_lock(&fix.lock);
  seen.order[seen.count++] = (int)strtol(text, NULL, 10);
  if (++seen.running > seen.most) seen.most = seen.running;
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
}

static void unsee(void) {
  pthread_mutex_lock(&fix.lock);
  seen.running--;
  pthread_mutex_unlock(&fix.lock);
}

static void see_signal(struct wwr_conn *conn, const struct wwr_message *message,
                       void *user_data) {
  (void)conn;
  (void)user_data;
  see(&message->payload);
  unsee();
}

static void see_request(struct wwr_conn *conn, struct wwr_request *request,
                        const struct wwr_message *message, void *user_data) {
  (void)conn;
  (void)user_data;
  see(&message->payload);
  unsee();
  (void)wwr_request_reply(request, &message->payload);
}

static void stage_numbers(struct peer *peer, int count) {
  char text[16];
  for (int i = 0; i < count; i++) {
    snprintf(text, sizeof text, "%d", i);
    if (i % 3 == 2) {
      stage_signal(peer, "s", text);
    } else {
      stage_request(peer, (uint64_t)i, "r", text);
    }
  }
}

static void expect_numbers_in_order(struct peer *peer, int count) {
  char text[16];
  for (int i = 0; i < count; i++) {
    if (i % 3 == 2) continue;
    snprintf(text, sizeof text, "%d", i);
    peer_expect_text(peer, (uint64_t)i, text);
  }
  WAIT(seen.count == count);
  int out_of_order = 0;
  for (int i = 0; i < count; i++) out_of_order += seen.order[i] != i;
  CU_ASSERT_EQUAL(out_of_order, 0);
  CU_ASSERT_EQUAL(seen.most, 1);
}

/* 10,000 messages in one go, far more than may wait in memory. */
static void pipeline(int concurrency) {
  memset(&seen, 0, sizeof seen);
  fix.opts.concurrency = concurrency;
  fix.override.on_signal = see_signal;
  fix.override.on_request = see_request;
  fix.opts.max_pending_bytes = 4096;
  fixture_start();
  struct peer *peer = peer_connect();
  stage_numbers(peer, 10000);
  CU_ASSERT_EQUAL(peer_flush(peer), WWR_OK);
  expect_numbers_in_order(peer, 10000);
}

static void limit_0_keeps_the_order(void) {
  pipeline(0);
}

static void limit_1_keeps_the_order(void) {
  pipeline(1);
}

static void hold_and_see(struct wwr_conn *conn, struct wwr_request *request,
                         const struct wwr_message *message, void *user_data) {
  (void)conn;
  (void)user_data;
  see(&message->payload);
  pthread_mutex_lock(&fix.lock);
  fix.held[fix.held_count++] = request;
  pthread_cond_broadcast(&fix.changed);
  pthread_mutex_unlock(&fix.lock);
}

struct answering {
  int count;
  int every; /* a stride, so that answers come out of order */
};

/* Answers `count` held requests, each once, from two threads at once. */
static void *answer_all(void *arg) {
  struct answering *work = arg;
  for (int i = 0; i < work->count; i++) {
    struct wwr_request *request = next_held();
    unsee();
    (void)wwr_request_reply(request, NULL);
  }
  return NULL;
}

static void answer_on_two_threads(int count) {
  struct answering work = {count / 2, 1};
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    pthread_create(&threads[i], NULL, answer_all, &work);
  }
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

static void expect_each_once(struct peer *peer, int count) {
  uint8_t *times = calloc((size_t)count, 1);
  int wrong = 0;
  for (int i = 0; i < count; i++) {
    struct wwri_msg msg = peer_expect(peer, WWRI_REPLY_BINARY);
    uint64_t id;
    memcpy(&id, msg.id.bytes, sizeof id);
    if (id < (uint64_t)count) times[id]++;
  }
  for (int i = 0; i < count; i++) wrong += times[i] != 1;
  CU_ASSERT_EQUAL(wrong, 0);
  free(times);
  peer_expect_nothing(peer);
}

static void deferred(int concurrency, int count) {
  memset(&seen, 0, sizeof seen);
  fix.opts.concurrency = concurrency;
  fix.override.on_request = hold_and_see;
  fix.opts.max_pending_bytes = 4096;
  fixture_start();
  struct peer *peer = peer_connect();
  for (int i = 0; i < count; i++) {
    stage_request(peer, (uint64_t)i, "r", "1");
  }
  CU_ASSERT_EQUAL(peer_flush(peer), WWR_OK);
  answer_on_two_threads(count);
  expect_each_once(peer, count);
}

static void limit_n_is_reached_and_never_passed(void) {
  deferred(5, 10000);
  CU_ASSERT_TRUE(seen.most <= 5);
}

static void up_to_n_run_at_once(void) {
  memset(&seen, 0, sizeof seen);
  fix.opts.concurrency = 5;
  fix.override.on_request = hold_and_see;
  fixture_start();
  struct peer *peer = peer_connect();
  for (int i = 0; i < 8; i++) stage_request(peer, (uint64_t)i, "r", "1");
  (void)peer_flush(peer);
  WAIT(fix.held_count == 5);
  settle();
  CU_ASSERT_EQUAL(LOCKED(fix.held_count), 5);
  answer_held(next_held(), "x");
  WAIT(fix.held_count == 6);
  settle();
  CU_ASSERT_EQUAL(LOCKED(fix.held_count), 6);
  for (int i = 0; i < 7; i++) answer_held(next_held(), "x");
}

static void defer_and_hold(struct wwr_conn *conn, struct wwr_request *request,
                           const struct wwr_message *message, void *user_data) {
  if (!view_is(message->name, "stay")) wwr_request_defer(request);
  hold_and_see(conn, request, message, user_data);
}

static void expect_held(size_t count) {
  WAIT(fix.held_count == count);
  settle();
  CU_ASSERT_EQUAL(LOCKED(fix.held_count), count);
}

static void deferred_ones_hold_nobody_back(void) {
  memset(&seen, 0, sizeof seen);
  fix.override.on_request = defer_and_hold;
  fixture_start();
  struct peer *peer = peer_connect();
  for (int i = 0; i < 700; i++) stage_request(peer, (uint64_t)i, "r", "1");
  (void)peer_flush(peer);
  expect_held(33); /* the last of them is over the ceiling: it has the slot */
  answer_on_two_threads(700);
  expect_each_once(peer, 700);
}

static void deferred_ones_have_a_ceiling_of_bytes(void) {
  char big[1501];
  memset(&seen, 0, sizeof seen);
  memset(big, 'b', sizeof big - 1);
  big[sizeof big - 1] = '\0';
  fix.override.on_request = defer_and_hold;
  fixture_start();
  struct peer *peer = peer_connect();
  for (int i = 0; i < 40; i++) stage_request(peer, (uint64_t)i, "r", big);
  (void)peer_flush(peer);
  expect_held(23); /* 22 are over 32 KiB, and one has the slot */
  answer_on_two_threads(40);
  expect_each_once(peer, 40);
}

static void only_deferred_ones(void) {
  memset(&seen, 0, sizeof seen);
  fix.override.on_request = defer_and_hold;
  fixture_start();
  struct peer *peer = peer_connect();
  stage_request(peer, 0, "go", "1");
  stage_request(peer, 1, "go", "1");
  stage_request(peer, 2, "stay", "1");
  stage_request(peer, 3, "go", "1");
  (void)peer_flush(peer);
  expect_held(3);
  answer_held(next_held(), "x");
  answer_held(next_held(), "x");
  expect_held(3);
  answer_held(next_held(), "x");
  expect_held(4);
  answer_held(next_held(), "x");
}

static void a_close_waits_for_deferred_ones(void) {
  memset(&seen, 0, sizeof seen);
  fix.override.on_request = defer_and_hold;
  fixture_start();
  struct peer *peer = peer_connect();
  stage_request(peer, 0, "go", "1");
  (void)peer_flush(peer);
  expect_held(1);
  wwr_conn_close(fix.last_conn);
  settle();
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 0);
  answer_held(next_held(), "x");
  peer_expect_text(peer, 0, "x");
  WAIT(fix.disconnected == 1);
}

/* One that waits for another message must not wait for ever: no limit. */
static void unlimited_is_unlimited(void) {
  memset(&seen, 0, sizeof seen);
  fix.opts.concurrency = -1;
  fix.opts.worker_threads = 1;
  fix.override.on_request = hold_and_see;
  fixture_start();
  struct peer *peer = peer_connect();
  for (int i = 0; i < 2000; i++) stage_request(peer, (uint64_t)i, "r", "1");
  stage_signal(peer, "s", NULL);
  (void)peer_flush(peer);
  WAIT(fix.signals == 1);
  WAIT(fix.held_count == 2000);
  answer_on_two_threads(2000);
  expect_each_once(peer, 2000);
}

static void unlimited_loses_nothing(void) {
  deferred(-1, 10000);
}

static bool limit_by_upgrade(struct wwr_http *http, void *user_data) {
  (void)user_data;
  wwr_http_set_concurrency(http, 3);
  return true;
}

static void upgrade_hook_sets_the_limit(void) {
  fix.opts.hooks.on_upgrade = limit_by_upgrade;
  fixture_start();
  struct peer *peer = peer_connect();
  for (int i = 0; i < 5; i++) stage_request(peer, (uint64_t)i, "hold", NULL);
  (void)peer_flush(peer);
  WAIT(fix.held_count == 3);
  settle();
  CU_ASSERT_EQUAL(LOCKED(fix.held_count), 3);
  for (int i = 0; i < 5; i++) answer_held(next_held(), "x");
}

/* Signals count as handlers: behind an open request they wait. */
static void signals_count(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  stage_request(peer, 1, "hold", NULL);
  stage_signal(peer, "s", NULL);
  (void)peer_flush(peer);
  struct wwr_request *request = next_held();
  settle();
  CU_ASSERT_EQUAL(LOCKED(fix.signals), 0);
  answer_held(request, "x");
  WAIT(fix.signals == 1);
}

static struct wwr_request *first;
static int firsts;

static void keep_first(struct wwr_conn *conn, struct wwr_request *request,
                       const struct wwr_message *message, void *user_data) {
  (void)conn;
  (void)user_data;
  if (view_is(message->name, "first")) {
    first = request;
    note(&firsts);
  } else {
    reply_text(request, "2nd");
    reply_text(first, "1st");
  }
}

/* An answer given inside the handler of another request. */
static void answered_in_another_handler(void) {
  firsts = 0;
  fix.opts.concurrency = 2;
  fix.override.on_request = keep_first;
  fixture_start();
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "first", NULL);
  WAIT(firsts == 1);
  peer_request(peer, 2, "second", NULL);
  peer_expect_text(peer, 2, "2nd");
  peer_expect_text(peer, 1, "1st");
  peer_request(peer, 3, "first", NULL);
  WAIT(firsts == 2);
  peer_request(peer, 4, "second", NULL);
  peer_expect_text(peer, 4, "2nd");
  peer_expect_text(peer, 3, "1st");
}

/* An answer for a client that has left. */
static void answered_too_late(void) {
  fixture_start();
  struct peer *peer = peer_connect();
  peer_request(peer, 1, "hold", NULL);
  struct wwr_request *request = next_held();
  peer_abort(peer);
  peer_wait_closed(peer);
  settle();
  CU_ASSERT_EQUAL(LOCKED(fix.disconnected), 0);
  CU_ASSERT_EQUAL(wwr_request_reply(request, NULL), WWR_E_DISCONNECTED);
  WAIT(fix.disconnected == 1);
}

/* --- Restore and close among the others ----------------------------------- */

static void restore_does_not_wait_for_handlers(void) {
  fixture_start();
  store_put("key", NULL);
  struct peer *peer = peer_connect();
  stage_request(peer, 1, "hold", NULL);
  stage_restore(peer, 2, "key");
  stage_close_session(peer, 3);
  (void)peer_flush(peer);
  (void)peer_expect_id(peer, WWRI_REPLY_UTF8, 2);
  (void)peer_expect_id(peer, WWRI_REPLY_BINARY, 3);
  answer_held(next_held(), "x");
  peer_expect_text(peer, 1, "x");
}

/* In arrival order: behind a message that waits, they wait too. */
static void restore_starts_in_arrival_order(void) {
  fixture_start();
  store_put("key", NULL);
  struct peer *peer = peer_connect();
  stage_request(peer, 1, "hold", NULL);
  stage_request(peer, 2, "echo", "two");
  stage_restore(peer, 3, "key");
  (void)peer_flush(peer);
  struct wwr_request *request = next_held();
  peer_expect_nothing(peer);
  answer_held(request, "one");
  peer_expect_text(peer, 1, "one");
  /* 2 has begun when 3 begins; in which order they end is open. */
  struct wwri_msg a = peer_expect(peer, WWRI_REPLY_UTF8);
  struct wwri_msg b = peer_expect(peer, WWRI_REPLY_UTF8);
  CU_ASSERT_EQUAL(a.id.bytes[0] + b.id.bytes[0], 5);
  if (!is_blocking()) CU_ASSERT_EQUAL(a.id.bytes[0], 2);
}

static void restore_holds_back_later_messages(void) {
  fix.opts.concurrency = -1;
  fix.store.hold = true;
  fixture_start();
  store_put("key", NULL);
  struct peer *peer = peer_connect();
  stage_restore(peer, 1, "key");
  stage_request(peer, 2, "echo", "two");
  stage_signal(peer, "s", NULL);
  stage_close_session(peer, 3);
  stage_request(peer, 4, "echo", "four");
  (void)peer_flush(peer);
  WAIT(fix.store.held_count == 1);
  peer_expect_nothing(peer);
  CU_ASSERT_EQUAL(LOCKED(fix.signals + fix.requests), 0);
  store_release();
  (void)peer_expect_id(peer, WWRI_REPLY_UTF8, 1);
  peer_expect_text(peer, 2, "two");
  WAIT(fix.store.held_count == 1); /* the close */
  WAIT(fix.signals == 1);
  peer_expect_nothing(peer);
  CU_ASSERT_EQUAL(LOCKED(fix.requests), 1);
  store_release();
  (void)peer_expect_id(peer, WWRI_REPLY_BINARY, 3);
  peer_expect_text(peer, 4, "four");
}

static struct {
  int with_session;
  int disconnected_at; /* how many signals had been handled by then */
} after;

static void see_late_signal(struct wwr_conn *conn,
                            const struct wwr_message *message,
                            void *user_data) {
  (void)user_data;
  bool has = wwr_conn_has_session(conn);
  if (has) note(&after.with_session);
  see(&message->payload);
  unsee();
}

static void see_the_end(struct wwr_conn *conn, wwr_err reason,
                        void *user_data) {
  (void)conn;
  (void)reason;
  (void)user_data;
  after.disconnected_at = LOCKED(seen.count);
}

/* A client that sends and leaves at once has said what it said. */
static void what_was_sent_before_leaving_is_handled(void) {
  enum { COUNT = 50 };
  memset(&seen, 0, sizeof seen);
  memset(&after, 0, sizeof after);
  fix.override.on_signal = see_late_signal;
  fix.override.on_disconnected = see_the_end;
  fixture_start();
  struct peer *peer = peer_connect();
  CU_ASSERT_PTR_NOT_NULL_FATAL(peer_create(peer));
  stage_request(peer, 9, "hold", "");
  for (int i = 0; i < COUNT; i++) stage_signal(peer, "s", "1");
  stage_close_session(peer, 10);
  CU_ASSERT_EQUAL(peer_flush(peer), WWR_OK);
  struct wwr_request *held = next_held();
  peer_close(peer);
  peer_wait_closed(peer);
  settle();
  CU_ASSERT_EQUAL(LOCKED(seen.count), 0);
  answer_held(held, "too late");
  WAIT(fix.disconnected == 1);
  CU_ASSERT_EQUAL(after.disconnected_at, COUNT);
  /* The close does not wait for the last signal's handler. */
  CU_ASSERT_TRUE(after.with_session >= COUNT - 1);
  CU_ASSERT_EQUAL(LOCKED(fix.store.closed), 1);
}

static CU_TestInfo tests[] = {
    {"what was sent before leaving is handled",
     what_was_sent_before_leaving_is_handled},
    {"replies in the payload's encoding", replies_in_the_payloads_encoding},
    {"errors and what becomes one", errors_and_what_becomes_one},
    {"the longest code", longest_code_fits},
    {"no request hook", no_request_hook},
    {"names only and payloads only", names_only_and_payloads_only},
    {"limit 0 keeps the order", limit_0_keeps_the_order},
    {"limit 1 keeps the order", limit_1_keeps_the_order},
    {"limit n is never passed", limit_n_is_reached_and_never_passed},
    {"up to n run at once", up_to_n_run_at_once},
    {"deferred ones hold nobody back", deferred_ones_hold_nobody_back},
    {"deferred ones have a ceiling of bytes",
     deferred_ones_have_a_ceiling_of_bytes},
    {"only deferred ones", only_deferred_ones},
    {"a close waits for deferred ones", a_close_waits_for_deferred_ones},
    {"unlimited is unlimited", unlimited_is_unlimited},
    {"unlimited loses nothing", unlimited_loses_nothing},
    {"the upgrade hook sets the limit", upgrade_hook_sets_the_limit},
    {"signals count", signals_count},
    {"answered in another handler", answered_in_another_handler},
    {"answered too late", answered_too_late},
    {"restore does not wait for handlers", restore_does_not_wait_for_handlers},
    {"restore starts in arrival order", restore_starts_in_arrival_order},
    {"restore holds back later messages", restore_holds_back_later_messages},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return fixture_main(argc, argv, tests);
}
