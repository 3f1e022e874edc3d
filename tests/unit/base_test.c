/* Views, error names and texts, lists, the growing buffer, numbers as text. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "decimal.h"
#include "list.h"
#include "test.h"

static void views_compare_bytes(void) {
  struct wwr_view empty = {0};
  struct wwr_view nul_inside = {(const uint8_t *)"a\0b", 3};
  CU_ASSERT_EQUAL(wwr_view_str(NULL).len, 0);
  CU_ASSERT_EQUAL(wwr_view_str("abc").len, 3);
  CU_ASSERT_TRUE(wwr_view_equal(empty, wwr_view_str("")));
  CU_ASSERT_TRUE(wwr_view_equal(empty, empty));
  CU_ASSERT_TRUE(wwr_view_equal(wwr_view_str("ab"), wwr_view_str("ab")));
  CU_ASSERT_FALSE(wwr_view_equal(wwr_view_str("ab"), wwr_view_str("ac")));
  CU_ASSERT_FALSE(wwr_view_equal(wwr_view_str("a"), wwr_view_str("ab")));
  CU_ASSERT_FALSE(wwr_view_equal(nul_inside, wwr_view_str("a")));
}

static void version_is_the_projects(void) {
  CU_ASSERT_STRING_EQUAL(wwr_version(), EXPECTED_VERSION);
  wwr_free(NULL);
  wwr_free(malloc(1));
}

static const wwr_err all_errors[] = {WWR_OK,
#define X(NAME, value, name, text) WWR_E_##NAME,
                                     WWR_ERR_MAP(X)
#undef X
};
enum { ERRORS = sizeof all_errors / sizeof *all_errors };

static void errors_have_distinct_names_and_texts(void) {
  for (size_t i = 0; i < ERRORS; i++) {
    const char *name = wwr_err_name(all_errors[i]);
    const char *text = wwr_err_text(all_errors[i]);
    CU_ASSERT_EQUAL(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
    CU_ASSERT_STRING_NOT_EQUAL(name, "unknown");
    CU_ASSERT_TRUE(strlen(text) > 0 && text[strlen(text) - 1] != '.');
    for (size_t j = 0; j < i; j++) {
      CU_ASSERT_NOT_EQUAL(all_errors[i], all_errors[j]);
      CU_ASSERT_STRING_NOT_EQUAL(name, wwr_err_name(all_errors[j]));
      CU_ASSERT_STRING_NOT_EQUAL(text, wwr_err_text(all_errors[j]));
    }
  }
  CU_ASSERT_STRING_EQUAL(wwr_err_name(WWR_OK), "ok");
  CU_ASSERT_STRING_EQUAL(wwr_err_name(WWR_E_MAX_SESSION_CONNS),
                         "max-session-conns");
  CU_ASSERT_STRING_EQUAL(wwr_err_name((wwr_err)8), "unknown");
  CU_ASSERT_STRING_EQUAL(wwr_err_text((wwr_err)-1), "unknown error");
}

static void three_errors_are_timeouts(void) {
  for (size_t i = 0; i < ERRORS; i++) {
    wwr_err err = all_errors[i];
    bool timeout = err == WWR_E_TIMEOUT || err == WWR_E_DEADLINE ||
                   err == WWR_E_DIAL_TIMEOUT;
    CU_ASSERT_EQUAL(wwr_err_is_timeout(err), timeout);
  }
}

struct item {
  int number;
  struct wwri_list node;
};

static void expect_list(struct wwri_list *head, const char *numbers) {
  for (; *numbers; numbers++) {
    struct wwri_list *node = wwri_list_pop(head);
    CU_ASSERT_PTR_NOT_NULL_FATAL(node);
    struct item *item = WWRI_CONTAINER(node, struct item, node);
    CU_ASSERT_EQUAL(item->number, *numbers - '0');
  }
  CU_ASSERT_TRUE(wwri_list_empty(head));
  CU_ASSERT_PTR_NULL(wwri_list_pop(head));
}

static void lists_keep_order(void) {
  struct wwri_list a, b;
  struct item items[4] = {
      {.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
  wwri_list_init(&a);
  wwri_list_init(&b);
  for (int i = 0; i < 4; i++) wwri_list_append(i < 2 ? &a : &b, &items[i].node);
  wwri_list_splice(&a, &b);
  CU_ASSERT_TRUE(wwri_list_empty(&b));
  wwri_list_splice(&a, &b); /* nothing */
  wwri_list_remove(&items[1].node);
  wwri_list_remove(&items[1].node); /* harmless */
  expect_list(&a, "023");
}

