/* publish: the log and its epochs, in calm. What is read of it is in
 * scripts_read_test.c. docs/rules.md, R2, R7 and the rows named at the tests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripts_rig.h"
#include "test.h"

static struct sr sr;

/* Each test has a server without data: one is enough for all. */
static void setup(void) {
  sr_fresh(&sr, sr_cluster_scripts);
  sr_ask(&sr, "CONFIG SET stream-node-max-entries 1"); /* trims exactly */
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat(&sr, BOOT_A, 1), 0), "ok");
}

static uint64_t epoch_of(const char *id) {
  return strtoull(id, NULL, 10);
}

/* --- publish ------------------------------------------------------------ */

static void test_first_publish(void) {
  CU_ASSERT_TRUE(sr_answered(sr_publish(&sr, "ch", BOOT_A, 1), "ok", "1"));
  CU_ASSERT_TRUE(sr_answered(sr_publish(&sr, "ch", BOOT_A, 2), "ok", "2"));
  CU_ASSERT_TRUE(sr_answered(sr_publish(&sr, "ch", BOOT_B, 1), "ok", "3"));
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "ch"), "!new 1:d1 2:d2 3:d1");
  char generation[32];
  snprintf(generation, sizeof(generation), "%s",
           sr_ask(&sr, "HGET w:{0}:gen n"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:m:ch r"), generation);
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HMGET w:{0}:m:ch p w a"), " new 60000");
}

/* scripts.h, "Entries": four fields, in order. */
static void test_entries(void) {
  char id[48];
  sr_publish(&sr, "ch", BOOT_A, 7);
  sr_ask(&sr, "XRANGE w:{0}:l:ch - +");
  CU_ASSERT_EQUAL(sr.answer.count, 18);
  const char *const fork[] = {"b", "", "s", "", "t", NULL, "d", "new"};
  const char *const entry[] = {"b", BOOT_A, "s", "7", "t", NULL, "d", "d7"};
  for (size_t i = 0; i < 8; i++) {
    if (fork[i]) CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 1 + i), fork[i]);
    if (entry[i]) CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 10 + i), entry[i]);
  }
  int64_t t = sr_number(&sr.answer, 6), t1 = sr_number(&sr.answer, 15);
  sr_ask(&sr, "TIME");
  int64_t now = sr_number(&sr.answer, 0) * 1000;
  /* The wall clock may be set back a little at any time. */
  CU_ASSERT(t < t1 + 1000 && t > now - 60000 && t1 < now + 2000);
  CU_ASSERT_EQUAL(epoch_of(sr_entry_id(&sr, "ch", 0, id)),
                  epoch_of(sr_ask(&sr, "HGET w:{0}:m:ch e")));
}

static void test_hint(void) {
  char expected[200], data[4];
  void *listener = sr_listen(&sr, "w:{0}:c:ch");
  memcpy(data, "\0 \xff\n", 4);
  const struct wwr_view argv[] = {wwr_view_str("w:{0}:m:ch"),
                                  wwr_view_str("w:{0}:l:ch"),
                                  wwr_view_str("w:{0}:gen"),
                                  wwr_view_str("w:{0}:c:ch"),
                                  wwr_view_str(BOOT_A),
                                  wwr_view_str("1"),
                                  wwr_view_str(BOOT_B),
                                  wwr_view_str("9007199254740991"),
                                  {(uint8_t *)data, 4},
                                  wwr_view_str("10"),
                                  wwr_view_str("1000"),
                                  wwr_view_str("90000"),
                                  wwr_view_str("")};
  CU_ASSERT_TRUE(sr_answered(
      sr_eval_views(&sr, wwri_script_publish, argv, 13, 3), "ok", "1"));
  sr_ask(&sr, "XREVRANGE w:{0}:l:ch + - COUNT 1");
  CU_ASSERT_EQUAL(sr.answer.values[8].len, 4);
  CU_ASSERT_EQUAL(memcmp(sr.answer.values[8].data, data, 4), 0);
  int len = snprintf(expected, sizeof(expected), "%s %s %s %s ",
                     sr_text(&sr.answer, 0), BOOT_B, "9007199254740991",
                     sr_text(&sr.answer, 6));
  memcpy(expected + len, data, 4);
  struct wwr_view heard = sr_heard(listener);
  CU_ASSERT_EQUAL(heard.len, (size_t)len + 4);
  CU_ASSERT(heard.len == (size_t)len + 4 &&
            memcmp(heard.data, expected, heard.len) == 0);
  CU_ASSERT_TRUE(sr_heard_nothing(&sr, listener, "w:{0}:c:ch"));
  sr_listen_end(listener);
}

