/* The link against the real server: calls, scripts, subscriptions. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_fixture.h"
#include "redis_rig.h"
#include "test.h"

static struct redis_server server;
static struct rig rig;
static int add_script;

static const char add[] =
    "#!lua\n"
    "return redis.call('INCRBY', KEYS[1], ARGV[1])\n";

static void register_scripts(struct wwri_redis *link) {
  add_script = wwri_redis_script(link, add);
}

static void setup(void) {
  char url[64];
  CU_ASSERT_TRUE_FATAL(redis_run(&server, "FLUSHALL", NULL, 0));
  snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server.port);
  rig_init(&rig, url);
  rig_be_patient(&rig);
}

static void teardown(void) {
  rig_end(&rig);
}

static void go_live(void) {
  rig_start(&rig, register_scripts);
  CU_ASSERT_TRUE_FATAL(rig_wait(&rig, &rig.live, 1));
}

/* --- Calls -------------------------------------------------------------- */

static void test_live(void) {
  char address[64];
  char replid[WWRI_REPLID_MAX];
  go_live();
  rig_replid(&rig, replid);
  CU_ASSERT_EQUAL(strlen(replid), 40);
  CU_ASSERT_TRUE(redis_until(&server, "INFO replication", replid));
  struct rig_result result = rig_run(&rig, "PING", 0);
  CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_OK);
  CU_ASSERT_STRING_EQUAL(result.text, "PONG");
  struct wwri_redis_stats stats = rig_stats(&rig);
  CU_ASSERT_EQUAL(stats.state, WWRI_PAIR_LIVE);
  CU_ASSERT_EQUAL(stats.times_live, 1);
  CU_ASSERT_STRING_EQUAL(stats.replid, replid);
  snprintf(address, sizeof(address), "127.0.0.1:%u", server.port);
  CU_ASSERT_STRING_EQUAL(stats.address, address);
  CU_ASSERT_STRING_EQUAL(stats.why, "");
}

static void test_kinds_of_answers(void) {
  go_live();
  struct rig_result result = rig_run(&rig, "INCR n", 0);
  CU_ASSERT_EQUAL(result.number, 1);
  result = rig_run(&rig, "GET missing", 0);
  CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_OK);
  CU_ASSERT_EQUAL(result.type, WWRI_REDIS_NIL);
  result = rig_run(&rig, "LPUSH n x", 0);
  CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_ERROR);
  CU_ASSERT_FALSE(result.maybe_done);
  CU_ASSERT_EQUAL(strncmp(result.text, "WRONGTYPE", 9), 0);
  result = rig_run(&rig, "NOSUCHCOMMAND", 0);
  CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_ERROR);
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.lost), 0);
}

enum { PIPELINED = 20000 };

struct numbered {
  struct wwri_redis_call call;
  int64_t expected;
};

static struct numbered numbered[PIPELINED];
static unsigned in_order;
static unsigned answered;

static void on_numbered(struct wwri_redis_call *call,
                        const struct wwri_redis_result *result) {
  struct numbered *it = WWRI_CONTAINER(call, struct numbered, call);
  pthread_mutex_lock(&rig.lock);
  if (wwri_redis_reply_int(result->reply) == it->expected) in_order++;
  answered++;
  pthread_cond_broadcast(&rig.changed);
  pthread_mutex_unlock(&rig.lock);
}

static void make_many(struct rig *it, void *arg) {
  const struct wwr_view argv[] = {wwr_view_str("INCR"), wwr_view_str("n")};
  (void)arg;
  for (int i = 0; i < PIPELINED; i++) {
    numbered[i] =
        (struct numbered){.call = {.done = on_numbered}, .expected = i + 1};
    CU_ASSERT_EQUAL(wwri_redis_call(it->link, &numbered[i].call, argv, 2, 0),
                    WWR_OK);
  }
}

static void test_pipelined_in_order(void) {
  go_live();
  in_order = answered = 0;
  rig_on_loop(&rig, make_many, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &answered, PIPELINED));
  CU_ASSERT_EQUAL(in_order, PIPELINED);
}

static void cancel_half(struct rig *it, void *arg) {
  make_many(it, arg);
  for (int i = 0; i < PIPELINED; i += 2) wwri_redis_cancel(&numbered[i].call);
}

static void test_cancelled_calls_keep_the_order(void) {
  go_live();
  in_order = answered = 0;
  rig_on_loop(&rig, cancel_half, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &answered, PIPELINED / 2));
  CU_ASSERT_EQUAL(rig_run(&rig, "GET n", 0).outcome, WWRI_CALL_OK);
  CU_ASSERT_EQUAL(answered, PIPELINED / 2);
  CU_ASSERT_EQUAL(in_order, PIPELINED / 2);
}

