/* Operations of a keeper whose link is live: what each sends, and what answers
 * mean. docs/rules.md, R11, R15, rows 50, 51, 54, 55, 58. */
#include <string.h>

#include "keeper_fixture.h"

/* --- The name of a key -------------------------------------------------- */

static void id_is_sha256(void) {
  char id[WWRI_SESSION_ID_LEN + 1];
  CU_ASSERT_TRUE(wwri_session_id(wwr_view_str("abc"), id));
  CU_ASSERT_STRING_EQUAL(id,
                         "ba7816bf8f01cfea414140de5dae2223"
                         "b00361a396177a9cb410ff61f20015ad");
}

static void only_keys_have_a_name(void) {
  char id[WWRI_SESSION_ID_LEN + 1];
  uint8_t key[WWRI_SESSION_KEY_MAX + 1];
  memset(key, 'k', sizeof key);
  CU_ASSERT_TRUE(wwri_session_id((struct wwr_view){key, 1}, id));
  CU_ASSERT_TRUE(
      wwri_session_id((struct wwr_view){key, WWRI_SESSION_KEY_MAX}, id));
  CU_ASSERT_FALSE(wwri_session_id((struct wwr_view){key, sizeof key}, id));
  CU_ASSERT_FALSE(wwri_session_id((struct wwr_view){NULL, 0}, id));
  int good = 0;
  for (int c = 0; c < 256; c++) {
    key[1] = (uint8_t)c;
    good += wwri_session_id((struct wwr_view){key, 3}, id);
  }
  CU_ASSERT_EQUAL(good, 64);
}

static void what_is_no_key_is_known_at_once(void) {
  kf_ask(WWRI_ASK_ATTACH, "a/b", 0);
  kf_ask(WWRI_ASK_LOOKUP, "", 0);
  kf_ask(WWRI_ASK_LEAVE, "*", 0);
  kf_ask(WWRI_ASK_KILL, "a b", 0);
  kf_ask(WWRI_ASK_DESTROY, "..", 0);
  kf_ask(WWRI_ASK_PLACES, "{a}", 0);
  kf_ask(WWRI_ASK_SEND, "a:b", 0);
  kf_ask(WWRI_ASK_CREATE, "A ", 0);
  kf_detach("a/b");
  kf_expect(
      "done 1: session-not-found; done 2: session-not-found; done 3: ok; "
      "done 4: ok; done 5: ok; done 6: session-not-found; "
      "done 7: session-not-found; done 8: invalid; ");
}

/* --- Create ------------------------------------------------------------- */

static void create_counts_one(void) {
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_expect("create A n1 v1; ");
  CU_ASSERT_EQUAL(kf_count("A"), 1);
  kf_answer(WWRI_WORD_OK);
  kf_expect("done 1: ok; ");
  CU_ASSERT_EQUAL(kf_count("A"), 1);
}

/* Row 58: only an answer completes it; what got none is said again, with the
 * same incarnation. */
static void create_is_repeated(void) {
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_expect("create A n1 v1; ");
  kf_lost();
  kf_expect("");
  kf_live();
  kf_expect("create A n1 v1; ");
  kf_answer(WWRI_WORD_UNAVAILABLE);
  kf_expect("");
  kf_run(kf.config.retry_ms);
  kf_expect("create A n1 v1; ");
  kf_answer(WWRI_WORD_OK);
  kf_expect("done 1: ok; ");
}

static void create_refused_counts_nothing(void) {
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_answer(WWRI_WORD_TAKEN);
  kf_ask(WWRI_ASK_CREATE, "B", 0);
  kf_answer(WWRI_WORD_ERROR);
  kf_expect(
      "create A n1 v1; done 1: exists; create B n1 v2; done 2: internal; ");
  CU_ASSERT_EQUAL(kf_count("A") + kf_count("B"), 0);
  kf_detach("A");
  kf_ask(WWRI_ASK_LEAVE, "B", 0);
  kf_expect("done 3: ok; ");
}