static void test_no_generation(void) {
  void *listener = sr_listen(&sr, "w:{0}:c:ch");
  sr_ask(&sr, "DEL w:{0}:gen");
  CU_ASSERT_TRUE(sr_is(sr_publish(&sr, "ch", BOOT_A, 1), "nogen"));
  CU_ASSERT_TRUE(sr_is(sr_open(&sr, "ch", 0), "nogen"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "EXISTS w:{0}:m:ch w:{0}:l:ch"), "0");
  CU_ASSERT_TRUE(sr_heard_nothing(&sr, listener, "w:{0}:c:ch"));
  sr_listen_end(listener);
}

static void test_limit(void) {
  for (unsigned i = 1; i <= 20; i++) {
    sr_publish_as(&sr,
                  &(struct sr_publish){
                      .channel = "ch", .author = BOOT_A, .seq = i, .limit = 5});
  }
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "ch"),
                         "16:d16 17:d17 18:d18 19:d19 "
                         "20:d20");
}

static void test_expiry(void) {
  struct sr_publish publish = {
      .channel = "ch", .author = BOOT_A, .seq = 1, .expiry = 660000};
  sr_publish_as(&sr, &publish);
  CU_ASSERT_TRUE(sr_lives(&sr, "w:{0}:m:ch", 660000) &&
                 sr_lives(&sr, "w:{0}:l:ch", 660000));
  sr_ask(&sr, "PEXPIRE w:{0}:m:ch 100000");
  sr_ask(&sr, "PEXPIRE w:{0}:l:ch 100000");
  publish.seq = 2; /* without t: left alone */
  sr_publish_as(&sr, &publish);
  CU_ASSERT_TRUE(sr_lives(&sr, "w:{0}:m:ch", 100000) &&
                 sr_lives(&sr, "w:{0}:l:ch", 100000));
  publish.seq = 3;
  publish.flags = "r";
  sr_publish_as(&sr, &publish);
  CU_ASSERT_TRUE(sr_lives(&sr, "w:{0}:m:ch", 100000) &&
                 sr_lives(&sr, "w:{0}:l:ch", 100000));
  publish.seq = 4;
  publish.flags = "t";
  sr_publish_as(&sr, &publish);
  CU_ASSERT_TRUE(sr_lives(&sr, "w:{0}:m:ch", 660000) &&
                 sr_lives(&sr, "w:{0}:l:ch", 660000));
  publish.seq = 5; /* another node's shorter one shortens nothing */
  publish.age = 1000;
  publish.expiry = 61000;
  sr_publish_as(&sr, &publish);
  CU_ASSERT_TRUE(sr_lives(&sr, "w:{0}:m:ch", 660000) &&
                 sr_lives(&sr, "w:{0}:l:ch", 660000));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:m:ch a"), "1000");
  sr_ask(&sr, "PERSIST w:{0}:l:ch"); /* nothing stays for ever */
  publish.seq = 6;
  sr_publish_as(&sr, &publish);
  CU_ASSERT_TRUE(sr_lives(&sr, "w:{0}:l:ch", 61000));
}

/* A late command: the node has a newer connection by now, or the boot is not
 * known (any more). Nothing is done. */
