/* beat, bye, nodes, direct: generations, leases, grace. docs/rules.md, R1, R5,
 * R12, R13 and the rows named at the tests. Time passes by moving what is
 * stored: no test waits for a lease. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripts_rig.h"
#include "test.h"

static struct sr sr;
static void setup(void) {
  sr_fresh(&sr, sr_cluster_scripts);
}

static bool beats(const char *boot, unsigned n, const char *kind) {
  const struct sr_answer *answer = sr_beat(&sr, boot, n);
  bool good = !answer->error[0] && strcmp(sr_text(answer, 0), kind) == 0;
  if (!good) sr_is(answer, kind);
  return good;
}

static bool lives(const char *key, int64_t ms) {
  int64_t ttl = strtoll(sr_ask(&sr, "PTTL %s", key), NULL, 10);
  bool good = ttl > ms - 30000 && ttl <= ms;
  if (!good) printf("\n%s: %lld\n", key, (long long)ttl);
  return good;
}

static const struct sr_answer *nodes(const char *most) {
  return sr_eval(&sr, wwri_script_nodes, LIST("w:{0}:nodes"),
                 LIST("w:{0}:node:", "30000", most));
}

static const struct sr_answer *bye(const char *boot) {
  char node[64];
  snprintf(node, sizeof(node), "w:{0}:node:%s", boot);
  return sr_eval(&sr, wwri_script_bye, LIST("w:{0}:gen", "w:{0}:nodes", node),
                 LIST(boot, "30000"));
}

static const struct sr_answer *direct(const char *boot, const char *bytes) {
  char channel[64];
  snprintf(channel, sizeof(channel), "w:{0}:n:%s", boot);
  return sr_eval(&sr, wwri_script_direct, LIST("w:{0}:nodes"),
                 LIST("30000", boot, channel, bytes));
}

/* --- beat --------------------------------------------------------------- */

static void test_first_beat(void) {
  char expected[200];
  void *listener = sr_listen(&sr, "beats");
  int64_t before = sr_server_ms(&sr);
  const struct sr_answer *answer = sr_beat(&sr, BOOT_A, 1);
  CU_ASSERT_STRING_EQUAL(sr_text(answer, 0), "ok");
  CU_ASSERT_EQUAL(answer->count, 5);
  int64_t generation = sr_number(answer, 1), born = sr_number(answer, 2);
  CU_ASSERT(generation / 1000000 >= before);
  CU_ASSERT(generation / 1000000 < before + 20000);
  CU_ASSERT(born > 0);
  CU_ASSERT(sr_number(answer, 3) >= before);
  CU_ASSERT_EQUAL(sr_number(answer, 4), SR_LEASE_MS); /* grace: all is new */
  struct wwr_view heard = sr_heard(listener);
  snprintf(expected, sizeof(expected), "token.1 %lld", (long long)generation);
  CU_ASSERT_TRUE(wwr_view_equal(heard, wwr_view_str(expected)));
  CU_ASSERT_TRUE(sr_heard_nothing(&sr, listener, "beats"));
  sr_listen_end(listener);
  snprintf(expected, sizeof(expected), "%lld %lld 1 a=1\nb=2",
           (long long)generation, (long long)born);
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HMGET w:{0}:gen n born v fp"), expected);
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:gen id"), sr.rig.replid);
  CU_ASSERT_STRING_EQUAL(
      sr_ask(&sr,
             "HMGET w:{0}:node:%s n name address version started "
             "connections draining",
             BOOT_A),
      "1 node 127.0.0.1:80 1.0 1700000000000 7 0");
  CU_ASSERT_TRUE(lives("w:{0}:gen", 604800000));
  CU_ASSERT_TRUE(lives("w:{0}:nodes", 20 * SR_LEASE_MS));
  CU_ASSERT_TRUE(lives("w:{0}:node:" BOOT_A, 2 * SR_LEASE_MS));
}

static void test_same_generation(void) {
  char generation[64], born[64];
  beats(BOOT_A, 1, "ok");
  snprintf(generation, sizeof(generation), "%s", sr_text(&sr.answer, 1));
  snprintf(born, sizeof(born), "%s", sr_text(&sr.answer, 2));
  for (unsigned n = 2; n < 5; n++) {
    CU_ASSERT_TRUE(beats(n % 2 ? BOOT_A : BOOT_B, n, "ok"));
    CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 1), generation);
    CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 2), born);
  }
}

/* R1, row 6: another replication id. The number grows even when the clock is
 * behind (row 12). */
