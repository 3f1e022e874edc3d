/* log_format.c - a record as one line:
 *
 *   time=2026-11-22T09:00:00.250000Z level=info msg="client connected" conn=7
 *   {"time":"2026-11-22T09:00:00.250000Z","level":"info","msg":"client ...
 *
 * When the line is full, the value that meets the end is cut short at a whole
 * character and what follows is left out. Room for the closing quote, brace
 * and newline is kept all along, so that even then the JSON parses. */
#include "wwr_log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "utf8.h"

struct line {
  char *buf;
  size_t len;
  size_t limit; /* bytes before the closing ones */
  bool json;
};

static bool put(struct line *line, const char *text, size_t len) {
  if (len > line->limit - line->len) return false;
  memcpy(line->buf + line->len, text, len);
  line->len += len;
  return true;
}

static bool put_str(struct line *line, const char *text) {
  return put(line, text, strlen(text));
}

/* Escaped text up to the first character that leaves no room for a quote. */
static void put_escaped(struct line *line, const char *text) {
  struct wwr_view rest = wwr_view_str(text);
  char unit[WWRI_ESCAPED_MAX];
  while (rest.len > 0) {
    size_t len = wwri_json_escape(&rest, unit);
    if (line->limit - line->len < len + 1) return;
    put(line, unit, len);
  }
}

static bool is_bare(unsigned char byte) {
  return byte > ' ' && byte < 0x7f && byte != '"' && byte != '=' &&
         byte != '\\';
}

/* Logfmt leaves out the quotes of simple values. */
static bool needs_quotes(const struct line *line, const char *value) {
  if (line->json || !*value) return true;
  for (; *value; value++) {
    if (!is_bare((unsigned char)*value)) return true;
  }
  return false;
}

/* A key is one of ours, but it must not forge a field either. */
static bool put_key(struct line *line, const char *key) {
  if (line->json) {
    if (!put_str(line, line->len > 1 ? ",\"" : "\"")) return false;
    put_escaped(line, key);
    return put_str(line, "\":");
  }
  if (line->len > 0 && !put_str(line, " ")) return false;
  for (; *key; key++) {
    if (!put(line, is_bare((unsigned char)*key) ? key : "_", 1)) return false;
  }
  return put_str(line, "=");
}

/* A whole field, a field with its value cut short, or nothing at all. */
static void put_field(struct line *line, const char *key, const char *value) {
  size_t start = line->len;
  bool quoted = needs_quotes(line, value);
  if (!put_key(line, key) || line->limit - line->len < 2) {
    line->len = start;
  } else if (quoted) {
    put_str(line, "\"");
    put_escaped(line, value);
    put_str(line, "\"");
  } else {
    size_t room = line->limit - line->len;
    put(line, value, strnlen(value, room));
  }
}

static void put_time(struct line *line, int64_t time_ns) {
  int64_t nanos = time_ns % 1000000000;
  time_t seconds = (time_t)(time_ns / 1000000000);
  if (nanos < 0) {
    nanos += 1000000000;
    seconds -= 1;
  }
  struct tm tm = {0};
  gmtime_r(&seconds, &tm);
  char text[40];
  size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
  snprintf(text + len, sizeof text - len, ".%06uZ", (unsigned)(nanos / 1000));
  put_field(line, "time", text);
}

static const char *level_name(enum wwr_log_level level) {
  static const char *const names[] = {"debug", "info", "warn", "error"};
  return level < WWR_LOG_OFF ? names[level] : "off";
}

/* The connection's number stays a number in JSON. */
static void put_conn(struct line *line, uint64_t conn_id) {
  char text[48];
  snprintf(text, sizeof text, "%s%llu",
           line->json ? ",\"conn\":" : " conn=", (unsigned long long)conn_id);
  if (line->len > 1) put_str(line, text);
}

static void put_record(struct line *line, const struct wwr_log_record *record) {
  put_time(line, record->time_ns);
  put_field(line, "level", level_name(record->level));
  put_field(line, "msg", record->message ? record->message : "-");
  if (record->conn_id) put_conn(line, record->conn_id);
  for (size_t i = 0; i < record->field_count; i++) {
    const struct wwr_log_field *field = &record->fields[i];
    put_field(line, field->key ? field->key : "-",
              field->value ? field->value : "-");
  }
}

size_t wwr_log_format_record(const struct wwr_log_record *record,
                             enum wwr_log_format format, char *buf,
                             size_t cap) {
  if (cap == 0) return 0;
  struct line line = {.buf = buf, .json = format == WWR_LOG_JSON};
  const char *closing = line.json ? "}\n" : "\n";
  size_t need = strlen(closing) + (line.json ? 2u : 1u); /* brace, NUL */
  if (cap >= need) {
    line.limit = cap - strlen(closing) - 1;
    if (line.json) put_str(&line, "{");
    put_record(&line, record);
    line.limit = cap - 1;
    put_str(&line, closing);
  } else if (cap > 1) {
    buf[line.len++] = '\n'; /* not even "{}" fits */
  }
  buf[line.len] = '\0';
  return line.len;
}
