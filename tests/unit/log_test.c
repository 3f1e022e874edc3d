/* Log records: one line each, whatever is in them and however long. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "test.h"

static size_t format(const struct wwr_log_record *record,
                     enum wwr_log_format style, char *line, size_t cap) {
  size_t len = wwr_log_format_record(record, style, line, cap);
  CU_ASSERT_EQUAL(strlen(line), len);
  return len;
}

static void expect_lines(const struct wwr_log_record *record,
                         const char *logfmt, const char *json) {
  char line[1024];
  format(record, WWR_LOG_LOGFMT, line, sizeof line);
  CU_ASSERT_STRING_EQUAL(line, logfmt);
  format(record, WWR_LOG_JSON, line, sizeof line);
  CU_ASSERT_STRING_EQUAL(line, json);
}

static void records_print_in_both_formats(void) {
  struct wwr_log_field fields[] = {{"err", "io"}, {"why", "no such file"}};
  struct wwr_log_record record = {
      WWR_LOG_WARN, 1500000000250000999, 7, "can't read", fields, 2};
  expect_lines(&record,
               "time=2017-07-14T02:40:00.250000Z level=warn "
               "msg=\"can't read\" conn=7 err=io why=\"no such file\"\n",
               "{\"time\":\"2017-07-14T02:40:00.250000Z\",\"level\":\"warn\","
               "\"msg\":\"can't read\",\"conn\":7,\"err\":\"io\","
               "\"why\":\"no such file\"}\n");
}

static void bare_records_print_too(void) {
  struct wwr_log_record record = {WWR_LOG_DEBUG, -1, 0, NULL, NULL, 0};
  expect_lines(&record, "time=1969-12-31T23:59:59.999999Z level=debug msg=-\n",
               "{\"time\":\"1969-12-31T23:59:59.999999Z\",\"level\":\"debug\","
               "\"msg\":\"-\"}\n");
}

#define TIME_L "time=1970-01-01T00:00:00.000000Z level=info msg=m "
#define TIME_J                                                            \
  "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"level\":\"info\",\"msg\":" \
  "\"m\","

struct injection {
  const char *key;
  const char *value;
  const char *logfmt;
  const char *json;
};

static const struct injection injections[] = {
    {"v", "a\nlevel=error", TIME_L "v=\"a\\nlevel=error\"\n",
     TIME_J "\"v\":\"a\\nlevel=error\"}\n"},
    {"v", "\r\t\x01\x1b[31m", TIME_L "v=\"\\r\\t\\u0001\\u001b[31m\"\n",
     TIME_J "\"v\":\"\\r\\t\\u0001\\u001b[31m\"}\n"},
    {"v", "\" x=\"1", TIME_L "v=\"\\\" x=\\\"1\"\n",
     TIME_J "\"v\":\"\\\" x=\\\"1\"}\n"},
    {"v", "\\", TIME_L "v=\"\\\\\"\n", TIME_J "\"v\":\"\\\\\"}\n"},
    {"v", "a=b", TIME_L "v=\"a=b\"\n", TIME_J "\"v\":\"a=b\"}\n"},
    {"v", "", TIME_L "v=\"\"\n", TIME_J "\"v\":\"\"}\n"},
    {"v", NULL, TIME_L "v=-\n", TIME_J "\"v\":\"-\"}\n"},
    {"v", "\xff\xc3", TIME_L "v=\"\xef\xbf\xbd\xef\xbf\xbd\"\n",
     TIME_J "\"v\":\"\xef\xbf\xbd\xef\xbf\xbd\"}\n"},
    {"v", "\xc2\x85\xe2\x80\xa8", TIME_L "v=\"\\u0085\\u2028\"\n",
     TIME_J "\"v\":\"\\u0085\\u2028\"}\n"},
    {"a b=\"c\n", "1", TIME_L "a_b__c_=1\n",
     TIME_J "\"a b=\\\"c\\n\":\"1\"}\n"},
};

static void values_cant_forge_anything(void) {
  for (size_t i = 0; i < sizeof injections / sizeof *injections; i++) {
    const struct injection *injection = &injections[i];
    struct wwr_log_field field = {injection->key, injection->value};
    struct wwr_log_record record = {WWR_LOG_INFO, 0, 0, "m", &field, 1};
    expect_lines(&record, injection->logfmt, injection->json);
  }
}

/* Quotes open and close, nothing is cut inside an escape, one newline. */
static bool is_one_json_object(const char *line, size_t len) {
  bool in_string = false;
  size_t quotes = 0;
  if (len < 3 || line[0] != '{' || strcmp(line + len - 2, "}\n") != 0) {
    return false;
  }
  for (size_t i = 0; i < len - 1; i++) {
    if ((unsigned char)line[i] < 0x20) return false;
    if (in_string && line[i] == '\\') {
      i += line[i + 1] == 'u' ? 5 : 1;
      if (i >= len - 2) return false;
    } else if (line[i] == '"') {
      in_string = !in_string;
      quotes++;
    }
  }
  return !in_string && quotes % 4 == 0 && (len == 3 || line[len - 3] == '"');
}

