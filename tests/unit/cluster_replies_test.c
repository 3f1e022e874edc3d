/* What Redis tells of logs, and what it should not. */
#include "replies.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "test.h"

#define BOOT "00112233445566778899aabbccddeeff"

static struct wwr_view text(const char *bytes) {
  return wwr_view_str(bytes);
}

static void numbers(void) {
  static const char *const bad[] = {"",
                                    "-1",
                                    "+1",
                                    " 1",
                                    "1 ",
                                    "1x",
                                    "0x1",
                                    "18446744073709551616",
                                    "99999999999999999999",
                                    "000000000000000000001"};
  uint64_t number = 1;
  CU_ASSERT_TRUE(wwri_read_number(text("0"), &number));
  CU_ASSERT_EQUAL(number, 0);
  CU_ASSERT_TRUE(wwri_read_number(text("18446744073709551615"), &number));
  CU_ASSERT_EQUAL(number, UINT64_MAX);
  CU_ASSERT_TRUE(wwri_read_number(text("007"), &number));
  CU_ASSERT_EQUAL(number, 7);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CU_ASSERT_FALSE(wwri_read_number(text(bad[i]), &number));
    CU_ASSERT_EQUAL(number, 0);
  }
}

static void ids(void) {
  static const char *const bad[] = {"",      "-",    "1",   "1-",  "-1",
                                    "1-2-3", "1--2", "a-1", "1-*", "1 - 2"};
  struct wwri_logid id, most = {UINT64_MAX, UINT64_MAX};
  char out[WWRI_LOGID_TEXT_MAX];
  struct wwr_view written = wwri_write_logid(most, out);
  CU_ASSERT_STRING_EQUAL(out, "18446744073709551615-18446744073709551615");
  CU_ASSERT_EQUAL(written.len, strlen(out));
  CU_ASSERT_TRUE(wwri_read_logid(written, &id));
  CU_ASSERT_TRUE(wwri_logid_equal(id, most));
  CU_ASSERT_TRUE(wwri_read_logid(text("0-0"), &id));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CU_ASSERT_FALSE(wwri_read_logid(text(bad[i]), &id));
  }
}

static void boots(void) {
  const struct wwri_boot boot = {0x0011223344556677u, 0x8899aabbccddeeffu};
  struct wwri_boot read;
  char out[WWRI_BOOT_HEX + 1];
  wwri_write_boot(boot, out);
  CU_ASSERT_STRING_EQUAL(out, BOOT);
  CU_ASSERT_TRUE(wwri_read_boot(text(out), &read));
  CU_ASSERT_TRUE(wwri_boot_equal(boot, read));
  CU_ASSERT_FALSE(wwri_read_boot(text(""), &read));
  CU_ASSERT_FALSE(wwri_read_boot(text(BOOT "0"), &read));
  for (int i = 0; i < WWRI_BOOT_HEX; i++) {
    wwri_write_boot(boot, out);
    out[i] = i % 2 ? 'g' : 'A';
    CU_ASSERT_FALSE(wwri_read_boot(text(out), &read));
  }
}

/* --- hints --- */

static void a_hint_is_read(void) {
  struct wwri_entry entry;
  CU_ASSERT_TRUE(wwri_read_hint(text("5-6 " BOOT " 7 8 a b\n"), &entry));
  CU_ASSERT_EQUAL(entry.pos.id.epoch, 5);
  CU_ASSERT_EQUAL(entry.pos.id.offset, 6);
  CU_ASSERT_EQUAL(entry.pos.boot.hi, 0x0011223344556677u);
  CU_ASSERT_EQUAL(entry.pos.seq, 7);
  CU_ASSERT_EQUAL(entry.time_ms, 8);
  CU_ASSERT_FALSE(entry.fork);
  CU_ASSERT_TRUE(wwr_view_equal(entry.data, text("a b\n")));
  CU_ASSERT_TRUE(wwri_read_hint(text("0-0 " BOOT " 7 8 "), &entry));
  CU_ASSERT_EQUAL(entry.pos.id.epoch, 0);
  CU_ASSERT_EQUAL(entry.data.len, 0);
}