static void test_late_commands(void) {
  void *listener = sr_listen(&sr, "w:{0}:c:ch");
  struct sr_publish publish = {.channel = "ch", .author = BOOT_A, .seq = 1};
  struct sr_beat beat = {.boot = BOOT_A, .n = 2, .connection = "7"};
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat_as(&sr, &beat), 0), "ok");
  CU_ASSERT_TRUE(sr_is(sr_publish_as(&sr, &publish), "nogen"));
  publish.flags = "r";
  CU_ASSERT_TRUE(sr_is(sr_publish_as(&sr, &publish), "nogen"));
  publish.connection = "8";
  CU_ASSERT_TRUE(sr_is(sr_publish_as(&sr, &publish), "nogen"));
  publish.connection = "7";
  publish.node = BOOT_B;
  CU_ASSERT_TRUE(sr_is(sr_publish_as(&sr, &publish), "nogen"));
  CU_ASSERT_TRUE(sr_is(sr_open(&sr, "ch", 0), "nogen"));
  CU_ASSERT_TRUE(
      sr_is(sr_eval(&sr, wwri_script_publish_unlogged, LIST("w:{0}:gen"),
                    LIST("w:{0}:c:ch", BOOT_A, "1", BOOT_A, "5", "a b")),
            "nogen"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "EXISTS w:{0}:m:ch w:{0}:l:ch"), "0");
  CU_ASSERT_TRUE(sr_heard_nothing(&sr, listener, "w:{0}:c:ch"));
  publish.node = BOOT_A;
  CU_ASSERT_TRUE(sr_answered(sr_publish_as(&sr, &publish), "ok", "1"));
  sr_listen_end(listener);
}

/* --- unlogged ----------------------------------------------------------- */

static void test_unlogged(void) {
  char expected[100];
  void *listener = sr_listen(&sr, "w:{0}:c:ch");
  CU_ASSERT_TRUE(
      sr_is(sr_eval(&sr, wwri_script_publish_unlogged, LIST("w:{0}:gen"),
                    LIST("w:{0}:c:ch", BOOT_A, "1", BOOT_B, "5", "a b")),
            "ok"));
  struct wwr_view heard = sr_heard(listener);
  int len = snprintf(expected, sizeof(expected), "0-0 %s 5 ", BOOT_B);
  CU_ASSERT_EQUAL_FATAL(heard.len, (size_t)len + 13 + 4);
  CU_ASSERT_EQUAL(memcmp(heard.data, expected, (size_t)len), 0);
  CU_ASSERT_EQUAL(memcmp(heard.data + heard.len - 4, " a b", 4), 0);
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "EXISTS w:{0}:l:ch w:{0}:m:ch"), "0");
  sr_listen_end(listener);
}

/* --- retries ------------------------------------------------------------ */

/* First sent at `since_ms` by the server's clock; 0: now. */
static const struct sr_answer *again(unsigned seq, const char *flags,
                                     const char *hint, int64_t since_ms) {
  return sr_publish_as(&sr, &(struct sr_publish){.channel = "ch",
                                                 .author = BOOT_A,
                                                 .seq = seq,
                                                 .flags = flags,
                                                 .hint = hint,
                                                 .since_ms = since_ms,
                                                 .limit = 20000});
}

/* Rows 29, 30: the time-out's retry, and that of one that was overtaken. */
static void test_retry(void) {
  void *listener = sr_listen(&sr, "w:{0}:c:ch");
  CU_ASSERT_TRUE(sr_answered(again(1, "r", "0-0", 0), "ok", "1"));
  CU_ASSERT(sr_heard(listener).len > 0);
  CU_ASSERT_TRUE(sr_answered(again(1, "r", "0-0", 0), "dup", "1"));
  sr_publish(&sr, "ch", BOOT_A, 6);
  CU_ASSERT(sr_heard(listener).len > 0);
  CU_ASSERT_TRUE(sr_is(again(5, "r", "0-0", 0), "superseded"));
  CU_ASSERT_TRUE(sr_answered(again(6, "r", "0-0", 0), "dup", "2"));
  CU_ASSERT_TRUE(sr_heard_nothing(&sr, listener, "w:{0}:c:ch"));
  CU_ASSERT_TRUE(sr_answered(again(7, "r", "0-0", 0), "ok", "3"));
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "ch"), "!new 1:d1 2:d6 3:d7");
  sr_listen_end(listener);
}

/* Row 31: what stands behind a later one is found all the same: the whole
 * range is read before "superseded" is said. */
static void test_retry_scans_everything(void) {
  char hint[48];
  sr_publish(&sr, "ch", BOOT_A, 6);
  sr_publish(&sr, "ch", BOOT_A, 5); /* as an old publisher might have */
  sr_entry_id(&sr, "ch", 0, hint);
  CU_ASSERT_TRUE(sr_answered(again(5, "r", "0-0", 0), "dup", "2"));
  CU_ASSERT_TRUE(sr_answered(again(5, "r", hint, 0), "dup", "2"));
}