static const struct wwr_log_field long_fields[] = {
    {"plain", "abcdefghij"},
    {"quoted", "a \"b\" \\ \n\x01 c"},
    {"letters", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"last", "1"}};
static const struct wwr_log_record long_record = {
    WWR_LOG_ERROR, 0, 0, "something is wrong", long_fields, 4};

static void lines_are_cut_whole_at_every_length(void) {
  char full[1024];
  size_t most = format(&long_record, WWR_LOG_JSON, full, sizeof full);
  for (size_t cap = 1; cap <= most + 2; cap++) {
    for (int style = WWR_LOG_LOGFMT; style <= WWR_LOG_JSON; style++) {
      char *line = malloc(cap); /* exact, so that ASan sees one byte more */
      CU_ASSERT_PTR_NOT_NULL_FATAL(line);
      size_t len = format(&long_record, (enum wwr_log_format)style, line, cap);
      CU_ASSERT_TRUE(len < cap);
      CU_ASSERT_TRUE(cap == 1 || line[len - 1] == '\n');
      CU_ASSERT_TRUE(cap == 1 || strchr(line, '\n') == line + len - 1);
      if (style == WWR_LOG_JSON && cap > 3) {
        CU_ASSERT_TRUE(is_one_json_object(line, len));
      }
      free(line);
    }
  }
  CU_ASSERT_EQUAL(wwr_log_format_record(&long_record, WWR_LOG_JSON, NULL, 0),
                  0);
}

static void the_first_bytes_are_the_same_when_cut(void) {
  char full[1024], line[1024];
  format(&long_record, WWR_LOG_LOGFMT, full, sizeof full);
  for (size_t cap = 60; cap < strlen(full); cap++) {
    size_t len = format(&long_record, WWR_LOG_LOGFMT, line, cap);
    CU_ASSERT_EQUAL(memcmp(line, "time=1970-01-01T00:00:00", 24), 0);
    CU_ASSERT_TRUE(len + 40 > cap); /* no more is dropped than must be */
  }
}

struct seen {
  int calls;
  size_t field_count;
  uint64_t conn_id;
  int64_t time_ns;
  char values[64];
};

static void remember(const struct wwr_log_record *record, void *user_data) {
  struct seen *seen = user_data;
  seen->calls++;
  seen->field_count = record->field_count;
  seen->conn_id = record->conn_id;
  seen->time_ns = record->time_ns;
  seen->values[0] = '\0';
  size_t len = 0;
  for (size_t i = 0; i < record->field_count && len < sizeof seen->values;
       i++) {
    const struct wwr_log_field *field = &record->fields[i];
    len += (size_t)snprintf(seen->values + len, sizeof seen->values - len,
                            "%s%s", field->key, field->value);
  }
}

static void records_are_built_from_pairs(void) {
  struct seen seen = {0};
  struct wwr_log log = {remember, &seen, WWR_LOG_INFO};
  wwri_log(&log, WWR_LOG_INFO, 9, "m", "a", "1", "b", NULL, NULL);
  CU_ASSERT_EQUAL(seen.calls, 1);
  CU_ASSERT_EQUAL(seen.conn_id, 9);
  CU_ASSERT_TRUE(seen.time_ns > 1700000000000000000);
  CU_ASSERT_STRING_EQUAL(seen.values, "a1b-");
  wwri_log(&log, WWR_LOG_ERROR, 0, "m", NULL);
  CU_ASSERT_EQUAL(seen.field_count, 0);
  wwri_log(&log, WWR_LOG_INFO, 0, "m", "1", "", "2", "", "3", "", "4", "", "5",
           "", "6", "", "7", "", "8", "", "9", "", NULL);
  CU_ASSERT_STRING_EQUAL(seen.values, "12345678");
}

