/* RFC 3339 times: what is printed, what is read, what is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rng.h"
#include "session.h"
#include "test.h"

struct pair {
  int64_t ns;
  const char *text;
};

static const struct pair printed[] = {
    {0, "1970-01-01T00:00:00Z"},
    {1, "1970-01-01T00:00:00.000000001Z"},
    {500000000, "1970-01-01T00:00:00.5Z"},
    {-1, "1969-12-31T23:59:59.999999999Z"},
    {-1000000000, "1969-12-31T23:59:59Z"},
    {951782400000000000, "2000-02-29T00:00:00Z"},
    {1508604613123456789, "2017-10-21T16:50:13.123456789Z"},
    {1508604613120000000, "2017-10-21T16:50:13.12Z"},
    {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
    {INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
};

static void times_print(void) {
  for (size_t i = 0; i < sizeof printed / sizeof *printed; i++) {
    char *text = malloc(WWRI_RFC3339_MAX); /* exact, for ASan */
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    wwri_rfc3339_format(printed[i].ns, text);
    CU_ASSERT_STRING_EQUAL(text, printed[i].text);
    int64_t back = 0;
    CU_ASSERT_TRUE(wwri_rfc3339_parse(wwr_view_str(text), &back));
    CU_ASSERT_EQUAL(back, printed[i].ns);
    free(text);
  }
}

static const struct pair read_too[] = {
    {1508604613123456789, "2017-10-21T18:50:13.123456789+02:00"},
    {1508604613123456789, "2017-10-21T07:20:13.123456789-09:30"},
    {1508604613123456789, "2017-10-21T16:50:13.1234567899999Z"},
    {1508604613000000000, "2017-10-21t16:50:13z"},
    {1508604613100000000, "2017-10-21T16:50:13.1-00:00"},
    {0, "1970-01-01T23:59:00+23:59"},
    {0, "1969-12-31T00:01:00-23:59"},
    {68169600000000000, "1972-02-29T00:00:00Z"},
    {INT64_MAX, "2262-04-12T01:47:16.854775807+02:00"},
};

static void other_forms_are_read(void) {
  for (size_t i = 0; i < sizeof read_too / sizeof *read_too; i++) {
    int64_t ns = 77;
    CU_ASSERT_TRUE(wwri_rfc3339_parse(wwr_view_str(read_too[i].text), &ns));
    CU_ASSERT_EQUAL(ns, read_too[i].ns);
  }
}

static const char *const refused[] = {
    "",
    "2017",
    "2017-10-21",
    "2017-10-21T16:50:13",
    "2017-10-21 16:50:13Z",
    "2017-10-21T16:50:13ZZ",
    "2017-10-21T16:50:13.Z",
    "2017-10-21T16:50:13,5Z",
    "2017-00-21T16:50:13Z",
    "2017-13-21T16:50:13Z",
    "2017-10-00T16:50:13Z",
    "2017-10-32T16:50:13Z",
    "2017-02-29T16:50:13Z",
    "1900-02-29T16:50:13Z",
    "2017-04-31T16:50:13Z",
    "2017-10-21T24:00:00Z",
    "2017-10-21T16:60:13Z",
    "2016-12-31T23:59:60Z",
    "2017-10-21T16:50:13+24:00",
    "2017-10-21T16:50:13+02:60",
    "2017-10-21T16:50:13+0200",
    "2017-10-21T16:50:13+02",
    "2017-10-21T16:50+02:00",
    "17-10-21T16:50:13Z",
    "+017-10-21T16:50:13Z",
    "2017-1-21T16:50:13Z",
    " 2017-10-21T16:50:13Z",
    "2017-10-21T16:50:13Z ",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2262-04-11T23:47:16.854775808Z",
    "1677-09-21T00:12:43.145224191Z",
    "2017-10-21T16:50:13-",
};

static void what_is_no_time_is_refused(void) {
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    int64_t ns;
    bool accepted = wwri_rfc3339_parse(wwr_view_str(refused[i]), &ns);
    if (accepted) printf("accepted: %s\n", refused[i]);
    CU_ASSERT_FALSE(accepted);
  }
  CU_ASSERT_FALSE(wwri_rfc3339_parse((struct wwr_view){0}, &(int64_t){0}));
}

/* Every prefix and every byte at every place, in exact memory. */
static void nothing_reads_outside(void) {
  static const char text[] = "2017-10-21T18:50:13.123456789+02:00";
  for (size_t len = 0; len < sizeof text; len++) {
    uint8_t *exact = malloc(len ? len : 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
    int64_t ns;
    memcpy(exact, text, len);
    bool whole = len == sizeof text - 1;
    CU_ASSERT_EQUAL(wwri_rfc3339_parse((struct wwr_view){exact, len}, &ns),
                    whole);
    for (unsigned byte = 0; len > 0 && byte < 256; byte++) {
      exact[len - 1] = (uint8_t)byte;
      (void)wwri_rfc3339_parse((struct wwr_view){exact, len}, &ns);
    }
    free(exact);
  }
}

/* Random seconds against the C library's calendar. */
static void the_calendar_is_the_c_librarys(void) {
  struct rng rng = {7};
  for (int i = 0; i < 50000; i++) {
    int64_t span = 9223372036;
    int64_t seconds = (int64_t)rng_below(&rng, (uint64_t)span * 2) - span;
    time_t clock = (time_t)seconds;
    struct tm tm;
    char text[40];
    gmtime_r(&clock, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    int64_t ns = 1;
    CU_ASSERT_TRUE(wwri_rfc3339_parse(wwr_view_str(text), &ns));
    CU_ASSERT_EQUAL(ns, seconds * 1000000000);
  }
}

static void now_is_after_this_was_written(void) {
  CU_ASSERT_TRUE(wwri_unix_now_ns() > 1700000000000000000);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"times print", times_print},
      {"other forms are read", other_forms_are_read},
      {"what is no time is refused", what_is_no_time_is_refused},
      {"nothing reads outside", nothing_reads_outside},
      {"the calendar is the C library's", the_calendar_is_the_c_librarys},
      {"now is after this was written", now_is_after_this_was_written},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"rfc3339", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