static void test_retry_sees_own_boot_only(void) {
  sr_publish(&sr, "ch", BOOT_B, 5);
  sr_publish(&sr, "ch", BOOT_B, 9);
  CU_ASSERT_TRUE(sr_answered(again(5, "r", "0-0", 0), "ok", "3"));
}

static void test_retry_without_log(void) {
  CU_ASSERT_TRUE(sr_answered(again(3, "rd", "0-0", 0), "ok", "1"));
  sr_ask(&sr, "XTRIM w:{0}:l:ch MAXLEN 0");
  CU_ASSERT_TRUE(sr_answered(again(3, "rd", "0-0", 0), "ok", "2"));
}

/* Entries of another author, many at a time. */
static void fill_fast(unsigned count) {
  char number[16];
  snprintf(number, sizeof(number), "%u", count);
  static const char text[] =
      "#!lua\n"
      "local e = redis.call('HGET', KEYS[2], 'e')\n"
      "local t = redis.call('TIME')[1] .. '000'\n"
      "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], e .. '-*', 'b', "
      "ARGV[2], 's', i, 't', t, 'd', 'x') end";
  const char *const keys[] = {"w:{0}:l:ch", "w:{0}:m:ch", NULL};
  sr_eval_directly(&sr, text, keys, LIST(number, BOOT_B));
}

/* From the hint 10,000 entries are read, itself included. */
static void test_retry_near_hint(void) {
  char fork[48], first[48], last[48];
  sr_fill(&sr, BOOT_A, 1, 1, 20000);
  sr_entry_id(&sr, "ch", 0, fork);
  sr_entry_id(&sr, "ch", 1, first);
  fill_fast(9998);
  CU_ASSERT_TRUE(sr_answered(again(1, "r", fork, 0), "dup", "1"));
  CU_ASSERT_TRUE(sr_answered(again(1, "r", first, 0), "dup", "1"));
  CU_ASSERT_TRUE(sr_answered(again(2, "r", fork, 0), "ok", "10000"));
  CU_ASSERT_TRUE(sr_is(again(3, "r", fork, 0), "wrapped"));
  CU_ASSERT_TRUE(sr_answered(again(3, "r", first, 0), "ok", "10001"));
  CU_ASSERT_TRUE(sr_is(again(4, "rd", first, 0), "wrapped"));
  /* What is found counts, even if not all could be read. */
  CU_ASSERT_TRUE(sr_is(again(0, "r", fork, 0), "superseded"));
  CU_ASSERT_TRUE(sr_answered(again(1, "r", fork, 0), "dup", "1"));
  snprintf(last, sizeof(last), "%.*s-9999", 19, fork);
  CU_ASSERT_TRUE(sr_answered(again(4, "r", last, 0), "ok", "10002"));
}

/* Row 32, and a hint from a branch that the log forgot: from the end, 10,000
 * entries. */
static void test_retry_far(void) {
  int64_t begun = sr_server_ms(&sr); /* it takes long on a busy machine */
  sr_fill(&sr, BOOT_A, 1, 1, 20000);
  fill_fast(9998); /* and the fork record: 10,000 */
  CU_ASSERT_TRUE(sr_answered(again(1, "r", "5-5", begun), "dup", "1"));
  CU_ASSERT_TRUE(sr_is(again(0, "r", "5-5", begun), "superseded"));
  CU_ASSERT_TRUE(sr_answered(again(2, "r", "5-5", begun), "ok", "10000"));
  CU_ASSERT_TRUE(sr_is(again(0, "r", "5-5", begun), "superseded"));
  CU_ASSERT_TRUE(sr_answered(again(1, "r", "5-5", begun), "dup", "1"));
  fill_fast(1); /* the first publish is out of sight */
  CU_ASSERT_TRUE(sr_is(again(1, "r", "5-5", begun), "superseded"));
  CU_ASSERT_TRUE(sr_is(again(9, "r", "5-5", begun), "wrapped"));
  CU_ASSERT_TRUE(sr_is(again(9, "rd", "5-5", begun), "wrapped"));
}