static void levels_below_the_sinks_are_silent(void) {
  struct seen seen = {0};
  struct wwr_log log = {remember, &seen, WWR_LOG_WARN};
  struct wwr_log silent = {NULL, NULL, WWR_LOG_DEBUG};
  wwri_log(&log, WWR_LOG_INFO, 0, "m", NULL);
  wwri_log(&silent, WWR_LOG_ERROR, 0, "m", NULL);
  wwri_log(NULL, WWR_LOG_ERROR, 0, "m", NULL);
  CU_ASSERT_EQUAL(seen.calls, 0);
  wwri_log(&log, WWR_LOG_WARN, 0, "m", NULL);
  CU_ASSERT_EQUAL(seen.calls, 1);
  log.level = WWR_LOG_OFF;
  wwri_log(&log, WWR_LOG_ERROR, 0, "m", NULL);
  CU_ASSERT_EQUAL(seen.calls, 1);
}

static void levels_have_names(void) {
  enum wwr_log_level level = WWR_LOG_OFF;
  CU_ASSERT_TRUE(wwr_log_level_parse("debug", &level));
  CU_ASSERT_EQUAL(level, WWR_LOG_DEBUG);
  CU_ASSERT_TRUE(wwr_log_level_parse("off", &level));
  CU_ASSERT_EQUAL(level, WWR_LOG_OFF);
  CU_ASSERT_FALSE(wwr_log_level_parse("Debug", &level));
  CU_ASSERT_FALSE(wwr_log_level_parse("", &level));
  CU_ASSERT_FALSE(wwr_log_level_parse(NULL, &level));
  CU_ASSERT_EQUAL(level, WWR_LOG_OFF);
}

static void writers_write_one_line(void) {
  int ends[2];
  struct wwr_log_writer *writer = NULL;
  CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
  CU_ASSERT_EQUAL_FATAL(wwr_log_writer_new(&writer, ends[1], WWR_LOG_JSON),
                        WWR_OK);
  struct wwr_log log = wwr_log_writer_sink(writer, WWR_LOG_INFO);
  char *huge = malloc(100001);
  CU_ASSERT_PTR_NOT_NULL_FATAL(huge);
  memset(huge, 'x', 100000);
  huge[100000] = '\0';
  wwri_log(&log, WWR_LOG_INFO, 0, "m", "huge", huge, NULL);
  char line[8192];
  ssize_t len = read(ends[0], line, sizeof line);
  CU_ASSERT_EQUAL(len, 4096);
  CU_ASSERT_TRUE(len > 2 && memcmp(line + len - 3, "\"}\n", 3) == 0);
  free(huge);
  wwr_log_writer_free(writer);
  wwr_log_writer_free(NULL);
  close(ends[0]);
  close(ends[1]);
}

static void writers_need_memory(void) {
  struct wwr_log_writer *writer = NULL;
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwr_log_writer_new(&writer, 1, WWR_LOG_JSON), WWR_E_NOMEM);
  CU_ASSERT_TRUE(test_alloc_failed());
  CU_ASSERT_PTR_NULL(writer);
}

int main(int argc, char **argv) {
  CU_TestInfo formats[] = {
      {"records print in both formats", records_print_in_both_formats},
      {"bare records print too", bare_records_print_too},
      {"values can't forge anything", values_cant_forge_anything},
      {"lines are cut whole at every length",
       lines_are_cut_whole_at_every_length},
      {"the first bytes are the same when cut",
       the_first_bytes_are_the_same_when_cut},
      CU_TEST_INFO_NULL};
  CU_TestInfo sinks[] = {
      {"records are built from pairs", records_are_built_from_pairs},
      {"levels below the sink's are silent", levels_below_the_sinks_are_silent},
      {"levels have names", levels_have_names},
      {"writers write one line", writers_write_one_line},
      {"writers need memory", writers_need_memory},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"log_format", NULL, NULL, NULL, NULL, formats},
                           {"log", NULL, NULL, NULL, NULL, sinks},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