static void buffers_append(void) {
  struct wwri_buf buf;
  wwri_buf_init(&buf, 1000);
  for (int i = 0; i < 1000; i++) {
    uint8_t byte = (uint8_t)i;
    CU_ASSERT_EQUAL(wwri_buf_append(&buf, &byte, 1), WWR_OK);
  }
  CU_ASSERT_EQUAL(wwri_buf_append(&buf, NULL, 0), WWR_OK);
  struct wwr_view view = wwri_buf_view(&buf);
  CU_ASSERT_EQUAL(view.len, 1000);
  for (size_t i = 0; i < view.len; i++) {
    CU_ASSERT_EQUAL(view.data[i], (uint8_t)i);
  }
  wwri_buf_clear(&buf);
  CU_ASSERT_EQUAL(buf.len, 0);
  CU_ASSERT_PTR_NOT_NULL(buf.data);
  wwri_buf_deinit(&buf);
  CU_ASSERT_PTR_NULL(buf.data);
  CU_ASSERT_EQUAL(buf.max, 1000);
}

static void buffers_stop_at_their_ceiling(void) {
  static const uint8_t bytes[200];
  for (size_t max = 0; max < 150; max++) {
    struct wwri_buf buf;
    wwri_buf_init(&buf, max);
    CU_ASSERT_EQUAL(wwri_buf_append(&buf, bytes, max), WWR_OK);
    CU_ASSERT_EQUAL(wwri_buf_append(&buf, bytes, 1), WWR_E_BUFFER_OVERFLOW);
    CU_ASSERT_EQUAL(buf.len, max);
    CU_ASSERT_TRUE(buf.cap <= max);
    wwri_buf_clear(&buf);
    CU_ASSERT_EQUAL(wwri_buf_append(&buf, bytes, max + 1),
                    WWR_E_BUFFER_OVERFLOW);
    CU_ASSERT_EQUAL(buf.len, 0);
    wwri_buf_deinit(&buf);
  }
}

static void buffers_ceiling_can_be_none(void) {
  struct wwri_buf buf;
  wwri_buf_init(&buf, SIZE_MAX);
  CU_ASSERT_EQUAL(wwri_buf_append(&buf, "abc", 3), WWR_OK);
  CU_ASSERT_EQUAL(wwri_buf_append(&buf, "", SIZE_MAX - 2),
                  WWR_E_BUFFER_OVERFLOW);
  CU_ASSERT_EQUAL(buf.len, 3);
  wwri_buf_deinit(&buf);
}

static void buffers_survive_no_memory(void) {
  static const uint8_t bytes[100] = {7};
  struct wwri_buf buf;
  wwri_buf_init(&buf, 1000);
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwri_buf_append(&buf, bytes, 50), WWR_E_NOMEM);
  CU_ASSERT_TRUE(test_alloc_failed());
  CU_ASSERT_EQUAL(buf.len, 0);
  CU_ASSERT_EQUAL(wwri_buf_append(&buf, bytes, 50), WWR_OK);
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwri_buf_append(&buf, bytes, 100), WWR_E_NOMEM);
  CU_ASSERT_TRUE(test_alloc_failed());
  CU_ASSERT_EQUAL(buf.len, 50);
  CU_ASSERT_EQUAL(buf.data[0], 7);
  wwri_buf_deinit(&buf);
}

static void numbers_are_written(void) {
  static const struct {
    uint64_t number;
    const char *text;
  } cases[] = {{0, "0"},
               {7, "7"},
               {10, "10"},
               {4294967296u, "4294967296"},
               {9999999999999999999u, "9999999999999999999"},
               {UINT64_MAX, "18446744073709551615"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char out[WWRI_DECIMAL_MAX];
    struct wwr_view digits = wwri_write_decimal(cases[i].number, out);
    CU_ASSERT_STRING_EQUAL(out, cases[i].text);
    CU_ASSERT_TRUE(wwr_view_equal(digits, wwr_view_str(cases[i].text)));
  }
}

int main(int argc, char **argv) {
  CU_TestInfo base[] = {
      {"views compare bytes", views_compare_bytes},
      {"version is the project's", version_is_the_projects},
      {"errors have distinct names and texts",
       errors_have_distinct_names_and_texts},
      {"three errors are timeouts", three_errors_are_timeouts},
      {"lists keep order", lists_keep_order},
      {"numbers are written", numbers_are_written},
      CU_TEST_INFO_NULL};
  CU_TestInfo buffers[] = {
      {"buffers append", buffers_append},
      {"buffers stop at their ceiling", buffers_stop_at_their_ceiling},
      {"buffers' ceiling can be none", buffers_ceiling_can_be_none},
      {"buffers survive no memory", buffers_survive_no_memory},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"base", NULL, NULL, NULL, NULL, base},
                           {"buf", NULL, NULL, NULL, NULL, buffers},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