static void create_of_what_is_here_exists(void) {
  kf_have("A", 1);
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_expect("done 2: exists; ");
  CU_ASSERT_EQUAL(kf_count("A"), 1);
}

/* It was destroyed between two tries: the connection hears that as well. */
static void created_and_closed_meanwhile(void) {
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_lost();
  kf_live();
  kf_answer(WWRI_WORD_CLOSED);
  kf_expect("create A n1 v1; create A n1 v1; CLOSED A; done 1: ok; ");
  CU_ASSERT_EQUAL(kf_count("A"), 0);
  kf_detach("A");
  kf_expect("");
}

static void a_key_can_be_used_again(void) {
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_answer(WWRI_WORD_OK);
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_destroyed(WWRI_WORD_LAST, 1);
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_expect(
      "create A n1 v1; done 1: ok; leave A n0 v1; done 2: ok; "
      "create A n1 v2; ");
  kf_answer(WWRI_WORD_OK);
  kf_expect("done 3: ok; ");
  CU_ASSERT_EQUAL(kf_count("A"), 1);
}

/* --- Attach ------------------------------------------------------------- */

static void attach_counts_when_answered(void) {
  unsigned number = kf_ask(WWRI_ASK_ATTACH, "A", 3);
  kf_expect("attach A n1 h0 m3 look; ");
  CU_ASSERT_EQUAL(kf_count("A"), 0);
  kf_attached(7, 1);
  kf_expect("done 1: ok; ");
  CU_ASSERT_EQUAL(kf_count("A"), 1);
  CU_ASSERT_PTR_EQUAL(kf.ops[number - 1].session, kf.sessions[0]);
  kf_ask(WWRI_ASK_ATTACH, "A", 3);
  kf_expect("attach A n2 h1 m3 v7 look; ");
  kf_attached(7, 2);
  CU_ASSERT_EQUAL(kf_count("A"), 2);
}

static void attach_over_the_maximum(void) {
  kf_have("A", 1);
  kf_ask(WWRI_ASK_ATTACH, "A", 1);
  kf_attached(1, 1);
  kf_expect("attach A n2 h1 m1 v1 look; done 2: max-session-conns; ");
  CU_ASSERT_EQUAL(kf_count("A"), 1);
  kf_ask(WWRI_ASK_ATTACH, "B", 1);
  kf_attached(1, 0);
  kf_expect("attach B n1 h0 m1 look; done 3: max-session-conns; ");
}

/* While one is under way others gather, and share the next call; if only some
 * fit, the first get in. */
static void attaches_are_merged(void) {
  for (int i = 0; i < 4; i++) kf_ask(WWRI_ASK_ATTACH, "A", 3);
  kf_ask(WWRI_ASK_ATTACH, "A", 9);
  kf_expect("attach A n1 h0 m3 look; ");
  kf_attached(1, 1);
  kf_expect("done 1: ok; attach A n4 h1 m3 v1 look; ");
  kf_attached(1, 3);
  kf_expect(
      "done 2: ok; done 3: ok; done 4: max-session-conns; "
      "attach A n4 h3 m9 v1 look; ");
  kf_attached(1, 4);
  kf_expect("done 5: ok; ");
  CU_ASSERT_EQUAL(kf_count("A"), 4);
  struct wwri_keeper_stats stats;
  wwri_keeper_stats(kf.keeper, &stats);
  CU_ASSERT_EQUAL(stats.merged, 2);
  CU_ASSERT_EQUAL(stats.calls, 3);
  CU_ASSERT_EQUAL(stats.held, 1);
}

/* R11: said again it is the same; R15: one call of a key at a time. */
static void attach_is_repeated_as_it_was(void) {
  kf_have("A", 1);
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_lost();
  kf_live();
  kf_expect("attach A n2 h1 m0 v1 look; attach A n2 h1 m0 v1 look; ");
  kf_attached(1, 2);
  kf_expect("done 2: ok; ");
}