static void test_new_generation(void) {
  char born[64];
  beats(BOOT_A, 1, "ok");
  snprintf(born, sizeof(born), "%s", sr_text(&sr.answer, 2));
  sr_ask(&sr, "ZREM w:{0}:nodes !grace");
  sr_ask(&sr, "HSET w:{0}:gen id another n 3000000000000999999");
  CU_ASSERT_TRUE(beats(BOOT_A, 2, "ok"));
  CU_ASSERT_EQUAL(sr_number(&sr.answer, 1) / 1000000, 3000000000001);
  CU_ASSERT_STRING_EQUAL(sr_text(&sr.answer, 2), born); /* the data is there */
  CU_ASSERT_EQUAL(sr_number(&sr.answer, 4), SR_LEASE_MS);
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:gen id"), sr.rig.replid);
}

/* Row 57: without data born is another. */
static void test_born_anew(void) {
  beats(BOOT_A, 1, "ok");
  int64_t generation = sr_number(&sr.answer, 1);
  int64_t born = sr_number(&sr.answer, 2);
  sr_ask(&sr, "FLUSHALL");
  CU_ASSERT_TRUE(beats(BOOT_A, 2, "ok"));
  CU_ASSERT(sr_number(&sr.answer, 1) != generation);
  CU_ASSERT(sr_number(&sr.answer, 2) != born);
}

static void test_generation_out_of_range(void) {
  beats(BOOT_A, 1, "ok");
  sr_ask(&sr, "HSET w:{0}:gen id another n 18446744073709000000");
  CU_ASSERT_TRUE(sr_refused(sr_beat(&sr, BOOT_A, 2), "ERR webwire: "));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:gen id"), "another");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:node:%s n", BOOT_A), "1");
}

static void test_clone(void) {
  void *listener;
  CU_ASSERT_TRUE(beats(BOOT_A, 5, "ok"));
  CU_ASSERT_TRUE(beats(BOOT_A, 9, "ok")); /* some were lost on the way */
  listener = sr_listen(&sr, "beats");
  CU_ASSERT_TRUE(beats(BOOT_A, 9, "clone")); /* side by side */
  CU_ASSERT_TRUE(beats(BOOT_A, 8, "clone")); /* behind */
  CU_ASSERT(sr_number(&sr.answer, 1) > 0);
  CU_ASSERT_TRUE(sr_heard_nothing(&sr, listener, "beats"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:node:%s n", BOOT_A), "9");
  CU_ASSERT_TRUE(beats(BOOT_B, 1, "ok"));
  CU_ASSERT_TRUE(beats(BOOT_A, 10, "ok"));
  sr_listen_end(listener);
}

/* Row 64: who comes first says what it is. */
static void test_disagree(void) {
  struct sr_beat beat = {
      .boot = BOOT_A, .n = 1, .fingerprint = "a=1\nb=2\nc=3"};
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat_as(&sr, &beat), 0), "ok");
  beat.boot = BOOT_B;
  beat.fingerprint = "b=2\nc=3\na=1"; /* the order says nothing */
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat_as(&sr, &beat), 0), "ok");
  void *listener = sr_listen(&sr, "beats");
  sr_ask(&sr, "ZREM w:{0}:nodes %s", BOOT_B);
  beat.boot = BOOT_C;
  beat.layout = "2";
  beat.fingerprint = "a=1\nb=5\nd=4";
  CU_ASSERT_TRUE(sr_is(sr_beat_as(&sr, &beat),
                       "disagree layout=1 layout=2 b=2 b=5  d=4 c=3 "));
  CU_ASSERT_EQUAL(sr.answer.count, 9);
  beat.layout = "1";
  beat.fingerprint = "a=1\nb=2";
  CU_ASSERT_TRUE(sr_is(sr_beat_as(&sr, &beat), "disagree c=3 "));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "EXISTS w:{0}:node:%s", BOOT_C), "0");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "ZCARD w:{0}:nodes"), "2");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:gen fp"), "a=1\nb=2\nc=3");
  CU_ASSERT_TRUE(sr_heard_nothing(&sr, listener, "beats"));
  sr_listen_end(listener);
}