static void test_time_out_of_a_call(void) {
  go_live();
  redis_signal(&server, SIGSTOP);
  struct rig_result result = rig_run(&rig, "INCR n", 50);
  redis_signal(&server, SIGCONT);
  CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_TIMEOUT);
  CU_ASSERT_TRUE(result.maybe_done);
  result =
      rig_run(&rig, "INCR n", 0); /* its late reply is not taken for this */
  CU_ASSERT_EQUAL(result.number, 2);
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.lost), 0);
}

static void test_not_live_and_limits(void) {
  rig.opts.max_calls = 0;
  rig_start(&rig, NULL);
  struct rig_result result = rig_run(&rig, "PING", 0);
  CU_ASSERT_TRUE(result.err == WWR_E_DISCONNECTED || result.err == WWR_E_LIMIT);
  CU_ASSERT_TRUE_FATAL(rig_wait(&rig, &rig.live, 1));
  CU_ASSERT_EQUAL(rig_run(&rig, "PING", 0).err, WWR_E_LIMIT);
}

/* --- Scripts ------------------------------------------------------------ */

static void test_scripts(void) {
  go_live();
  CU_ASSERT_EQUAL(rig_eval(&rig, add_script, "k 5", 1).number, 5);
  CU_ASSERT_EQUAL(rig_eval(&rig, add_script, "k 6", 1).number, 11);
  struct rig_result result = rig_eval(&rig, add_script, "k x", 1);
  CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_ERROR);
  CU_ASSERT_TRUE(result.maybe_done); /* from within the script */
}

static void test_scripts_that_vanish(void) {
  rig.opts.timing.beat_ms = RIG_WAIT_MS; /* or a beat may find it out */
  go_live();
  CU_ASSERT_TRUE(redis_run(&server, "SCRIPT FLUSH", NULL, 0));
  struct rig_result result = rig_eval(&rig, add_script, "k 5", 1);
  CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_UNAVAILABLE);
  CU_ASSERT_FALSE(result.maybe_done);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 2));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.causes[WWRI_CAUSE_SCRIPT]), 1);
  CU_ASSERT_EQUAL(rig_eval(&rig, add_script, "k 5", 1).number, 5);
}

static void bad_script(struct wwri_redis *link) {
  wwri_redis_script(link, "#!lua\nthis is no Lua\n");
}

static void test_a_script_that_does_not_compile(void) {
  rig_start(&rig, bad_script);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_SCRIPT], 2));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.live), 0);
}

static void test_out_of_memory(void) {
  go_live();
  CU_ASSERT_TRUE(redis_run(&server, "CONFIG SET maxmemory 1", NULL, 0));
  struct rig_result result = rig_eval(&rig, add_script, "k 5", 1);
  CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_UNAVAILABLE);
  CU_ASSERT_FALSE(result.maybe_done);
  unsigned lost = rig_count(&rig, &rig.lost);
  CU_ASSERT_TRUE(redis_run(&server, "CONFIG SET maxmemory 0", NULL, 0));
  CU_ASSERT_EQUAL(rig_eval(&rig, add_script, "k 5", 1).number, 5);
  CU_ASSERT_EQUAL(lost, 0); /* the beat goes on */
}

/* --- Beats of the owner ------------------------------------------------- */

static unsigned replies;
static unsigned backs;
static unsigned wrong_backs;
static bool refuse;
static bool refuse_back;

static size_t make_beat(struct wwr_view token, struct wwr_view *argv,
                        size_t *key_count, void *user) {
  (void)user;
  *key_count = 1;
  argv[0] = wwr_view_str("beats");
  argv[1] = token;
  return 2;
}

static wwr_err on_beat_reply(const struct wwri_redis_reply *reply, void *user) {
  (void)user;
  pthread_mutex_lock(&rig.lock);
  if (wwri_redis_reply_type(reply) == WWRI_REDIS_INTEGER) replies++;
  bool refused = refuse;
  pthread_cond_broadcast(&rig.changed);
  pthread_mutex_unlock(&rig.lock);
  return refused ? WWR_E_REFUSED : WWR_OK;
}

static wwr_err on_beat_back(struct wwr_view text, void *user) {
  (void)user;
  pthread_mutex_lock(&rig.lock);
  bool refused = refuse_back;
  backs++;
  if (text.len < 3 || memcmp(text.data, "n ", 2) != 0) wrong_backs++;
  pthread_cond_broadcast(&rig.changed);
  pthread_mutex_unlock(&rig.lock);
  return refused ? WWR_E_REFUSED : WWR_OK;
}