/* Flag a: appended only once, so at the hint or nowhere. Nothing is read but
 * where the log begins. */
static void test_retry_sure(void) {
  char hint[48], other[48], older[48];
  sr_fill(&sr, BOOT_A, 1, 3, 5);
  sr_entry_id(&sr, "ch", 2, hint);
  sr_entry_id(&sr, "ch", 3, other);
  CU_ASSERT_TRUE(sr_answered(again(2, "ra", hint, 0), "dup", "2"));
  CU_ASSERT_TRUE(sr_answered(again(2, "ra", other, 0), "ok", "4")); /* a lie */
  snprintf(older, sizeof(older), "%llu-7",
           (unsigned long long)epoch_of(hint) + 1); /* behind the end */
  CU_ASSERT_TRUE(sr_answered(again(2, "ra", older, 0), "ok", "5"));
  sr_fill(&sr, BOOT_B, 1, 9, 5);
  const struct sr_answer *answer = again(2, "ra", hint, 0); /* trimmed */
  CU_ASSERT_STRING_EQUAL(sr_text(answer, 0), "dup");
  CU_ASSERT_STRING_EQUAL(sr_text(answer, 1), hint);
  /* The log begins in a newer epoch: all is possible, look for it. */
  snprintf(older, sizeof(older), "%llu-2",
           (unsigned long long)epoch_of(hint) - 1);
  CU_ASSERT_TRUE(sr_is(again(2, "ra", older, 0), "wrapped"));
  sr_fill(&sr, BOOT_A, 8, 8, 5);
  CU_ASSERT_STRING_EQUAL(sr_text(again(8, "ra", older, 0), 0), "dup");
  /* ... behind which there is a later one: it has been trimmed. */
  answer = again(2, "ra", older, 0);
  CU_ASSERT_STRING_EQUAL(sr_text(answer, 0), "dup");
  CU_ASSERT_STRING_EQUAL(sr_text(answer, 1), older);
  CU_ASSERT_TRUE(sr_is(again(2, "rd", older, 0), "superseded"));
}

/* Not at the log's beginning, but its oldest entry is older than the attempt.
 * The entries are made by hand: the test can't wait. */
static void test_retry_reaches_back_in_time(void) {
  sr_ask(&sr, "TIME");
  int64_t now = sr_number(&sr.answer, 0) * 1000;
  char epoch[32];
  sr_publish(&sr, "ch", BOOT_B, 1);
  snprintf(epoch, sizeof(epoch), "%s", sr_ask(&sr, "HGET w:{0}:m:ch e"));
  sr_ask(&sr, "DEL w:{0}:l:ch");
  sr_ask(&sr, "XADD w:{0}:l:ch %s-9 b %s s 2 t %lld d x", epoch, BOOT_B,
         (long long)now - 60000);
  CU_ASSERT_TRUE(sr_is(again(1, "r", "5-5", now - 60000), "wrapped"));
  CU_ASSERT_TRUE(sr_is(again(1, "r", "5-5", now - 57000), "wrapped"));
  CU_ASSERT_TRUE(sr_answered(again(1, "r", "5-5", now - 56999), "ok", "10"));
}

/* A fork record whose parent is known is no beginning of everything. */
static void test_retry_at_a_fork(void) {
  sr_publish(&sr, "ch", BOOT_B, 1);
  sr_ask(&sr, "HSET w:{0}:m:ch r 1");
  sr_publish(&sr, "ch", BOOT_B, 2);
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "ch"), "!new 1:d1 !generation 1:d2");
  sr_ask(&sr, "XTRIM w:{0}:l:ch MAXLEN 2");
  CU_ASSERT_TRUE(sr_is(again(1, "r", "5-5", 0), "wrapped"));
}

/* Deep: an acknowledged entry (the hint is its id) that the limit trimmed is
 * there, so to speak. Else the log's end says nothing. */
