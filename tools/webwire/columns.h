/* columns.h - JSON objects as the rows of a table. */
#ifndef WEBWIRE_COLUMNS_H
#define WEBWIRE_COLUMNS_H

#include <jansson.h>

enum table_kind {
  TABLE_TEXT,
  TABLE_NUMBER,
  TABLE_TIME, /**< Unix milliseconds. */
  TABLE_AGE,  /**< Milliseconds. */
  TABLE_FLAG  /**< The column's title when true. */
};

struct table_column {
  const char *title;
  const char *member; /**< Of the row. */
  enum table_kind kind;
};

/** Print an array of objects, each a line, below a line of titles. */
void table_print(const json_t *rows, const struct table_column *columns,
                 size_t count);

/** Print one object, a line for each column that it has. */
void table_print_one(const json_t *row, const struct table_column *columns,
                     size_t count);

#endif