static void detach_while_attaching(void) {
  kf_have("A", 2);
  kf_ask(WWRI_ASK_ATTACH, "A", 5);
  kf_detach("A");
  kf_expect("attach A n3 h2 m5 v1 look; ");
  kf_attached(1, 3);
  kf_expect("done 3: ok; touch A=2; ");
  CU_ASSERT_EQUAL(kf_count("A"), 2);
}

static void missing_is_believed_for_a_second(void) {
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_answer(WWRI_WORD_MISSING);
  kf_expect("attach A n1 h0 m0 look; done 1: session-not-found; ");
  kf_run(kf.config.miss_ms - 1);
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_ask(WWRI_ASK_LOOKUP, "A", 0);
  kf_expect("done 2: session-not-found; done 3: session-not-found; ");
  kf_run(1);
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_expect("attach A n1 h0 m0 look; ");
  kf_attached(1, 1);
  kf_expect("done 4: ok; ");
}

static void a_missing_key_can_be_created(void) {
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_answer(WWRI_WORD_MISSING);
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_answer(WWRI_WORD_OK);
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_attached(1, 2);
  kf_expect(
      "attach A n1 h0 m0 look; done 1: session-not-found; create A n1 v1; "
      "done 2: ok; attach A n2 h1 m0 v1 look; done 3: ok; ");
}

static void what_we_have_is_missing(void) {
  kf_have("A", 2);
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_answer(WWRI_WORD_MISSING);
  kf_expect("attach A n3 h2 m0 v1 look; CLOSED A; attach A n1 h0 m0 look; ");
  kf_answer(WWRI_WORD_MISSING);
  kf_expect("done 3: session-not-found; ");
  CU_ASSERT_EQUAL(kf_count("A"), 0);
  kf_detach("A");
  kf_detach("A");
  kf_expect("");
}

static void garbage_is_an_error(void) {
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_answer(WWRI_WORD_ERROR);
  kf_expect("attach A n1 h0 m0 look; done 1: internal; touch A=0; ");
  kf_touched("1");
  kf_expect("");
}

static void lookup_counts_nothing(void) {
  kf_ask(WWRI_ASK_LOOKUP, "A", 0);
  kf_ask(WWRI_ASK_LOOKUP, "A", 0);
  kf_attached(1, 0);
  kf_expect("attach A n0 h0 m? look; done 1: ok; attach A n0 h0 m? look; ");
  kf_attached(1, 0);
  kf_expect("done 2: ok; ");
  CU_ASSERT_EQUAL(kf_count("A"), 0);
  kf_have("A", 1);
  kf_ask(WWRI_ASK_LOOKUP, "A", 0);
  kf_expect("attach A n1 h1 m0 v1 look; ");
  kf_attached(1, 1);
  CU_ASSERT_EQUAL(kf_count("A"), 1);
}

/* --- Detach and leave --------------------------------------------------- */

/* Row 55: a disconnect never destroys. */
static void detach_only_counts(void) {
  kf_have("A", 2);
  kf_detach("A");
  kf_expect("touch A=1; ");
  kf_detach("A");
  kf_expect("");
  kf_touched("0");
  kf_expect("touch A=0; ");
  kf_touched("0");
  kf_detach("A");
  kf_expect("");
}

static void detaches_share_calls(void) {
  kf_have("A", 1);
  kf_have("B", 1);
  kf_have("C", 3);
  wwri_keeper_detach(kf.keeper, wwr_view_str("A"), kf.now);
  wwri_keeper_detach(kf.keeper, wwr_view_str("B"), kf.now);
  wwri_keeper_detach(kf.keeper, wwr_view_str("C"), kf.now);
  wwri_keeper_detach(kf.keeper, wwr_view_str("C"), kf.now);
  kf_expect("");
  kf_run(0);
  kf_expect("touch A=0 B=0 C=1; ");
  kf_touched("010");
  kf_expect("");
}

