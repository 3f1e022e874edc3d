/* sessionstore_contract.c - what every session store promises
 * (wwr_sessionstore.h). The same cases run over each subject. */
#include "sessionstore_contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sessionstore_fixture.h"

enum { THREADS = 8, ROUNDS = 12 };

#define INFO                                                \
  "{\"username\":\"J\xc3\xbcrgen\",\"n\":9007199254740993," \
  "\"deep\":{\"list\":[1,null,true,\"\\\"\\n\"]},\"empty\":{}}"

static int64_t now_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return seconds_ns(ts.tv_sec) + ts.tv_nsec;
}

static void finds_what_was_created(void) {
  CU_ASSERT_EQUAL(create_key("abc", INFO), WWR_OK);
  struct wwr_session *found = find_key("abc");
  CU_ASSERT_PTR_NOT_NULL_FATAL(found);
  CU_ASSERT_STRING_EQUAL(wwr_session_key(found), "abc");
  CU_ASSERT_EQUAL(wwr_session_created(found), seconds_ns(CREATED_S) + 5);
  wwr_session_unref(found);
}

static void keeps_info_verbatim(void) {
  struct wwr_session *made = new_session("abc", INFO);
  CU_ASSERT_EQUAL(do_create(made).err, WWR_OK);
  for (int i = 0; i < 3; i++) {
    struct wwr_session *found = find_key("abc");
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_STRING_EQUAL(wwr_session_info(found), wwr_session_info(made));
    wwr_session_unref(found);
  }
  wwr_session_unref(made);
}

static void keeps_having_no_info(void) {
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  struct wwr_session *found = find_key("abc");
  CU_ASSERT_PTR_NOT_NULL_FATAL(found);
  CU_ASSERT_PTR_NULL(wwr_session_info(found));
  wwr_session_unref(found);
}

static void gives_the_previous_lookup(void) {
  int64_t before = now_ns();
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  struct wwr_session *first = find_key("abc");
  int64_t between = now_ns();
  struct wwr_session *second = find_key("abc");
  struct wwr_session *third = find_key("abc");
  CU_ASSERT_FATAL(first && second && third);
  CU_ASSERT_EQUAL(wwr_session_last_lookup(first), seconds_ns(CREATED_S + 1));
  CU_ASSERT(wwr_session_last_lookup(second) >= before);
  CU_ASSERT(wwr_session_last_lookup(second) <= between);
  CU_ASSERT(wwr_session_last_lookup(third) >= between);
  CU_ASSERT_EQUAL(wwr_session_created(third), seconds_ns(CREATED_S) + 5);
  wwr_session_unref(first);
  wwr_session_unref(second);
  wwr_session_unref(third);
}