static void test_retry_trimmed(void) {
  char hint[48];
  sr_fill(&sr, BOOT_A, 1, 3, 5);
  sr_entry_id(&sr, "ch", 2, hint);
  CU_ASSERT_TRUE(sr_answered(again(2, "rd", hint, 0), "dup", "2"));
  sr_fill(&sr, BOOT_B, 1, 9, 5);
  const struct sr_answer *answer = again(2, "rd", hint, 0);
  CU_ASSERT_STRING_EQUAL(sr_text(answer, 0), "dup");
  CU_ASSERT_STRING_EQUAL(sr_text(answer, 1), hint);
  CU_ASSERT_TRUE(sr_is(again(2, "r", hint, 0), "wrapped"));
  *strchr(hint, '-') = '\0'; /* the same place in another epoch */
  snprintf(hint, sizeof(hint), "%llu-2",
           (unsigned long long)epoch_of(hint) - 1);
  CU_ASSERT_TRUE(sr_is(again(2, "rd", hint, 0), "wrapped"));
}

/* --- epochs ------------------------------------------------------------- */

static bool continues(const char *channel, size_t index, const char *parent) {
  sr_ask(&sr, "XRANGE w:{0}:l:%s - +", channel);
  bool good = strcmp(sr_text(&sr.answer, 9 * index + 4), parent) == 0;
  if (!good) printf("\n%s\n", sr_text(&sr.answer, 9 * index + 4));
  return good;
}

/* Row 7: meta evicted, log kept. */
static void test_meta_gone(void) {
  char last[48], id[48];
  sr_publish(&sr, "ch", BOOT_A, 1);
  sr_entry_id(&sr, "ch", 1, last);
  sr_ask(&sr, "DEL w:{0}:m:ch");
  snprintf(id, sizeof(id), "%s", sr_text(sr_publish(&sr, "ch", BOOT_A, 2), 1));
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "ch"), "!new 1:d1 !meta 1:d2");
  CU_ASSERT_TRUE(continues("ch", 2, last));
  CU_ASSERT(epoch_of(id) > epoch_of(last));
}

/* Row 8: log evicted, meta kept. */
static void test_log_gone(void) {
  char last[48], id[48];
  sr_publish(&sr, "ch", BOOT_A, 1);
  sr_entry_id(&sr, "ch", 1, last);
  sr_ask(&sr, "DEL w:{0}:l:ch");
  snprintf(id, sizeof(id), "%s", sr_text(sr_publish(&sr, "ch", BOOT_A, 2), 1));
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "ch"), "!log 1:d2");
  CU_ASSERT_TRUE(continues("ch", 0, ""));
  CU_ASSERT(epoch_of(id) > epoch_of(last));
}

static void test_both_gone(void) {
  char last[48], id[48];
  sr_publish(&sr, "ch", BOOT_A, 1);
  sr_entry_id(&sr, "ch", 1, last);
  sr_ask(&sr, "DEL w:{0}:l:ch w:{0}:m:ch");
  snprintf(id, sizeof(id), "%s", sr_text(sr_publish(&sr, "ch", BOOT_A, 2), 1));
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "ch"), "!new 1:d2");
  CU_ASSERT_TRUE(continues("ch", 0, ""));
  CU_ASSERT(epoch_of(id) != epoch_of(last));
}

/* gen evicted: the next beat begins a generation, which begins epochs. */
static void test_generation_gone(void) {
  char last[48], before[32];
  sr_publish(&sr, "ch", BOOT_A, 1);
  sr_entry_id(&sr, "ch", 1, last);
  snprintf(before, sizeof(before), "%s", sr_ask(&sr, "HGET w:{0}:gen n"));
  sr_ask(&sr, "DEL w:{0}:gen");
  CU_ASSERT_TRUE(sr_is(sr_publish(&sr, "ch", BOOT_A, 2), "nogen"));
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat(&sr, BOOT_A, 2), 0), "ok");
  CU_ASSERT(sr_number(&sr.answer, 1) != strtoll(before, NULL, 10));
  CU_ASSERT_TRUE(sr_answered(sr_publish(&sr, "ch", BOOT_A, 2), "ok", "1"));
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "ch"), "!new 1:d1 !generation 1:d2");
  CU_ASSERT_TRUE(continues("ch", 2, last));
}

/* Row 12: epochs grow, whatever the clock says, by meta and by the log; what is
 * counted on from the same number still is not the same. */
