/* The wanted channels against a server in a few lines: commands are read back
 * as text, confirmations are given by hand. */
#include "subs.h"

#include <stdio.h>
#include <string.h>

#include "rng.h"
#include "test.h"

enum { EVENTS_MAX = 4096 };

static struct wwri_subs subs;
static struct wwri_buf out;
static char events[EVENTS_MAX]; /* what hooks said: "+a -a !a a=payload" */

static void note(const char *format, const char *name, struct wwr_view text) {
  size_t len = strlen(events);
  char all[600];
  snprintf(all, sizeof(all), format, name, (int)text.len,
           text.data ? (const char *)text.data : "");
  snprintf(events + len, sizeof(events) - len, "%s", all);
}

static void on_subscribed(void *user) {
  note("+%s%.*s ", user, (struct wwr_view){NULL, 0});
}

static void on_lost(void *user) {
  note("-%s%.*s ", user, (struct wwr_view){NULL, 0});
}

static void on_refused(struct wwr_view why, void *user) {
  note("!%s(%.*s) ", user, why);
}

static void on_message(struct wwr_view payload, void *user) {
  note("%s=%.*s ", user, payload);
}

static const struct wwri_redis_sub_hooks hooks = {on_subscribed, on_lost,
                                                  on_refused, on_message};

static void setup(void) {
  events[0] = '\0';
  wwri_subs_init(&subs, 10000);
  wwri_buf_init(&out, 1 << 20);
}

static void teardown(void) {
  wwri_subs_deinit(&subs);
  wwri_buf_deinit(&out);
}

static struct wwri_redis_sub *want(const char *name) {
  struct wwri_redis_sub *sub = NULL;
  CU_ASSERT_EQUAL_FATAL(
      wwri_subs_want(&subs, &sub, wwr_view_str(name), &hooks, (void *)name),
      WWR_OK);
  return sub;
}

static void unwant(struct wwri_redis_sub *sub) {
  wwri_subs_unwant(&subs, sub);
}

static void go_live(void) {
  wwri_subs_connected(&subs);
  wwri_subs_set_live(&subs, true);
}

/* The next command as its arguments with spaces; "" for none. */
static const char *next(void) {
  static char text[256];
  bool sent;
  wwri_buf_clear(&out);
  text[0] = '\0';
  CU_ASSERT_EQUAL_FATAL(wwri_subs_next(&subs, &out, &sent), WWR_OK);
  size_t len = 0;
  const char *at = (const char *)out.data;
  const char *end = sent ? at + out.len : at;
  while (at < end && len + 64 < sizeof(text)) {
    const char *eol = memchr(at, '\r', (size_t)(end - at));
    if (!eol) break;
    if (*at != '*' && *at != '$') {
      len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s",
                              len ? " " : "", (int)(eol - at), at);
    }
    at = eol + 2;
  }
  return text;
}

static wwr_err confirm(bool subscribe, const char *name) {
  return wwri_subs_confirmed(&subs, subscribe, wwr_view_str(name));
}

static void expect_events(const char *text) {
  CU_ASSERT_STRING_EQUAL(events, text);
  if (strcmp(events, text) != 0) printf("\nevents: %s\n", events);
  events[0] = '\0';
}

static void test_wanted_before_the_connection(void) {
  want("a");
  want("b");
  CU_ASSERT_STRING_EQUAL(next(), "");
  go_live();
  expect_events("");
  CU_ASSERT_STRING_EQUAL(next(), "SUBSCRIBE a b");
  CU_ASSERT_STRING_EQUAL(next(), "");
  CU_ASSERT_EQUAL(confirm(true, "a"), WWR_OK);
  expect_events("+a ");
  CU_ASSERT_TRUE(wwri_subs_in_flight(&subs));
  CU_ASSERT_EQUAL(confirm(true, "b"), WWR_OK);
  expect_events("+b ");
  CU_ASSERT_FALSE(wwri_subs_in_flight(&subs));
  CU_ASSERT_EQUAL(subs.on, 2);
}

static void test_replayed_after_a_loss(void) {
  want("a");
  struct wwri_redis_sub *b = want("b");
  go_live();
  next();
  confirm(true, "a");
  wwri_subs_disconnected(&subs);
  expect_events("+a -a ");
  unwant(b);
  CU_ASSERT_EQUAL(subs.names.count, 1);
  go_live();
  CU_ASSERT_STRING_EQUAL(next(), "SUBSCRIBE a");
  CU_ASSERT_EQUAL(confirm(true, "a"), WWR_OK);
  expect_events("+a ");
}