static void leave_of_the_last_destroys(void) {
  kf_have("A", 1);
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_expect("leave A n0 v1; ");
  CU_ASSERT_EQUAL(kf_count("A"), 0);
  kf_destroyed(WWRI_WORD_LAST, 1);
  kf_expect("done 2: ok; ");
  kf_closed("A", 1); /* our own notice */
  kf_expect("");
}

static void leave_of_not_the_last(void) {
  kf_have("A", 1);
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_answer(WWRI_WORD_OK); /* another node has it */
  kf_expect("leave A n0 v1; done 2: ok; ");
  kf_have("B", 2);
  kf_ask(WWRI_ASK_LEAVE, "B", 0);
  kf_expect("touch B=1; ");
  kf_touched("0");
  kf_expect("done 5: ok; ");
}

/* Who left was not the last then, so nobody destroyed it. */
static void leave_then_disconnect_keeps_it(void) {
  kf_have("A", 2);
  kf_have("B", 1);
  kf_ask(WWRI_ASK_PLACES, "B", 0);
  kf_lost();
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_detach("A");
  kf_live();
  kf_expect("places B; touch B=1 A=0; ");
  kf_touched("00");
  kf_expect("done 5: ok; places B; ");
}

static void leave_of_nothing(void) {
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_detach("A");
  kf_expect("done 1: ok; ");
}

static void leave_is_repeated(void) {
  kf_have("A", 1);
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_lost();
  kf_live();
  kf_answer(WWRI_WORD_MISSING); /* the first one was executed */
  kf_expect("leave A n0 v1; leave A n0 v1; done 2: ok; ");
}

/* Row 54, on one node: the order of asking decides. */
static void restore_behind_a_leave(void) {
  kf_have("A", 1);
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_destroyed(WWRI_WORD_LAST, 1);
  kf_answer(WWRI_WORD_MISSING);
  kf_expect(
      "leave A n0 v1; done 2: ok; attach A n1 h0 m0 look; "
      "done 3: session-not-found; ");
}

static void restore_before_a_leave(void) {
  kf_have("A", 1);
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_expect("attach A n2 h1 m0 v1 look; ");
  kf_attached(1, 2);
  kf_expect("done 2: ok; leave A n1 v1; ");
  kf_answer(WWRI_WORD_OK);
  kf_expect("done 3: ok; ");
  CU_ASSERT_EQUAL(kf_count("A"), 1);
}

/* --- Kill --------------------------------------------------------------- */

static void kill_of_what_we_have(void) {
  kf_have("A", 2);
  kf_ask(WWRI_ASK_KILL, "A", 0);
  kf_detach("A");
  kf_detach("A");
  kf_expect("kill A v1 any; ");
  kf_destroyed(WWRI_WORD_OK, 1);
  kf_expect("done 3: ok; ");
  kf_run(0);
  kf_expect("");
}

static void kill_of_what_we_have_not(void) {
  kf_ask(WWRI_ASK_KILL, "A", 0);
  kf_answer(WWRI_WORD_NOBODY);
  kf_ask(WWRI_ASK_KILL, "A", 0);
  kf_answer(WWRI_WORD_MISSING);
  kf_ask(WWRI_ASK_KILL, "A", 0);
  kf_destroyed(WWRI_WORD_OK, 4);
  kf_ask(WWRI_ASK_DESTROY, "A", 0);
  kf_answer(WWRI_WORD_MISSING);
  kf_expect(
      "kill A; done 1: ok; kill A; done 2: ok; kill A; done 3: ok; "
      "kill A force; done 4: ok; ");
}

/* The server takes its connections off, then it kills. */
static void kill_of_what_we_just_had(void) {
  kf_have("A", 1);
  kf_have("B", 1);
  kf_detach("A");
  kf_touched("0");
  kf_detach("B");
  kf_touched("0");
  kf_ask(WWRI_ASK_KILL, "A", 0);
  kf_run(1000);
  kf_ask(WWRI_ASK_KILL, "B", 0);
  kf_expect("touch A=0; touch B=0; kill A v1 any; kill B; ");
}