static void unknown_key_is_not_found(void) {
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  CU_ASSERT_EQUAL(lookup_key("abd"), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(lookup_key("ab"), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(lookup_key("ABC"), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
}

static void closed_is_not_found(void) {
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  CU_ASSERT_EQUAL(create_key("other", NULL), WWR_OK);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
  CU_ASSERT_EQUAL(close_key("abc"), WWR_OK);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(lookup_key("other"), WWR_OK);
}

static void closing_an_unknown_key_succeeds(void) {
  CU_ASSERT_EQUAL(close_key("abc"), WWR_OK);
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  CU_ASSERT_EQUAL(close_key("abc"), WWR_OK);
  CU_ASSERT_EQUAL(close_key("abc"), WWR_OK);
}

static void a_key_used_again_is_replaced(void) {
  CU_ASSERT_EQUAL(create_key("abc", "{\"n\":1}"), WWR_OK);
  CU_ASSERT_EQUAL(create_key("abc", "{\"n\":2}"), WWR_OK);
  struct wwr_session *found = find_key("abc");
  CU_ASSERT_PTR_NOT_NULL_FATAL(found);
  CU_ASSERT_STRING_EQUAL(wwr_session_info(found), "{\"n\":2}");
  wwr_session_unref(found);
}

static void found_sessions_outlive_the_store(void) {
  CU_ASSERT_EQUAL(create_key("abc", INFO), WWR_OK);
  struct wwr_session *found = find_key("abc");
  CU_ASSERT_PTR_NOT_NULL_FATAL(found);
  fixture_reopen();
  CU_ASSERT_STRING_EQUAL(wwr_session_key(found), "abc");
  wwr_session_unref(found);
  wwr_err expected = fx.subject->persistent ? WWR_OK : WWR_E_SESSION_NOT_FOUND;
  CU_ASSERT_EQUAL(lookup_key("abc"), expected);
}

static void the_longest_key_is_kept(void) {
  char key[129];
  memset(key, 'k', 128);
  key[128] = '\0';
  CU_ASSERT_EQUAL(create_key(key, NULL), WWR_OK);
  CU_ASSERT_EQUAL(lookup_key(key), WWR_OK);
  CU_ASSERT_EQUAL(close_key(key), WWR_OK);
  CU_ASSERT_EQUAL(lookup_key(key), WWR_E_SESSION_NOT_FOUND);
  static const char *const odd[] = {"-", "_", "--help", "0", "a"};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    CU_ASSERT_EQUAL(create_key(odd[i], NULL), WWR_OK);
    CU_ASSERT_EQUAL(lookup_key(odd[i]), WWR_OK);
  }
}

static void try_hostile(const void *bytes, size_t len) {
  struct wwr_view key = {bytes, len};
  struct answer answer = do_lookup(key);
  CU_ASSERT_EQUAL(answer.completions, 1);
  CU_ASSERT_EQUAL(answer.err, WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_PTR_NULL(answer.session);
  answer = do_close(key);
  CU_ASSERT_EQUAL(answer.completions, 1);
  CU_ASSERT_EQUAL(answer.err, WWR_OK);
}

static void try_hostile_keys(void) {
  static const char *const keys[] = {"",
                                     ".",
                                     "..",
                                     "../victim",
                                     "./abc",
                                     "/etc/passwd",
                                     "abc/",
                                     "a/../abc",
                                     "%2e%2e",
                                     "abc%00",
                                     "*",
                                     "a*",
                                     "?bc",
                                     "[a]bc",
                                     "{abc}",
                                     "abc.wwrsess",
                                     "abc ",
                                     " abc",
                                     "abc\n",
                                     "a\\bc",
                                     "$(id)",
                                     "`id`",
                                     "\xc3\xa4",
                                     "\xff\xfe",
                                     "~",
                                     "abc;rm",
                                     "\xef\xbc\x8e",
                                     "sub/abc"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    try_hostile(keys[i], strlen(keys[i]));
  }
  try_hostile(NULL, 0);
  try_hostile("abc\0", 4);
  try_hostile("abc\0x", 5);
  try_hostile("\0", 1);
}

static void try_every_byte(void) {
  for (int c = 0; c < 256; c++) {
    uint8_t key[4] = {'a', 'b', 'c', (uint8_t)c};
    try_hostile(key, sizeof key);
    key[0] = (uint8_t)c;
    try_hostile(key, 1);
  }
}

static void hostile_keys_touch_nothing(void) {
  static const char victim[] =
      "{\"c\":\"2017-10-21T16:50:13Z\",\"l\":\"2017-10-21T16:50:13Z\"}";
  char text[256];
  char names[LOG_SIZE];
  put_file("victim.wwrsess", victim, sizeof victim - 1);
  CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
  snprintf(names, sizeof names, "%s", listing());
  try_hostile_keys();
  try_every_byte();
  char long_key[5000];
  memset(long_key, 'k', sizeof long_key);
  try_hostile(long_key, 129);
  try_hostile(long_key, sizeof long_key);
  CU_ASSERT_STRING_EQUAL(listing(), names);
  get_file("victim.wwrsess", text, sizeof text);
  CU_ASSERT_STRING_EQUAL(text, victim);
  CU_ASSERT_EQUAL(lookup_key("abc"), WWR_OK);
  CU_ASSERT_FALSE(fixture_logged("session file"));
}

/* Threads: each counts what went wrong; CUnit's asserts are not for threads. */
struct worker {
  pthread_t thread;
  int index;
  int wrong;
  pthread_barrier_t *barrier;
};

static void run_workers(void *(*body)(void *)) {
  struct worker workers[THREADS];
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, NULL, THREADS);
  for (int i = 0; i < THREADS; i++) {
    workers[i] = (struct worker){.index = i, .barrier = &barrier};
    CU_ASSERT_EQUAL_FATAL(
        pthread_create(&workers[i].thread, NULL, body, &workers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(workers[i].thread, NULL);
    CU_ASSERT_EQUAL(workers[i].wrong, 0);
  }
  pthread_barrier_destroy(&barrier);
}

static wwr_err quiet_create(const char *key) {
  struct wwr_session *session;
  wwr_err err = wwr_session_new(&session, wwr_view_str(key),
                                seconds_ns(CREATED_S), 0, "{\"n\":1}");
  if (err != WWR_OK) return err;
  err = do_create(session).err;
  wwr_session_unref(session);
  return err;
}

static wwr_err quiet_lookup(const char *key) {
  struct answer answer = do_lookup(wwr_view_str(key));
  if (answer.err == WWR_OK &&
      strcmp(wwr_session_info(answer.session), "{\"n\":1}") != 0) {
    answer.err = WWR_E_INTERNAL;
  }
  wwr_session_unref(answer.session);
  return answer.err;
}

static void *own_and_shared_keys(void *arg) {
  struct worker *me = arg;
  char key[32];
  snprintf(key, sizeof key, "own%d", me->index);
  pthread_barrier_wait(me->barrier);
  for (int i = 0; i < ROUNDS; i++) {
    me->wrong += quiet_create(key) != WWR_OK;
    me->wrong += quiet_lookup(key) != WWR_OK;
    me->wrong += quiet_lookup("shared") != WWR_OK;
    me->wrong += do_close(wwr_view_str(key)).err != WWR_OK;
    me->wrong += quiet_lookup(key) != WWR_E_SESSION_NOT_FOUND;
  }
  return NULL;
}

static void threads_with_own_and_shared_keys(void) {
  CU_ASSERT_EQUAL(quiet_create("shared"), WWR_OK);
  run_workers(own_and_shared_keys);
  CU_ASSERT_EQUAL(quiet_lookup("shared"), WWR_OK);
  CU_ASSERT_EQUAL(close_key("shared"), WWR_OK);
  CU_ASSERT_STRING_EQUAL(listing(), "");
}

/* Thread 0 creates and closes; the others look up all the while. */
static void *lookups_against_close(void *arg) {
  struct worker *me = arg;
  for (int i = 0; i < ROUNDS; i++) {
    if (me->index == 0) me->wrong += quiet_create("shared") != WWR_OK;
    pthread_barrier_wait(me->barrier);
    if (me->index == THREADS / 2) {
      me->wrong += do_close(wwr_view_str("shared")).err != WWR_OK;
    } else {
      wwr_err err = quiet_lookup("shared");
      me->wrong += err != WWR_OK && err != WWR_E_SESSION_NOT_FOUND;
    }
    pthread_barrier_wait(me->barrier);
    me->wrong += quiet_lookup("shared") != WWR_E_SESSION_NOT_FOUND;
    pthread_barrier_wait(me->barrier);
  }
  return NULL;
}

static void a_lookup_never_resurrects(void) {
  run_workers(lookups_against_close);
  CU_ASSERT_STRING_EQUAL(listing(), "");
}

static bool expected_failure(wwr_err err) {
  return err == WWR_OK || err == WWR_E_NOMEM;
}

static void create_survives_failing_allocations(void) {
  struct wwr_session *session = new_session("abc", INFO);
  for (long n = 0;; n++) {
    test_alloc_fail_at(n);
    struct answer answer = do_create(session);
    bool failed = test_alloc_failed();
    CU_ASSERT_EQUAL(answer.completions, 1);
    CU_ASSERT(expected_failure(answer.err));
    wwr_err found = lookup_key("abc");
    CU_ASSERT_EQUAL(found,
                    answer.err == WWR_OK ? WWR_OK : WWR_E_SESSION_NOT_FOUND);
    CU_ASSERT_EQUAL(close_key("abc"), WWR_OK);
    CU_ASSERT_STRING_EQUAL(listing(), "");
    if (!failed) break;
  }
  wwr_session_unref(session);
}

static void lookup_survives_failing_allocations(void) {
  CU_ASSERT_EQUAL(create_key("abc", "{\"n\":1}"), WWR_OK);
  for (long n = 0;; n++) {
    test_alloc_fail_at(n);
    struct answer answer = do_lookup(wwr_view_str("abc"));
    bool failed = test_alloc_failed();
    CU_ASSERT_EQUAL(answer.completions, 1);
    CU_ASSERT(expected_failure(answer.err));
    CU_ASSERT_EQUAL(answer.err == WWR_OK, answer.session != NULL);
    wwr_session_unref(answer.session);
    CU_ASSERT_EQUAL(quiet_lookup("abc"), WWR_OK);
    if (!failed) break;
  }
  for (long n = 0;; n++) {
    test_alloc_fail_at(n);
    struct answer answer = do_lookup(wwr_view_str("unknown"));
    bool failed = test_alloc_failed();
    CU_ASSERT_EQUAL(answer.completions, 1);
    CU_ASSERT(answer.err == WWR_E_SESSION_NOT_FOUND ||
              answer.err == WWR_E_NOMEM);
    if (!failed) break;
  }
}

static void close_survives_failing_allocations(void) {
  for (long n = 0;; n++) {
    CU_ASSERT_EQUAL(create_key("abc", NULL), WWR_OK);
    test_alloc_fail_at(n);
    struct answer answer = do_close(wwr_view_str("abc"));
    bool failed = test_alloc_failed();
    CU_ASSERT_EQUAL(answer.completions, 1);
    CU_ASSERT(expected_failure(answer.err));
    if (answer.err == WWR_OK) {
      CU_ASSERT_EQUAL(lookup_key("abc"), WWR_E_SESSION_NOT_FOUND);
    }
    if (!failed) break;
  }
}

static void opening_survives_failing_allocations(void) {
  for (long n = 0;; n++) {
    struct wwr_sessionstore *store;
    test_alloc_fail_at(n);
    wwr_err err = fx.subject->open(&store, fx.dir, &fx.log);
    bool failed = test_alloc_failed();
    CU_ASSERT_EQUAL(err, failed ? WWR_E_NOMEM : WWR_OK);
    CU_ASSERT_EQUAL(err == WWR_OK, store != NULL);
    if (store) store->ops->free(store);
    if (!failed) break;
  }
}

CU_TestInfo sessionstore_contract[] = {
    {"finds_what_was_created", finds_what_was_created},
    {"keeps_info_verbatim", keeps_info_verbatim},
    {"keeps_having_no_info", keeps_having_no_info},
    {"gives_the_previous_lookup", gives_the_previous_lookup},
    {"unknown_key_is_not_found", unknown_key_is_not_found},
    {"closed_is_not_found", closed_is_not_found},
    {"closing_an_unknown_key_succeeds", closing_an_unknown_key_succeeds},
    {"a_key_used_again_is_replaced", a_key_used_again_is_replaced},
    {"found_sessions_outlive_the_store", found_sessions_outlive_the_store},
    {"the_longest_key_is_kept", the_longest_key_is_kept},
    {"hostile_keys_touch_nothing", hostile_keys_touch_nothing},
    {"threads_with_own_and_shared_keys", threads_with_own_and_shared_keys},
    {"a_lookup_never_resurrects", a_lookup_never_resurrects},
    {"create_survives_failing_allocations",
     create_survives_failing_allocations},
    {"lookup_survives_failing_allocations",
     lookup_survives_failing_allocations},
    {"close_survives_failing_allocations", close_survives_failing_allocations},
    {"opening_survives_failing_allocations",
     opening_survives_failing_allocations},
    CU_TEST_INFO_NULL,
};