/* The settings of a cluster of which nobody is left go with it. */
static void test_disagree_with_the_dead(void) {
  struct sr_beat other = {.boot = BOOT_B, .n = 1, .fingerprint = "a=2"};
  beats(BOOT_A, 1, "ok");
  sr_age(&sr, BOOT_A, SR_LEASE_MS - 5000); /* alive */
  sr_age(&sr, "!grace", 1);
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat_as(&sr, &other), 0), "disagree");
  sr_age(&sr, BOOT_A,
         SR_LEASE_MS + 1000); /* dead, unless Redis was away: a grace */
  sr_age(&sr, "!grace", 2 * SR_LEASE_MS);
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat_as(&sr, &other), 0), "disagree");
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat_as(&sr, &other), 0), "disagree");
  CU_ASSERT_TRUE(beats(BOOT_A, 2, "ok")); /* it was */
  sr_age(&sr, BOOT_A, 3 * SR_LEASE_MS);
  sr_age(&sr, "!grace", 1); /* nobody came back in the grace */
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat_as(&sr, &other), 0), "ok");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HMGET w:{0}:gen v fp"), "1 a=2");
  CU_ASSERT_TRUE(beats(BOOT_A, 3, "disagree"));
}

/* Full stop, and start with other settings: nobody waits for anything. */
static void test_disagree_with_those_who_left(void) {
  struct sr_beat other = {
      .boot = BOOT_B, .n = 1, .layout = "2", .fingerprint = "a=2"};
  beats(BOOT_A, 1, "ok");
  CU_ASSERT_TRUE(sr_is(bye(BOOT_A), "ok"));
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat_as(&sr, &other), 0), "ok");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HMGET w:{0}:gen v fp"), "2 a=2");
}

/* What it said itself does not bind it. */
static void test_disagree_with_oneself(void) {
  struct sr_beat same = {.boot = BOOT_A, .n = 2, .fingerprint = "a=2"};
  beats(BOOT_A, 1, "ok");
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat_as(&sr, &same), 0), "ok");
}

/* Row 45: silent for a lease while others were heard. Boots are never revived,
 * not in a grace either, and their late commands do not count. */
static void test_fenced(void) {
  beats(BOOT_A, 1, "ok");
  beats(BOOT_B, 1, "ok");
  void *listener = sr_listen(&sr, "beats");
  sr_age(&sr, "!grace", 1);
  sr_age(&sr, BOOT_A, SR_LEASE_MS + 1);
  CU_ASSERT_TRUE(beats(BOOT_A, 2, "fenced"));
  CU_ASSERT(sr_number(&sr.answer, 1) > 0);
  CU_ASSERT_TRUE(beats(BOOT_A, 3, "fenced"));
  CU_ASSERT_TRUE(sr_is(sr_publish(&sr, "ch", BOOT_A, 1), "nogen"));
  sr_age(&sr, "!grace", -5000);
  CU_ASSERT_TRUE(beats(BOOT_A, 4, "fenced"));
  sr_ask(&sr, "HSET w:{0}:gen id another");
  CU_ASSERT_TRUE(beats(BOOT_A, 5, "fenced"));
  CU_ASSERT_TRUE(sr_heard_nothing(&sr, listener, "beats"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "EXISTS w:{0}:node:%s", BOOT_A), "0");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:gen k:%s", BOOT_A), "-");
  CU_ASSERT_EQUAL(nodes("9")->count, 9);
  CU_ASSERT_TRUE(beats(BOOT_B, 2, "ok"));
  sr_listen_end(listener);
}

/* ... but for this: where the data is lost, so is that. */
static void test_fenced_is_forgotten(void) {
  beats(BOOT_A, 1, "ok");
  beats(BOOT_B, 1, "ok");
  sr_age(&sr, "!grace", 1);
  sr_age(&sr, BOOT_A, SR_LEASE_MS + 1);
  CU_ASSERT_TRUE(beats(BOOT_A, 2, "fenced"));
  sr_ask(&sr, "DEL w:{0}:gen");
  CU_ASSERT_TRUE(beats(BOOT_A, 3, "ok"));
  CU_ASSERT_EQUAL(nodes("9")->count, 17);
}

/* The connection of the last beat is the one that counts. */
static void test_connection(void) {
  struct sr_beat beat = {.boot = BOOT_A, .n = 1, .connection = "5"};
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat_as(&sr, &beat), 0), "ok");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:gen k:%s", BOOT_A), "5");
  beat.connection = "6"; /* a clone's is none */
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat_as(&sr, &beat), 0), "clone");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:gen k:%s", BOOT_A), "5");
  beat.n = 2;
  CU_ASSERT_STRING_EQUAL(sr_text(sr_beat_as(&sr, &beat), 0), "ok");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:gen k:%s", BOOT_A), "6");
}

