#include "columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "terminal.h"

enum { CELL_MAX = 512, COLUMNS_MAX = 16 };

/* --- Cells ---------------------------------------------------------------- */

static void time_cell(char *out, json_int_t ms) {
  time_t seconds = (time_t)(ms / 1000);
  struct tm tm;
  *out = '\0';
  if (localtime_r(&seconds, &tm))
    strftime(out, CELL_MAX, "%Y-%m-%d %H:%M:%S", &tm);
}

static void age_cell(char *out, json_int_t ms) {
  json_int_t seconds = ms / 1000;
  if (seconds < 60) {
    snprintf(out, CELL_MAX, "%.1fs", (double)ms / 1000.0);
  } else if (seconds < 3600) {
    snprintf(out, CELL_MAX, "%lldm%02llds", (long long)seconds / 60,
             (long long)seconds % 60);
  } else if (seconds < 86400) {
    snprintf(out, CELL_MAX, "%lldh%02lldm", (long long)seconds / 3600,
             (long long)seconds / 60 % 60);
  } else {
    snprintf(out, CELL_MAX, "%lldd%02lldh", (long long)seconds / 86400,
             (long long)seconds / 3600 % 24);
  }
}

static void any_cell(char *out, const json_t *value) {
  char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
  snprintf(out, CELL_MAX, "%s", text ? text : "");
  free(text);
}

/* What is no such member, or null, is "-". */
static void cell(char *out, const json_t *row,
                 const struct table_column *column) {
  const json_t *value = json_object_get(row, column->member);
  json_int_t number = json_integer_value(value);
  if (!value || json_is_null(value)) {
    snprintf(out, CELL_MAX, "-");
  } else if (column->kind == TABLE_TIME) {
    time_cell(out, number);
  } else if (column->kind == TABLE_AGE) {
    age_cell(out, number);
  } else if (column->kind == TABLE_FLAG) {
    snprintf(out, CELL_MAX, "%s", json_is_true(value) ? column->member : "-");
  } else if (json_is_string(value)) {
    const char *text = json_string_value(value);
    snprintf(out, CELL_MAX, "%s", *text ? text : "-");
  } else {
    any_cell(out, value);
  }
}

/* Of UTF-8, near enough: every character is one wide. */
static int width(const char *text) {
  int count = 0;
  for (; *text; text++) count += ((unsigned char)*text & 0xc0) != 0x80;
  return count;
}

/* --- Tables --------------------------------------------------------------- */

static void print_cell(const char *text, int wanted, bool right, bool last) {
  int space = wanted - width(text);
  if (right) printf("%*s", space > 0 ? space : 0, "");
  wwr_print_harmless(stdout, text, strlen(text));
  if (!right && !last) printf("%*s", space > 0 ? space : 0, "");
  fputs(last ? "\n" : "  ", stdout);
}

static void measure(const json_t *rows, const struct table_column *columns,
                    size_t count, int *widths) {
  char text[CELL_MAX];
  size_t index;
  json_t *row;
  for (size_t i = 0; i < count; i++) widths[i] = width(columns[i].title);
  json_array_foreach(rows, index, row) {
    for (size_t i = 0; i < count; i++) {
      cell(text, row, &columns[i]);
      if (width(text) > widths[i]) widths[i] = width(text);
    }
  }
}

static bool is_right(const struct table_column *column) {
  return column->kind == TABLE_NUMBER || column->kind == TABLE_AGE;
}

void table_print(const json_t *rows, const struct table_column *columns,
                 size_t count) {
  int widths[COLUMNS_MAX];
  char text[CELL_MAX];
  size_t index;
  json_t *row;
  measure(rows, columns, count, widths);
  for (size_t i = 0; i < count; i++)
    print_cell(columns[i].title, widths[i], is_right(&columns[i]),
               i + 1 == count);
  json_array_foreach(rows, index, row) {
    for (size_t i = 0; i < count; i++) {
      cell(text, row, &columns[i]);
      print_cell(text, widths[i], is_right(&columns[i]), i + 1 == count);
    }
  }
}

void table_print_one(const json_t *row, const struct table_column *columns,
                     size_t count) {
  char text[CELL_MAX];
  int widest = 0;
  for (size_t i = 0; i < count; i++) {
    if (width(columns[i].title) > widest) widest = width(columns[i].title);
  }
  for (size_t i = 0; i < count; i++) {
    if (!json_object_get(row, columns[i].member)) continue;
    cell(text, row, &columns[i]);
    print_cell(columns[i].title, widest, false, false);
    print_cell(text, 0, false, true);
  }
}