static void what_is_no_hint_is_refused(void) {
  static const char *const bad[] = {"",
                                    "x",
                                    "5-6",
                                    "5-6 " BOOT,
                                    "5-6 " BOOT " 7",
                                    "5-6 " BOOT " 7 8",
                                    " 5-6 " BOOT " 7 8 x",
                                    "5-6  " BOOT " 7 8 x",
                                    "5-0 " BOOT " 7 8 x",
                                    "0-6 " BOOT " 7 8 x",
                                    "5-6 " BOOT " -7 8 x",
                                    "5-6 " BOOT " 7 8x x",
                                    "5-6 0123 7 8 x"};
  struct wwri_entry entry;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CU_ASSERT_FALSE(wwri_read_hint(text(bad[i]), &entry));
  }
}

/* --- replies --- */

static void with_reply(const char *wire,
                       void (*fn)(const struct wwri_redis_reply *reply)) {
  struct wwri_redis_parser *parser;
  struct wwri_redis_reply *reply;
  CU_ASSERT_EQUAL_FATAL(wwri_redis_parser_new(&parser), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwri_redis_parser_take(parser, text(wire), &reply),
                        WWR_OK);
  fn(reply);
  wwri_redis_reply_free(reply);
  wwri_redis_parser_free(parser);
}

#define STRING1(a) "$1\r\n" a "\r\n"
#define ENTRY(id, boot, seq)                                    \
  "*2\r\n$3\r\n" id "\r\n*8\r\n" STRING1("b") boot STRING1("s") \
      seq STRING1("t") STRING1("9") STRING1("d") "$2\r\nhi\r\n"
#define A_BOOT   "$32\r\n" BOOT "\r\n"
#define EMPTY    "$0\r\n\r\n"
#define MESSAGE  ENTRY("5-2", A_BOOT, STRING1("7"))
#define FORK     ENTRY("5-0", EMPTY, "$3\r\n4-9\r\n")
#define NEW_FORK ENTRY("5-0", EMPTY, EMPTY)

static void is_message(const struct wwri_redis_reply *reply) {
  struct wwri_entry entry;
  CU_ASSERT_TRUE(wwri_read_entry(reply, &entry));
  CU_ASSERT_EQUAL(entry.pos.id.offset, 2);
  CU_ASSERT_EQUAL(entry.pos.seq, 7);
  CU_ASSERT_EQUAL(entry.time_ms, 9);
  CU_ASSERT_FALSE(entry.fork);
  CU_ASSERT_TRUE(wwr_view_equal(entry.data, text("hi")));
}

static void is_fork(const struct wwri_redis_reply *reply) {
  struct wwri_entry entry;
  CU_ASSERT_TRUE(wwri_read_entry(reply, &entry));
  CU_ASSERT_TRUE(entry.fork);
  CU_ASSERT_EQUAL(entry.parent.epoch, 4);
  CU_ASSERT_EQUAL(entry.parent.offset, 9);
  CU_ASSERT_EQUAL(entry.data.len, 0);
}

static void is_new_fork(const struct wwri_redis_reply *reply) {
  struct wwri_entry entry;
  CU_ASSERT_TRUE(wwri_read_entry(reply, &entry));
  CU_ASSERT_TRUE(entry.fork);
  CU_ASSERT_TRUE(wwri_logid_none(entry.parent));
}

static void is_no_entry(const struct wwri_redis_reply *reply) {
  struct wwri_entry entry;
  CU_ASSERT_FALSE(wwri_read_entry(reply, &entry));
}

static void entries_are_read(void) {
  static const char *const bad[] = {
      ":1\r\n",
      "*0\r\n",
      "*2\r\n$3\r\n5-2\r\n:1\r\n",
      "*2\r\n$3\r\n5-2\r\n*2\r\n$1\r\nb\r\n" A_BOOT,
      ENTRY("5x2", A_BOOT, STRING1("7")),
      ENTRY("5-2", STRING1("x"), STRING1("7")),
      ENTRY("5-2", A_BOOT, STRING1("x")),
      ENTRY("5-2", A_BOOT, ":7\r\n"),
      ENTRY("5-0", EMPTY, STRING1("x")),
      ENTRY("5-2", "*0\r\n", STRING1("7"))};
  with_reply(MESSAGE, is_message);
  with_reply(FORK, is_fork);
  with_reply(NEW_FORK, is_new_fork);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    with_reply(bad[i], is_no_entry);
  }
  is_no_entry(NULL);
}