/* An attach was under way: its connection is told. */
static void kill_behind_an_attach(void) {
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_ask(WWRI_ASK_KILL, "A", 0);
  kf_attached(3, 1);
  kf_destroyed(WWRI_WORD_OK, 3);
  kf_expect(
      "attach A n1 h0 m0 look; done 1: ok; kill A v3 any; CLOSED A; done 2: "
      "ok; ");
  kf_detach("A");
  kf_expect("");
}

/* What is on its way out is counted beside what comes anew. */
static void ghosts_are_counted_down(void) {
  kf_have("A", 2);
  kf_closed("A", 1);
  kf_expect("CLOSED A; ");
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_answer(WWRI_WORD_OK);
  kf_expect("create A n1 v1; done 3: ok; ");
  kf_detach("A");
  kf_ask(WWRI_ASK_LEAVE, "A", 0);
  kf_expect("done 4: ok; ");
  CU_ASSERT_EQUAL(kf_count("A"), 1);
  kf_detach("A");
  kf_expect("touch A=0; ");
}

/* --- Notices ------------------------------------------------------------ */

static void notice_closes(void) {
  kf_have("A", 1);
  kf_closed("A", 2);
  kf_closed("B", 1);
  kf_closed("A", 0);
  kf_expect("");
  kf_closed("A", 1);
  kf_closed("A", 1);
  kf_expect("CLOSED A; ");
}

/* Row 51. */
static void notice_before_the_answer(void) {
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_closed("A", 6);
  kf_closed("A", 8);
  kf_attached(6, 1);
  kf_expect("attach A n1 h0 m0 look; done 1: session-not-found; ");
  CU_ASSERT_EQUAL(kf_count("A"), 0);
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_attached(6, 1); /* not remembered for ever */
  kf_expect("attach A n1 h0 m0 look; done 2: ok; ");
}

static void notice_between_attach_and_its_answer(void) {
  kf_have("A", 1);
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_closed("A", 1);
  kf_expect("attach A n2 h1 m0 v1 look; CLOSED A; ");
  kf_attached(1, 2);
  kf_expect("done 2: session-not-found; ");
  CU_ASSERT_EQUAL(kf_count("A"), 0);
}

static void notice_before_create_is_answered(void) {
  kf_ask(WWRI_ASK_CREATE, "A", 0);
  kf_closed("A", 1);
  kf_expect("create A n1 v1; CLOSED A; ");
  kf_answer(WWRI_WORD_OK);
  kf_expect("done 1: ok; ");
  CU_ASSERT_EQUAL(kf_count("A"), 0);
}

/* --- Questions ---------------------------------------------------------- */

static void places_and_send(void) {
  kf_ask(WWRI_ASK_PLACES, "A", 0);
  kf_answer(WWRI_WORD_OK);
  kf_ask(WWRI_ASK_PLACES, "A", 0);
  kf_answer(WWRI_WORD_MISSING);
  kf_ask(WWRI_ASK_SEND, "A", 0);
  kf_answer(WWRI_WORD_OK);
  kf_ask(WWRI_ASK_SEND, "A", 0);
  kf_answer(WWRI_WORD_MISSING);
  kf_ask(WWRI_ASK_SEND, "A", 0);
  kf_answer(WWRI_WORD_ERROR);
  kf_expect(
      "places A; done 1: ok one=2 two=1; places A; done 2: session-not-found; "
      "send A \"hello\"; done 3: ok; send A \"hello\"; "
      "done 4: session-not-found; send A \"hello\"; done 5: internal; ");
}