static void use_own_beat(struct wwri_redis *link) {
  static const char text[] =
      "#!lua\n"
      "local n = redis.call('INCR', KEYS[1])\n"
      "redis.call('PUBLISH', 'beats-of-me', ARGV[1] .. ' n ' .. n)\n"
      "return n\n";
  const struct wwri_redis_beat beat = {.channel = "beats-of-me",
                                       .script = wwri_redis_script(link, text),
                                       .make = make_beat,
                                       .on_reply = on_beat_reply,
                                       .on_back = on_beat_back};
  wwri_redis_set_beat(link, &beat);
}

static void test_own_beat(void) {
  replies = backs = wrong_backs = 0;
  refuse = false;
  rig.opts.timing.beat_ms = 100;
  rig_start(&rig, use_own_beat);
  CU_ASSERT_TRUE(rig_wait(&rig, &backs, 3));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.live), 1);
  CU_ASSERT_TRUE(rig_wait(&rig, &replies, 3)); /* on the other connection */
  CU_ASSERT_EQUAL(rig_count(&rig, &wrong_backs), 0);
  pthread_mutex_lock(&rig.lock);
  refuse = true;
  pthread_mutex_unlock(&rig.lock);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_REFUSED], 2));
}

static void test_a_beat_that_is_not_wanted_back(void) {
  refuse = false;
  refuse_back = true;
  rig_start(&rig, use_own_beat);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.causes[WWRI_CAUSE_REFUSED], 2));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.live), 0);
  pthread_mutex_lock(&rig.lock);
  refuse_back = false;
  pthread_mutex_unlock(&rig.lock);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 1));
}

static void subscribe_to_the_beat(struct rig *it, void *arg) {
  static const struct wwri_redis_sub_hooks none = {0};
  struct wwri_redis_sub *sub;
  (void)arg;
  CU_ASSERT_EQUAL(wwri_redis_subscribe(
                      it->link, &sub, wwr_view_str("beats-of-me"), &none, NULL),
                  WWR_E_EXISTS);
}

static void test_the_beat_has_its_channel_alone(void) {
  refuse = false;
  rig_start(&rig, use_own_beat);
  rig_on_loop(&rig, subscribe_to_the_beat, NULL);
}

static void do_drop(struct rig *it, void *arg) {
  (void)arg;
  wwri_redis_drop(it->link, "it is the wrong one");
  wwri_redis_drop(it->link, "it is the wrong one");
}

static void drop_before_there_is_any(struct wwri_redis *link) {
  wwri_redis_drop(link, "nothing happens");
}

static void test_dropped_by_its_owner(void) {
  rig_start(&rig, drop_before_there_is_any);
  CU_ASSERT_TRUE_FATAL(rig_wait(&rig, &rig.live, 1));
  rig_subscribe(&rig, 0, 1);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, 1));
  rig_on_loop(&rig, do_drop, NULL);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.lost, 1));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.causes[WWRI_CAUSE_REFUSED]), 1);
  CU_ASSERT_TRUE(rig_why_has(&rig, WWRI_CAUSE_REFUSED, "it is the wrong one"));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 2));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, 2));
  CU_ASSERT_EQUAL(rig_run(&rig, "PING", 0).outcome, WWRI_CALL_OK);
}

/* --- Subscriptions ------------------------------------------------------ */

static void publish(unsigned index, const char *payload) {
  char line[64];
  char name[16];
  rig_name(index, name, sizeof(name));
  snprintf(line, sizeof(line), "PUBLISH %s %s", name, payload);
  CU_ASSERT_TRUE(redis_run(&server, line, NULL, 0));
}

static void test_messages(void) {
  go_live();
  rig_subscribe(&rig, 0, 2);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, 2));
  publish(0, "zero");
  publish(1, "one");
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_messages, 2));
  CU_ASSERT_STRING_EQUAL(rig.subs[0].last, "zero");
  CU_ASSERT_STRING_EQUAL(rig.subs[1].last, "one");
  rig_unsubscribe(&rig, 0);
  CU_ASSERT_TRUE(redis_until(&server, "PUBSUB NUMSUB ch:0", "ch:0 0"));
  publish(0, "nobody");
  publish(1, "again");
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_messages, 3));
  CU_ASSERT_EQUAL(rig.subs[0].messages, 1);
  CU_ASSERT_EQUAL(rig.subs[1].messages, 2);
}

enum { MANY = 5000 };

static void test_many_replayed_after_a_kill(void) {
  go_live();
  rig_subscribe(&rig, 0, MANY);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, MANY));
  CU_ASSERT_TRUE(redis_run(&server, "CLIENT KILL TYPE pubsub", NULL, 0));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_lost, MANY));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_subscribed, 2 * MANY));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.live), 2);
  CU_ASSERT_EQUAL(rig_stats(&rig).subs_on, MANY);
  CU_ASSERT_TRUE(redis_run(
      &server, "EVAL for\ti=0,4999\tdo\tredis.call('PUBLISH','ch:'..i,i)end 0",
      NULL, 0));
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs_messages, MANY));
  for (unsigned i = 0; i < MANY; i++) {
    char text[16];
    snprintf(text, sizeof(text), "%u", i);
    CU_ASSERT_EQUAL(rig.subs[i].messages, 1);
    CU_ASSERT_STRING_EQUAL(rig.subs[i].last, text);
  }
}

