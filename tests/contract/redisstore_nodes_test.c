/* Sessions in a real Redis, on two and three nodes in this process: what is
 * decided for all of them together. */
#include <stdio.h>
#include <string.h>

#include "redisstore_rig.h"

static void restored_on_another_node(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  struct rs_op op;
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  rs_begin_attach(b, &op, "abc", 0);
  CU_ASSERT_EQUAL_FATAL(rs_end(&op), WWR_OK);
  CU_ASSERT_STRING_EQUAL(wwr_session_key(op.session), "abc");
  CU_ASSERT_STRING_EQUAL(wwr_session_info(op.session), "{\"n\":1}");
  CU_ASSERT_EQUAL(wwr_session_created(op.session), 1000);
  CU_ASSERT_EQUAL(wwr_session_last_lookup(op.session), 2000);
  wwr_session_unref(op.session);
  CU_ASSERT_STRING_EQUAL(rs_places(a, "abc"), "first=1 second=1");
  CU_ASSERT_EQUAL(rs_attach(b, "abd", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_STRING_EQUAL(rs_places(b, "abd"), "session-not-found");
}

static void the_last_one_out_destroys(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 0), WWR_OK);
  CU_ASSERT_EQUAL(rs_leave(a, "abc"), WWR_OK);
  CU_ASSERT_STRING_EQUAL(rs_places(b, "abc"), "second=1");
  CU_ASSERT_EQUAL(rs_leave(b, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(a, "abc", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(rs_count(&a->closed) + rs_count(&b->closed), 0);
}

static void a_disconnect_destroys_nothing(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  rs_detach(a, "abc");
  CU_ASSERT_STRING_EQUAL(rs_places(a, "abc"), "");
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 1), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(a, "abc", 1), WWR_E_MAX_SESSION_CONNS);
}

static void closed_by_key_everywhere(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1), *c = rs_up(2);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_create(a, "other"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 0), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 0), WWR_OK);
  CU_ASSERT_EQUAL(rs_kill(c, "abc"), WWR_OK);
  CU_ASSERT_TRUE(rs_wait(&a->closed, 1));
  CU_ASSERT_TRUE(rs_wait(&b->closed, 1));
  CU_ASSERT_STRING_EQUAL(a->last_closed, "abc");
  CU_ASSERT_STRING_EQUAL(b->last_closed, "abc");
  CU_ASSERT_EQUAL(rs_attach(c, "abc", 0), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_STRING_EQUAL(rs_places(c, "other"), "first=1");
}

static void bytes_reach_every_holder(void) {
  struct rs_node *a = rs_up(0), *b = rs_up(1), *c = rs_up(2);
  CU_ASSERT_EQUAL(rs_create(a, "abc"), WWR_OK);
  CU_ASSERT_EQUAL(rs_attach(b, "abc", 0), WWR_OK);
  CU_ASSERT_EQUAL(rs_send(c, "abc", "hello"), WWR_OK);
  CU_ASSERT_TRUE(rs_wait(&a->received, 1));
  CU_ASSERT_TRUE(rs_wait(&b->received, 1));
  CU_ASSERT_STRING_EQUAL(a->last_received, "abc: hello");
  CU_ASSERT_STRING_EQUAL(b->last_received, "abc: hello");
  CU_ASSERT_EQUAL(rs_send(a, "abd", "hello"), WWR_E_SESSION_NOT_FOUND);
  rs_detach(a, "abc");
  rs_detach(b, "abc");
  rs_places(a, "abc"); /* behind the detach of the same node */
  CU_ASSERT_STRING_EQUAL(rs_places(b, "abc"), "");
  CU_ASSERT_EQUAL(rs_send(c, "abc", "hello"), WWR_E_SESSION_NOT_FOUND);
  CU_ASSERT_EQUAL(rs_count(&c->received), 0);
}

static CU_TestInfo tests[] = {
    {"restored_on_another_node", restored_on_another_node},
    {"the_last_one_out_destroys", the_last_one_out_destroys},
    {"a_disconnect_destroys_nothing", a_disconnect_destroys_nothing},
    {"closed_by_key_everywhere", closed_by_key_everywhere},
    {"bytes_reach_every_holder", bytes_reach_every_holder},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"redisstore/nodes", NULL, NULL, rs_set_up, rs_tear_down, tests},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  if (!redis_available()) return 77;
  if (!rs_begin(NULL)) return 1;
  int status = test_run(argc, argv, suites);
  rs_finish();
  return status;
}