static void questions_see_our_count(void) {
  kf_have("A", 2);
  kf_ask(WWRI_ASK_LOOKUP, "A", 0);
  kf_detach("A");
  kf_ask(WWRI_ASK_PLACES, "A", 0);
  kf_attached(1, 2);
  kf_expect("attach A n2 h2 m0 v1 look; done 3: ok; touch A=1; ");
  kf_touched("0");
  kf_expect("places A; ");
  kf_answer(WWRI_WORD_OK);
}

static void send_is_not_repeated(void) {
  kf_ask(WWRI_ASK_SEND, "A", 0);
  kf_answer(WWRI_WORD_UNAVAILABLE); /* certainly not sent */
  kf_run(kf.config.retry_ms);
  kf_expect("send A \"hello\"; send A \"hello\"; ");
  kf_lost();
  kf_expect("done 1: unavailable; ");
}

static void one_call_per_key(void) {
  kf_ask(WWRI_ASK_ATTACH, "A", 0);
  kf_ask(WWRI_ASK_SEND, "A", 0);
  kf_ask(WWRI_ASK_ATTACH, "B", 0);
  kf_expect("attach A n1 h0 m0 look; attach B n1 h0 m0 look; ");
  kf_attached(1, 1);
  kf_expect("done 1: ok; send A \"hello\"; ");
}

static CU_TestInfo tests[] = {
    {"id_is_sha256", id_is_sha256},
    {"only_keys_have_a_name", only_keys_have_a_name},
    {"what_is_no_key_is_known_at_once", what_is_no_key_is_known_at_once},
    {"create_counts_one", create_counts_one},
    {"create_is_repeated", create_is_repeated},
    {"create_refused_counts_nothing", create_refused_counts_nothing},
    {"create_of_what_is_here_exists", create_of_what_is_here_exists},
    {"created_and_closed_meanwhile", created_and_closed_meanwhile},
    {"a_key_can_be_used_again", a_key_can_be_used_again},
    {"attach_counts_when_answered", attach_counts_when_answered},
    {"attach_over_the_maximum", attach_over_the_maximum},
    {"attaches_are_merged", attaches_are_merged},
    {"attach_is_repeated_as_it_was", attach_is_repeated_as_it_was},
    {"detach_while_attaching", detach_while_attaching},
    {"missing_is_believed_for_a_second", missing_is_believed_for_a_second},
    {"a_missing_key_can_be_created", a_missing_key_can_be_created},
    {"what_we_have_is_missing", what_we_have_is_missing},
    {"garbage_is_an_error", garbage_is_an_error},
    {"lookup_counts_nothing", lookup_counts_nothing},
    {"detach_only_counts", detach_only_counts},
    {"detaches_share_calls", detaches_share_calls},
    {"leave_of_the_last_destroys", leave_of_the_last_destroys},
    {"leave_of_not_the_last", leave_of_not_the_last},
    {"leave_then_disconnect_keeps_it", leave_then_disconnect_keeps_it},
    {"leave_of_nothing", leave_of_nothing},
    {"leave_is_repeated", leave_is_repeated},
    {"restore_behind_a_leave", restore_behind_a_leave},
    {"restore_before_a_leave", restore_before_a_leave},
    {"kill_of_what_we_have", kill_of_what_we_have},
    {"kill_of_what_we_have_not", kill_of_what_we_have_not},
    {"kill_of_what_we_just_had", kill_of_what_we_just_had},
    {"kill_behind_an_attach", kill_behind_an_attach},
    {"ghosts_are_counted_down", ghosts_are_counted_down},
    {"notice_closes", notice_closes},
    {"notice_before_the_answer", notice_before_the_answer},
    {"notice_between_attach_and_its_answer",
     notice_between_attach_and_its_answer},
    {"notice_before_create_is_answered", notice_before_create_is_answered},
    {"places_and_send", places_and_send},
    {"questions_see_our_count", questions_see_our_count},
    {"send_is_not_repeated", send_is_not_repeated},
    {"one_call_per_key", one_call_per_key},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"keeper/ops", NULL, NULL, kf_begin, kf_end, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