static void flap(struct rig *it, void *arg) {
  (void)arg;
  for (int i = 0; i < 50; i++) {
    char name[16];
    rig_name((unsigned)i % 10, name, sizeof(name));
    struct rig_sub *sub = &it->subs[i % 10];
    if (sub->sub) {
      wwri_redis_unsubscribe(it->link, sub->sub);
      sub->sub = NULL;
    }
  }
}

static void test_flapping(void) {
  go_live();
  for (int round = 0; round < 100; round++) {
    rig_subscribe(&rig, 0, 10);
    rig_on_loop(&rig, flap, NULL);
  }
  rig_subscribe(&rig, 0, 10);
  CU_ASSERT_TRUE(redis_until(&server, "PUBSUB NUMSUB ch:9", "ch:9 1"));
  for (unsigned i = 0; i < 10; i++) {
    CU_ASSERT_TRUE(rig_wait(&rig, &rig.subs[i].subscribed, 1));
  }
  CU_ASSERT_EQUAL(rig_run(&rig, "PING", 0).outcome, WWRI_CALL_OK);
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.lost), 0);
}

/* --- Size --------------------------------------------------------------- */

static void test_large_answers(void) {
  go_live();
  CU_ASSERT_EQUAL(rig_run(&rig, "SETRANGE big 8000000 x", 0).number, 8000001);
  struct rig_result result = rig_run(&rig, "GET big", 0);
  CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_OK);
  CU_ASSERT_EQUAL(result.type, WWRI_REDIS_STRING);
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.lost), 0);
}

static void test_an_answer_over_the_limit(void) {
  go_live();
  CU_ASSERT_EQUAL(rig_run(&rig, "SETRANGE big 17000000 x", 0).number, 17000001);
  struct rig_result result = rig_run(&rig, "GET big", 0);
  CU_ASSERT_EQUAL(result.outcome, WWRI_CALL_UNAVAILABLE);
  CU_ASSERT_TRUE(result.maybe_done);
  CU_ASSERT_TRUE(rig_wait(&rig, &rig.live, 2));
  CU_ASSERT_EQUAL(rig_count(&rig, &rig.causes[WWRI_CAUSE_PROTOCOL]), 1);
  CU_ASSERT_EQUAL(rig_run(&rig, "PING", 0).outcome, WWRI_CALL_OK);
}

static void call_with_too_much(struct rig *it, void *arg) {
  static uint8_t bytes[2000];
  static struct wwri_redis_call call;
  const struct wwr_view argv[] = {wwr_view_str("ECHO"), {bytes, sizeof(bytes)}};
  (void)arg;
  call = (struct wwri_redis_call){.done = NULL};
  CU_ASSERT_EQUAL(wwri_redis_call(it->link, &call, argv, 2, 0), WWR_E_LIMIT);
}

static void test_output_has_a_ceiling(void) {
  rig.opts.max_out_bytes = 1000;
  go_live();
  rig_on_loop(&rig, call_with_too_much, NULL);
  CU_ASSERT_EQUAL(rig_run(&rig, "PING", 0).outcome, WWRI_CALL_OK);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"live", test_live},
      {"kinds of answers", test_kinds_of_answers},
      {"pipelined in order", test_pipelined_in_order},
      {"cancelled calls", test_cancelled_calls_keep_the_order},
      {"time-out of a call", test_time_out_of_a_call},
      {"not live, limits", test_not_live_and_limits},
      {"scripts", test_scripts},
      {"scripts that vanish", test_scripts_that_vanish},
      {"a script that does not compile", test_a_script_that_does_not_compile},
      {"out of memory", test_out_of_memory},
      {"own beat", test_own_beat},
      {"a beat not wanted back", test_a_beat_that_is_not_wanted_back},
      {"dropped by its owner", test_dropped_by_its_owner},
      {"the beat's channel", test_the_beat_has_its_channel_alone},
      {"messages", test_messages},
      {"5,000 replayed after a kill", test_many_replayed_after_a_kill},
      {"flapping", test_flapping},
      {"large answers", test_large_answers},
      {"an answer over the limit", test_an_answer_over_the_limit},
      {"output has a ceiling", test_output_has_a_ceiling},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"redis link", NULL, NULL, setup, teardown, tests},
      CU_SUITE_INFO_NULL,
  };
  if (!redis_available()) return 77;
  redis_init(&server, NULL);
  int status = redis_start(&server) ? test_run(argc, argv, suites) : 2;
  redis_remove(&server);
  return status;
}