/* Row 46: Redis was away; nobody was heard. */
static void test_grace(void) {
  beats(BOOT_A, 1, "ok");
  beats(BOOT_B, 1, "ok");
  sr_age(&sr, "!grace", 1);
  sr_age(&sr, BOOT_A, SR_LEASE_MS + 1000);
  sr_age(&sr, BOOT_B, SR_LEASE_MS);
  CU_ASSERT_TRUE(beats(BOOT_A, 2, "ok"));
  CU_ASSERT_EQUAL(sr_number(&sr.answer, 4), SR_LEASE_MS);
  CU_ASSERT_TRUE(beats(BOOT_B, 2, "ok"));
  sr_age(&sr, "!grace", 1);
  sr_age(&sr, BOOT_A, SR_LEASE_MS / 2 - 5000); /* not that long: no grace */
  sr_age(&sr, BOOT_B, SR_LEASE_MS / 2 - 5000);
  CU_ASSERT_TRUE(beats(BOOT_A, 3, "ok"));
  CU_ASSERT_EQUAL(sr_number(&sr.answer, 4), 0);
}

/* A generation that changed grants it as well: the beats are the old
 * master's. */
static void test_grace_of_a_new_generation(void) {
  beats(BOOT_A, 1, "ok");
  beats(BOOT_B, 1, "ok");
  sr_age(&sr, "!grace", 1);
  sr_age(&sr, BOOT_A, SR_LEASE_MS + 1000);
  sr_ask(&sr, "HSET w:{0}:gen id another");
  CU_ASSERT_TRUE(beats(BOOT_A, 2, "ok"));
  CU_ASSERT_EQUAL(sr_number(&sr.answer, 4), SR_LEASE_MS);
}

/* Row 12: the clock was set back by an hour: beats of the future keep nobody
 * alive for an hour, and nobody is dead for it. */
static void test_clock_set_back(void) {
  beats(BOOT_A, 1, "ok");
  sr_age(&sr, BOOT_A, -3600000);
  sr_age(&sr, BOOT_B, -3600000);
  sr_age(&sr, "!grace", -3600000);
  CU_ASSERT_TRUE(beats(BOOT_A, 2, "ok"));
  CU_ASSERT_EQUAL(sr_number(&sr.answer, 4), SR_LEASE_MS);
  int64_t now = sr_number(&sr.answer, 3);
  CU_ASSERT_EQUAL(
      strtoll(sr_ask(&sr, "ZSCORE w:{0}:nodes %s", BOOT_B), NULL, 10), now);
  CU_ASSERT_EQUAL(strtoll(sr_ask(&sr, "ZSCORE w:{0}:nodes !grace"), NULL, 10),
                  now + SR_LEASE_MS);
}

static void test_old_entries_go(void) {
  beats(BOOT_A, 1, "ok");
  beats(BOOT_B, 1, "ok");
  beats(BOOT_C, 1, "ok");
  sr_age(&sr, BOOT_B, 10 * SR_LEASE_MS + 1);
  sr_age(&sr, BOOT_C, 10 * SR_LEASE_MS - 5000);
  beats(BOOT_A, 2, "ok");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "ZSCORE w:{0}:nodes %s", BOOT_B), "(nil)");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:gen k:%s", BOOT_B), "(nil)");
  CU_ASSERT_STRING_NOT_EQUAL(sr_ask(&sr, "ZSCORE w:{0}:nodes %s", BOOT_C),
                             "(nil)");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:gen k:%s", BOOT_C), "1");
  CU_ASSERT_TRUE(sr_is(bye(BOOT_C), "ok"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:gen k:%s", BOOT_C), "-");
  sr_age(&sr, "-" BOOT_C, 10 * SR_LEASE_MS + 1);
  beats(BOOT_A, 3, "ok");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "ZRANGE w:{0}:nodes 0 -1"),
                         BOOT_A " !grace");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "HGET w:{0}:gen k:%s", BOOT_C), "(nil)");
}

/* What tells that a boot is gone outlives its own last beat. */
static void test_gone_outlives_the_beat(void) {
  beats(BOOT_A, 1, "ok");
  beats(BOOT_B, 1, "ok");
  sr_age(&sr, "!grace", 1);
  sr_age(&sr, BOOT_A, SR_LEASE_MS + 1);
  CU_ASSERT_TRUE(beats(BOOT_A, 2, "fenced"));
  sr_age(&sr, BOOT_A, 10 * SR_LEASE_MS + 1);
  CU_ASSERT_TRUE(beats(BOOT_B, 2, "ok"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "ZSCORE w:{0}:nodes %s", BOOT_A), "(nil)");
  CU_ASSERT_TRUE(beats(BOOT_A, 3, "fenced"));
}