static void test_epoch_ahead_of_clock(void) {
  uint64_t by_meta, by_log;
  sr_ask(&sr, "HSET w:{0}:m:by-meta e 3000000000000999999"); /* year 2065 */
  sr_ask(&sr, "XADD w:{0}:l:by-log 3000000000000000007-5 b %s s 1 t 1 d x",
         BOOT_B);
  by_meta = epoch_of(sr_text(sr_publish(&sr, "by-meta", BOOT_A, 1), 1));
  by_log = epoch_of(sr_text(sr_publish(&sr, "by-log", BOOT_A, 1), 1));
  CU_ASSERT_EQUAL(by_meta / 1000000, 3000000000001);
  CU_ASSERT_EQUAL(by_log / 1000000, 3000000000001);
  CU_ASSERT(by_meta != by_log);
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "by-log"), "5:x !meta 1:d1");
}

/* The end of what Lua counts exactly: refused, nothing written. */
static void test_epoch_out_of_range(void) {
  sr_ask(&sr, "XADD w:{0}:l:ch 18446744073709000000-0 a b");
  CU_ASSERT_TRUE(sr_refused(sr_publish(&sr, "ch", BOOT_A, 1), "ERR webwire: "));
  CU_ASSERT_TRUE(sr_refused(sr_open(&sr, "ch", 0), "ERR webwire: "));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "XLEN w:{0}:l:ch"), "1");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "EXISTS w:{0}:m:ch"), "0");
}

/* A log that went further than meta says (restored from elsewhere). */
static void test_log_ahead_of_meta(void) {
  char id[48];
  sr_publish(&sr, "ch", BOOT_A, 1);
  sr_entry_id(&sr, "ch", 1, id);
  unsigned long long ahead = epoch_of(id) + 60000 * 1000000ull;
  sr_ask(&sr, "XADD w:{0}:l:ch %llu-0 b x s x t 1 d x", ahead);
  sr_ask(&sr, "XADD w:{0}:l:ch %llu-4 b %s s 1 t 1 d x", ahead, BOOT_B);
  sr_publish(&sr, "ch", BOOT_A, 2);
  CU_ASSERT(epoch_of(sr_text(&sr.answer, 1)) > ahead);
  CU_ASSERT_TRUE(strstr(sr_log(&sr, "ch"), " 4:x !order 1:d2") != NULL);
}

/* ... or not as far: its fork record is not there, and a message must not get
 * the fork record's number. */
static void test_meta_ahead_of_log(void) {
  char epoch[32];
  sr_publish(&sr, "ch", BOOT_A, 1);
  snprintf(epoch, sizeof(epoch), "%llu",
           strtoull(sr_ask(&sr, "HGET w:{0}:m:ch e"), NULL, 10) + 5);
  sr_ask(&sr, "HSET w:{0}:m:ch e %s", epoch);
  CU_ASSERT_TRUE(sr_answered(sr_publish(&sr, "ch", BOOT_A, 2), "ok", "1"));
  CU_ASSERT_STRING_EQUAL(sr_log(&sr, "ch"), "!new 1:d1 !order 1:d2");
  CU_ASSERT(epoch_of(sr_text(sr_publish(&sr, "ch", BOOT_A, 3), 1)) >
            strtoull(epoch, NULL, 10));
  sr_ask(&sr, "HSET w:{0}:m:ch e 9000000000000000000");
  CU_ASSERT_STRING_EQUAL(sr_text(sr_open(&sr, "ch", 0), 0), "ok");
  CU_ASSERT(epoch_of(sr_text(&sr.answer, 1)) > 9000000000000000000u);
}

/* --- other people's keys ------------------------------------------------ */