static void test_not_told_while_not_live(void) {
  want("a");
  go_live();
  next();
  wwri_subs_set_live(&subs, false);
  CU_ASSERT_EQUAL(confirm(true, "a"), WWR_OK);
  CU_ASSERT_EQUAL(
      wwri_subs_message(&subs, wwr_view_str("a"), wwr_view_str("early")),
      WWR_OK);
  expect_events("");
  wwri_subs_set_live(&subs, true);
  expect_events("+a ");
  wwri_subs_set_live(&subs, false);
  CU_ASSERT_EQUAL(
      wwri_subs_message(&subs, wwr_view_str("a"), wwr_view_str("hi")), WWR_OK);
  expect_events("a=hi ");
}

static void test_unwanted_and_wanted_again_in_flight(void) {
  struct wwri_redis_sub *a = want("a");
  go_live();
  CU_ASSERT_STRING_EQUAL(next(), "SUBSCRIBE a");
  unwant(a);
  a = want("a");
  CU_ASSERT_STRING_EQUAL(next(), "");
  CU_ASSERT_EQUAL(confirm(true, "a"), WWR_OK);
  expect_events("+a ");
  unwant(a);
  CU_ASSERT_STRING_EQUAL(next(), "UNSUBSCRIBE a");
  a = want("a");
  CU_ASSERT_STRING_EQUAL(next(), "");
  CU_ASSERT_EQUAL(
      wwri_subs_message(&subs, wwr_view_str("a"), wwr_view_str("old")), WWR_OK);
  expect_events("");
  CU_ASSERT_EQUAL(confirm(false, "a"), WWR_OK);
  expect_events("");
  CU_ASSERT_STRING_EQUAL(next(), "SUBSCRIBE a");
  CU_ASSERT_EQUAL(confirm(true, "a"), WWR_OK);
  expect_events("+a ");
}

static void test_unwanted_in_flight(void) {
  struct wwri_redis_sub *a = want("a");
  go_live();
  next();
  unwant(a);
  CU_ASSERT_EQUAL(confirm(true, "a"), WWR_OK);
  CU_ASSERT_STRING_EQUAL(next(), "UNSUBSCRIBE a");
  CU_ASSERT_EQUAL(confirm(false, "a"), WWR_OK);
  expect_events("");
  CU_ASSERT_EQUAL(subs.names.count, 0);
}

static void test_wanted_again_before_anything_was_sent(void) {
  struct wwri_redis_sub *a = want("a");
  go_live();
  next();
  confirm(true, "a");
  expect_events("+a ");
  unwant(a);
  want("a");
  expect_events("");
  CU_ASSERT_STRING_EQUAL(next(), "");
  expect_events("+a ");
}

static void test_lies_about_confirmations(void) {
  CU_ASSERT_EQUAL(confirm(true, "a"), WWR_E_PROTOCOL);
  want("a");
  want("b");
  go_live();
  CU_ASSERT_EQUAL(confirm(true, "a"), WWR_E_PROTOCOL);
  next();
  CU_ASSERT_EQUAL(confirm(true, "b"), WWR_E_PROTOCOL);
  CU_ASSERT_EQUAL(confirm(false, "a"), WWR_E_PROTOCOL);
  CU_ASSERT_EQUAL(confirm(true, "x"), WWR_E_PROTOCOL);
  CU_ASSERT_EQUAL(confirm(true, "a"), WWR_OK);
  CU_ASSERT_EQUAL(wwri_subs_refused(&subs, wwr_view_str("NOPERM")),
                  WWR_E_PROTOCOL); /* in the middle of a command */
  CU_ASSERT_EQUAL(confirm(true, "b"), WWR_OK);
  CU_ASSERT_EQUAL(wwri_subs_refused(&subs, wwr_view_str("NOPERM")),
                  WWR_E_PROTOCOL);
}

static void test_messages_for_strangers(void) {
  struct wwr_view text = wwr_view_str("x");
  CU_ASSERT_EQUAL(wwri_subs_message(&subs, text, text), WWR_E_PROTOCOL);
  want("x");
  CU_ASSERT_EQUAL(wwri_subs_message(&subs, text, text), WWR_E_PROTOCOL);
  go_live();
  next();
  CU_ASSERT_EQUAL(wwri_subs_message(&subs, text, text), WWR_E_PROTOCOL);
  confirm(true, "x");
  CU_ASSERT_EQUAL(wwri_subs_message(&subs, text, text), WWR_OK);
  expect_events("+x x=x ");
}