static void test_expiry_is_renewed(void) {
  static const char *const keys[] = {"gen", "nodes", ("node:" BOOT_A)};
  beats(BOOT_A, 1, "ok");
  for (size_t i = 0; i < 3; i++) sr_ask(&sr, "PEXPIRE w:{0}:%s 20000", keys[i]);
  beats(BOOT_A, 2, "ok");
  CU_ASSERT_TRUE(lives("w:{0}:gen", 604800000));
  CU_ASSERT_TRUE(lives("w:{0}:nodes", 20 * SR_LEASE_MS));
  CU_ASSERT_TRUE(lives("w:{0}:node:" BOOT_A, 2 * SR_LEASE_MS));
}

static void test_wrong_types(void) {
  static const char *const keys[] = {"gen", "nodes", ("node:" BOOT_A)};
  void *listener = sr_listen(&sr, "beats");
  for (size_t i = 0; i < 3; i++) {
    setup();
    sr_ask(&sr, "SET w:{0}:%s theirs", keys[i]);
    CU_ASSERT_TRUE(sr_refused(sr_beat(&sr, BOOT_A, 1), "WRONGTYPE"));
    CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "DBSIZE"), "1");
  }
  CU_ASSERT_TRUE(sr_heard_nothing(&sr, listener, "beats"));
  sr_listen_end(listener);
  setup();
  sr_ask(&sr, "SET w:{0}:nodes theirs");
  CU_ASSERT_TRUE(sr_refused(bye(BOOT_A), "WRONGTYPE"));
  CU_ASSERT_TRUE(sr_refused(direct(BOOT_A, "x"), "WRONGTYPE"));
  CU_ASSERT_TRUE(sr_refused(sr_eval(&sr, wwri_script_nodes, LIST("w:{0}:nodes"),
                                    LIST("w:{0}:node:", "30000", "10")),
                            "WRONGTYPE"));
}

/* --- bye, nodes --------------------------------------------------------- */

/* Dead at once, and for good, also in the grace that there is. */
static void test_bye(void) {
  beats(BOOT_A, 1, "ok");
  beats(BOOT_B, 1, "ok");
  CU_ASSERT_TRUE(sr_is(bye(BOOT_A), "ok"));
  CU_ASSERT_EQUAL(nodes("9")->count, 9);
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "ZSCORE w:{0}:nodes %s", BOOT_A), "(nil)");
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "EXISTS w:{0}:node:%s", BOOT_A), "0");
  CU_ASSERT_TRUE(sr_is(bye(BOOT_A), "ok")); /* again is no error */
  CU_ASSERT_TRUE(sr_is(sr_publish(&sr, "ch", BOOT_A, 1), "nogen"));
  CU_ASSERT_TRUE(beats(BOOT_A, 2, "fenced"));
  CU_ASSERT_EQUAL(nodes("9")->count, 9);
  CU_ASSERT_TRUE(sr_is(direct(BOOT_A, "x"), "dead"));
}

/* It leaves nothing behind that would stay for ever. */
static void test_bye_without_data(void) {
  CU_ASSERT_TRUE(sr_is(bye(BOOT_A), "ok"));
  CU_ASSERT_STRING_EQUAL(sr_ask(&sr, "EXISTS w:{0}:gen"), "0");
  CU_ASSERT_TRUE(lives("w:{0}:nodes", 20 * SR_LEASE_MS));
}

static void test_nodes(void) {
  CU_ASSERT_TRUE(sr_is(nodes("9"), "ok"));
  beats(BOOT_A, 1, "ok");
  beats(BOOT_B, 1, "ok");
  beats(BOOT_C, 1, "ok");
  sr_age(&sr, BOOT_B, 5000);
  sr_ask(&sr, "DEL w:{0}:node:%s", BOOT_B);
  sr_age(&sr, "!grace", 1);
  sr_age(&sr, BOOT_C, SR_LEASE_MS + 1);
  const struct sr_answer *answer = nodes("9");
  CU_ASSERT_EQUAL(answer->count, 17);
  CU_ASSERT_STRING_EQUAL(sr_text(answer, 1), BOOT_A);
  CU_ASSERT(sr_number(answer, 2) >= 0 && sr_number(answer, 2) < 20000);
  static const char *const fields[] = {
      "node", "127.0.0.1:80", "1.0", "1700000000000", "7", "0"};
  for (size_t i = 0; i < 6; i++) {
    CU_ASSERT_STRING_EQUAL(sr_text(answer, 3 + i), fields[i]);
    CU_ASSERT_STRING_EQUAL(sr_text(answer, 11 + i), "");
  }
  CU_ASSERT_STRING_EQUAL(sr_text(answer, 9), BOOT_B);
  CU_ASSERT(sr_number(answer, 10) >= 5000);
  CU_ASSERT_EQUAL(nodes("1")->count, 9); /* no more than asked for */
  sr_age(&sr, "!grace", -5000);          /* in grace all count as alive */
  CU_ASSERT_EQUAL(nodes("9")->count, 25);
  CU_ASSERT_EQUAL(nodes("2")->count, 17);
}