static void is_list(const struct wwri_redis_reply *reply) {
  struct wwri_entry out[2];
  size_t count;
  CU_ASSERT_TRUE(wwri_read_entries(reply, false, out, 2, &count));
  CU_ASSERT_EQUAL(count, 2);
  CU_ASSERT_FALSE(out[0].fork);
  CU_ASSERT_TRUE(out[1].fork);
  CU_ASSERT_TRUE(wwri_read_entries(reply, true, out, 2, &count));
  CU_ASSERT_TRUE(out[0].fork);
  CU_ASSERT_FALSE(out[1].fork);
  CU_ASSERT_TRUE(wwri_read_entries(reply, true, out, 1, &count));
  CU_ASSERT_EQUAL(count, 1);
  CU_ASSERT_FALSE(out[0].fork); /* the newest one */
}

static void is_no_list(const struct wwri_redis_reply *reply) {
  struct wwri_entry out[2];
  size_t count = 9;
  CU_ASSERT_FALSE(wwri_read_entries(reply, false, out, 2, &count));
  CU_ASSERT_EQUAL(count, 0);
}

static void lists_are_read(void) {
  with_reply("*2\r\n" MESSAGE FORK, is_list);
  with_reply("*2\r\n" MESSAGE ":1\r\n", is_no_list);
  with_reply("$1\r\nx\r\n", is_no_list);
  is_no_list(NULL);
}

static void is_top(const struct wwri_redis_reply *reply) {
  struct wwri_pos pos;
  bool exists;
  CU_ASSERT_TRUE(wwri_read_top(reply, 1, &pos, &exists));
  CU_ASSERT_TRUE(exists);
  CU_ASSERT_EQUAL(pos.id.epoch, 5);
  CU_ASSERT_EQUAL(pos.seq, 7);
  CU_ASSERT_FALSE(wwri_read_top(reply, 2, &pos, &exists)); /* too few */
}

static void is_fork_top(const struct wwri_redis_reply *reply) {
  struct wwri_pos pos;
  bool exists;
  CU_ASSERT_TRUE(wwri_read_top(reply, 0, &pos, &exists));
  CU_ASSERT_TRUE(exists);
  CU_ASSERT_EQUAL(pos.seq, 0);
}

static void is_no_log(const struct wwri_redis_reply *reply) {
  struct wwri_pos pos;
  bool exists;
  CU_ASSERT_TRUE(wwri_read_top(reply, 0, &pos, &exists));
  CU_ASSERT_FALSE(exists);
}

static void is_no_top(const struct wwri_redis_reply *reply) {
  struct wwri_pos pos;
  bool exists;
  CU_ASSERT_FALSE(wwri_read_top(reply, 0, &pos, &exists));
}

static void tops_are_read(void) {
  with_reply("*4\r\n$2\r\nok\r\n$3\r\n5-2\r\n" A_BOOT STRING1("7"), is_top);
  with_reply("*3\r\n$3\r\n5-0\r\n" EMPTY EMPTY, is_fork_top);
  with_reply("*3\r\n" EMPTY EMPTY EMPTY, is_no_log);
  with_reply("*3\r\n$3\r\n5x0\r\n" EMPTY EMPTY, is_no_top);
  with_reply("*3\r\n$3\r\n5-2\r\n" A_BOOT STRING1("x"), is_no_top);
  with_reply("*3\r\n$3\r\n5-2\r\n" STRING1("x") STRING1("7"), is_no_top);
  with_reply("*0\r\n", is_no_top);
  is_no_top(NULL);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"numbers", numbers},
      {"ids", ids},
      {"boots", boots},
      {"a_hint_is_read", a_hint_is_read},
      {"what_is_no_hint_is_refused", what_is_no_hint_is_refused},
      {"entries_are_read", entries_are_read},
      {"lists_are_read", lists_are_read},
      {"tops_are_read", tops_are_read},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"cluster replies", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