static void test_a_refused_batch_is_taken_apart(void) {
  want("a");
  struct wwri_redis_sub *b = want("b");
  go_live();
  CU_ASSERT_STRING_EQUAL(next(), "SUBSCRIBE a b");
  CU_ASSERT_EQUAL(wwri_subs_refused(&subs, wwr_view_str("NOPERM")), WWR_OK);
  expect_events("");
  CU_ASSERT_STRING_EQUAL(next(), "SUBSCRIBE a");
  CU_ASSERT_STRING_EQUAL(next(), "SUBSCRIBE b");
  CU_ASSERT_EQUAL(confirm(true, "a"), WWR_OK);
  CU_ASSERT_EQUAL(wwri_subs_refused(&subs, wwr_view_str("NOPERM")), WWR_OK);
  expect_events("+a !b(NOPERM) ");
  CU_ASSERT_STRING_EQUAL(next(), "");
  wwri_subs_disconnected(&subs);
  go_live();
  CU_ASSERT_STRING_EQUAL(next(), "SUBSCRIBE a b");
  unwant(b);
  expect_events("-a ");
}

static void test_batches_and_window(void) {
  static char names[3000][8];
  for (int i = 0; i < 3000; i++) {
    snprintf(names[i], sizeof(names[i]), "c%d", i);
    want(names[i]);
  }
  go_live();
  bool sent = true;
  for (int i = 0; i < WWRI_SUBS_WINDOW; i++) {
    wwri_buf_clear(&out);
    CU_ASSERT_EQUAL(wwri_subs_next(&subs, &out, &sent), WWR_OK);
    CU_ASSERT_TRUE(sent);
    CU_ASSERT_EQUAL(memcmp(out.data, "*513\r\n", 6), 0);
  }
  CU_ASSERT_STRING_EQUAL(next(), "");
  for (int i = 0; i < WWRI_SUBS_BATCH; i++) {
    CU_ASSERT_EQUAL(confirm(true, names[i]), WWR_OK);
  }
  CU_ASSERT_EQUAL(wwri_subs_next(&subs, &out, &sent), WWR_OK);
  CU_ASSERT_TRUE(sent);
}

static void test_limits(void) {
  struct wwri_redis_sub *sub;
  char name[WWRI_SUBS_NAME_MAX + 1];
  memset(name, 'n', sizeof(name));
  struct wwr_view longest = {(const uint8_t *)name, WWRI_SUBS_NAME_MAX};
  struct wwr_view longer = {(const uint8_t *)name, sizeof(name)};
  subs.max = 2;
  CU_ASSERT_EQUAL(wwri_subs_want(&subs, &sub, longer, &hooks, NULL),
                  WWR_E_INVALID);
  CU_ASSERT_EQUAL(wwri_subs_want(&subs, &sub, wwr_view_str(""), &hooks, NULL),
                  WWR_E_INVALID);
  CU_ASSERT_EQUAL(wwri_subs_want(&subs, &sub, longest, &hooks, NULL), WWR_OK);
  CU_ASSERT_EQUAL(wwri_subs_want(&subs, &sub, longest, &hooks, NULL),
                  WWR_E_EXISTS);
  want("b");
  CU_ASSERT_EQUAL(wwri_subs_want(&subs, &sub, wwr_view_str("c"), &hooks, NULL),
                  WWR_E_LIMIT);
}

static void test_no_memory(void) {
  struct wwri_redis_sub *sub;
  for (long n = 0;; n++) {
    test_alloc_fail_at(n);
    wwr_err err =
        wwri_subs_want(&subs, &sub, wwr_view_str("a"), &hooks, (void *)"a");
    bool failed = test_alloc_failed();
    CU_ASSERT_EQUAL(err, failed ? WWR_E_NOMEM : WWR_OK);
    if (!failed) break;
    CU_ASSERT_EQUAL(subs.names.count, 0);
  }
  go_live();
  bool sent = true;
  wwri_buf_deinit(&out);
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwri_subs_next(&subs, &out, &sent), WWR_E_NOMEM);
  CU_ASSERT_TRUE(test_alloc_failed());
  CU_ASSERT_FALSE(sent);
  CU_ASSERT_STRING_EQUAL(next(), "SUBSCRIBE a");
}

/* --- At random, against a model server ---------------------------------- */

enum { CHANNELS = 8 };

static struct {
  struct wwri_redis_sub *sub; /* NULL: not wanted */
  bool heard;                 /* on_subscribed was the last word */
} model[CHANNELS];
static bool wrong;

static void model_subscribed(void *user) {
  int i = (int)(intptr_t)user;
  if (!model[i].sub || model[i].heard || !subs.live) wrong = true;
  model[i].heard = true;
}

static void model_lost(void *user) {
  int i = (int)(intptr_t)user;
  if (!model[i].sub || !model[i].heard) wrong = true;
  model[i].heard = false;
}