static void test_wrong_types(void) {
  void *listener = sr_listen(&sr, "w:{0}:c:ch");
  static const char *const keys[] = {"m:ch", "l:ch", "gen"};
  for (size_t i = 0; i < 3; i++) {
    setup();
    sr_ask(&sr, "DEL w:{0}:%s", keys[i]);
    sr_ask(&sr, "SET w:{0}:%s theirs", keys[i]);
    CU_ASSERT_TRUE(sr_refused(sr_publish(&sr, "ch", BOOT_A, 1), "WRONGTYPE"));
    CU_ASSERT_TRUE(sr_refused(again(1, "r", "0-0", 0), "WRONGTYPE"));
    CU_ASSERT_TRUE(sr_refused(sr_open(&sr, "ch", 3), "WRONGTYPE"));
    if (i < 2) {
      CU_ASSERT_TRUE(sr_refused(
          sr_eval(&sr, wwri_script_history, LIST("w:{0}:m:ch", "w:{0}:l:ch"),
                  LIST("5", "1000", "")),
          "WRONGTYPE"));
    }
    if (i == 1) {
      CU_ASSERT_TRUE(
          sr_refused(sr_eval(&sr, wwri_script_range, LIST("w:{0}:l:ch"),
                             LIST("1-1", "5", "1000")),
                     "WRONGTYPE"));
    }
    CU_ASSERT_STRING_EQUAL(
        sr_ask(&sr, "EXISTS w:{0}:m:ch w:{0}:l:ch w:{0}:gen"),
        i == 2 ? "1" : "2");
    CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "GET w:{0}:%s", keys[i]), "theirs");
  }
  CU_ASSERT_TRUE(sr_heard_nothing(&sr, listener, "w:{0}:c:ch"));
  sr_listen_end(listener);
}

/* The same behind a fast path that had worked. */
static void test_wrong_types_later(void) {
  sr_publish(&sr, "ch", BOOT_A, 1);
  sr_ask(&sr, "SET w:{0}:l:ch theirs");
  CU_ASSERT_TRUE(sr_refused(sr_publish(&sr, "ch", BOOT_A, 2), "WRONGTYPE"));
  CU_ASSERT_TRUE(sr_refused(sr_open(&sr, "ch", 1), "WRONGTYPE"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "GET w:{0}:l:ch"), "theirs");
}

/* Entries that are not ours do not break reading. */
static void test_strange_entries(void) {
  sr_publish(&sr, "ch", BOOT_A, 1);
  sr_ask(&sr, "XADD w:{0}:l:ch %s-* x y", sr_ask(&sr, "HGET w:{0}:m:ch e"));
  CU_ASSERT_STRING_EQUAL(sr_text(sr_open(&sr, "ch", 5), 0), "ok");
  CU_ASSERT_EQUAL(sr.answer.count, 4 + 9 + 9 + 3);
  CU_ASSERT_TRUE(sr_answered(again(2, "r", "0-0", 0), "ok", "3"));
}

int main(int argc, char **argv) {
  if (!redis_available()) return 77;
  CU_TestInfo publish[] = {{"first publish", test_first_publish},
                           {"entries", test_entries},
                           {"hint", test_hint},
                           {"no generation", test_no_generation},
                           {"limit", test_limit},
                           {"expiry", test_expiry},
                           {"late commands", test_late_commands},
                           {"unlogged", test_unlogged},
                           CU_TEST_INFO_NULL};
  CU_TestInfo retry[] = {{"retry", test_retry},
                         {"scans everything", test_retry_scans_everything},
                         {"own boot only", test_retry_sees_own_boot_only},
                         {"without log", test_retry_without_log},
                         {"near hint", test_retry_near_hint},
                         {"far", test_retry_far},
                         {"back in time", test_retry_reaches_back_in_time},
                         {"at a fork", test_retry_at_a_fork},
                         {"trimmed", test_retry_trimmed},
                         {"sure", test_retry_sure},
                         CU_TEST_INFO_NULL};
  CU_TestInfo epochs[] = {{"meta gone", test_meta_gone},
                          {"log gone", test_log_gone},
                          {"both gone", test_both_gone},
                          {"generation gone", test_generation_gone},
                          {"ahead of clock", test_epoch_ahead_of_clock},
                          {"out of range", test_epoch_out_of_range},
                          {"log ahead of meta", test_log_ahead_of_meta},
                          {"meta ahead of log", test_meta_ahead_of_log},
                          {"wrong types", test_wrong_types},
                          {"wrong types later", test_wrong_types_later},
                          {"strange entries", test_strange_entries},
                          CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"publish", NULL, NULL, setup, NULL, publish},
                           {"retry", NULL, NULL, setup, NULL, retry},
                           {"epochs", NULL, NULL, setup, NULL, epochs},
                           CU_SUITE_INFO_NULL};
  int status = test_run(argc, argv, suites);
  if (sr.texts) sr_end(&sr);
  return status;
}