/* All silent, and no beat yet that would have said so: Redis was away. */
static void test_nobody_dies_of_silence(void) {
  beats(BOOT_A, 1, "ok");
  beats(BOOT_B, 1, "ok");
  sr_age(&sr, "!grace", 1);
  sr_age(&sr, BOOT_A, SR_LEASE_MS + 1000);
  sr_age(&sr, BOOT_B, SR_LEASE_MS + 2000);
  CU_ASSERT_EQUAL(nodes("9")->count, 17);
  sr_age(&sr, BOOT_A, 100); /* one of them is heard: the other is dead */
  CU_ASSERT_EQUAL(nodes("9")->count, 9);
}

static void test_direct(void) {
  beats(BOOT_A, 1, "ok");
  beats(BOOT_B, 1, "ok");
  sr_age(&sr, "!grace", 1);
  void *listener = sr_listen(&sr, "w:{0}:n:" BOOT_B);
  const struct wwr_view argv[] = {wwr_view_str("w:{0}:nodes"),
                                  wwr_view_str("30000"),
                                  wwr_view_str(BOOT_B),
                                  wwr_view_str("w:{0}:n:" BOOT_B),
                                  {(const uint8_t *)"a\0 b", 4}};
  CU_ASSERT_TRUE(
      sr_is(sr_eval_views(&sr, wwri_script_direct, argv, 5, 1), "ok 1"));
  struct wwr_view heard = sr_heard(listener);
  CU_ASSERT(heard.len == 4 && memcmp(heard.data, "a\0 b", 4) == 0);
  CU_ASSERT_TRUE(sr_is(direct(BOOT_A, "x"), "ok 0")); /* nobody listens */
  CU_ASSERT_TRUE(sr_is(direct(BOOT_C, "x"), "dead"));
  sr_age(&sr, BOOT_B, SR_LEASE_MS + 1);
  CU_ASSERT_TRUE(sr_is(direct(BOOT_B, "x"), "dead"));
  CU_ASSERT_TRUE(sr_heard_nothing(&sr, listener, "w:{0}:n:" BOOT_B));
  sr_listen_end(listener);
}

int main(int argc, char **argv) {
  if (!redis_available()) return 77;
  CU_TestInfo beat[] = {
      {"first beat", test_first_beat},
      {"same generation", test_same_generation},
      {"new generation", test_new_generation},
      {"born anew", test_born_anew},
      {"out of range", test_generation_out_of_range},
      {"clone", test_clone},
      {"disagree", test_disagree},
      {"dead disagree", test_disagree_with_the_dead},
      {"left disagree", test_disagree_with_those_who_left},
      {"own disagree", test_disagree_with_oneself},
      {"fenced", test_fenced},
      {"fenced, forgotten", test_fenced_is_forgotten},
      {"connection", test_connection},
      {"grace", test_grace},
      {"grace of a generation", test_grace_of_a_new_generation},
      {"clock set back", test_clock_set_back},
      {"old entries go", test_old_entries_go},
      {"gone outlives", test_gone_outlives_the_beat},
      {"expiry", test_expiry_is_renewed},
      {"wrong types", test_wrong_types},
      CU_TEST_INFO_NULL};
  CU_TestInfo others[] = {
      {"bye", test_bye},       {"bye without data", test_bye_without_data},
      {"nodes", test_nodes},   {"silence", test_nobody_dies_of_silence},
      {"direct", test_direct}, CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"beat", NULL, NULL, setup, NULL, beat},
                           {"nodes", NULL, NULL, setup, NULL, others},
                           CU_SUITE_INFO_NULL};
  int status = test_run(argc, argv, suites);
  if (sr.texts) sr_end(&sr);
  return status;
}