static void model_refused(struct wwr_view why, void *user) {
  (void)why;
  (void)user;
  wrong = true;
}

static void model_message(struct wwr_view payload, void *user) {
  (void)payload;
  if (!model[(intptr_t)user].heard) wrong = true;
}

static const struct wwri_redis_sub_hooks model_hooks = {
    model_subscribed, model_lost, model_refused, model_message};

/* The server: a queue of operations to confirm, and who is subscribed. */
static struct {
  bool subscribe[256];
  char name[256][4];
  size_t first, count;
  bool on[CHANNELS];
} server;

static void server_take(const char *command) {
  bool subscribe = command[0] == 'S';
  const char *at = strchr(command, ' ');
  while (at) {
    size_t slot = (server.first + server.count++) % 256;
    server.subscribe[slot] = subscribe;
    server.name[slot][0] = at[1];
    server.name[slot][1] = '\0';
    if (server.on[at[1] - 'a'] == subscribe) wrong = true;
    server.on[at[1] - 'a'] = subscribe;
    at = strchr(at + 1, ' ');
  }
}

static void server_confirm(void) {
  if (server.count == 0) return;
  size_t slot = server.first++ % 256;
  server.count--;
  if (confirm(server.subscribe[slot], server.name[slot]) != WWR_OK) {
    wrong = true;
  }
}

static void flip(int i) {
  char name[2] = {(char)('a' + i), '\0'};
  if (model[i].sub) {
    unwant(model[i].sub);
    model[i].sub = NULL;
    model[i].heard = false;
  } else if (wwri_subs_want(&subs, &model[i].sub, wwr_view_str(name),
                            &model_hooks, (void *)(intptr_t)i) != WWR_OK) {
    wrong = true;
  }
}

static void reconnect(void) {
  wwri_subs_disconnected(&subs);
  memset(&server, 0, sizeof(server));
  for (int i = 0; i < CHANNELS; i++) {
    if (model[i].heard) wrong = true;
  }
  go_live();
}

static void step(struct rng *rng) {
  uint64_t what = rng_below(rng, 100);
  if (what < 45) {
    flip((int)rng_below(rng, CHANNELS));
  } else if (what < 65) {
    const char *command = next();
    if (command[0]) server_take(command);
  } else if (what < 95) {
    server_confirm();
  } else if (what < 97) {
    wwri_subs_set_live(&subs, !subs.live);
  } else if (what < 98) {
    reconnect();
  } else {
    char name[2] = {(char)('a' + (int)rng_below(rng, CHANNELS)), '\0'};
    /* Only what the server would send. */
    if (server.on[name[0] - 'a'] && server.count == 0 &&
        wwri_subs_message(&subs, wwr_view_str(name), wwr_view_str("m")) !=
            WWR_OK) {
      wrong = true;
    }
  }
}

static void settle(void) {
  wwri_subs_set_live(&subs, true);
  for (int i = 0; i < 1000; i++) {
    const char *command = next();
    if (command[0]) server_take(command);
    if (!command[0] && server.count == 0) break;
    while (server.count > 0) server_confirm();
  }
}

static void test_random_against_a_model(void) {
  for (uint64_t seed = 1; seed <= 50; seed++) {
    struct rng rng = {seed};
    wwri_subs_deinit(&subs);
    wwri_subs_init(&subs, 100);
    memset(model, 0, sizeof(model));
    memset(&server, 0, sizeof(server));
    wrong = false;
    go_live();
    for (int i = 0; i < 5000 && !wrong; i++) step(&rng);
    settle();
    for (int i = 0; i < CHANNELS; i++) {
      if (model[i].heard != (model[i].sub != NULL)) wrong = true;
      if (server.on[i] != (model[i].sub != NULL)) wrong = true;
    }
    CU_ASSERT_FALSE(wrong);
    if (wrong) printf("\nseed %u\n", (unsigned)seed);
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"wanted before the connection", test_wanted_before_the_connection},
      {"replayed after a loss", test_replayed_after_a_loss},
      {"not told while not live", test_not_told_while_not_live},
      {"unwanted and wanted in flight",
       test_unwanted_and_wanted_again_in_flight},
      {"unwanted in flight", test_unwanted_in_flight},
      {"wanted again before sent", test_wanted_again_before_anything_was_sent},
      {"lies about confirmations", test_lies_about_confirmations},
      {"messages for strangers", test_messages_for_strangers},
      {"a refused batch", test_a_refused_batch_is_taken_apart},
      {"batches and window", test_batches_and_window},
      {"limits", test_limits},
      {"no memory", test_no_memory},
      {"random against a model", test_random_against_a_model},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"subs", NULL, NULL, setup, teardown, tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
