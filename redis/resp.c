/* Happy path: a line says what comes; a bulk string is skipped without being
 * looked at; when the innermost array is full the next outer one goes on, and
 * when none is open the reply is complete.
 *
 * Failure modes: an announced length or count over the limits is refused as
 * soon as its line is read, before any byte of it arrives; so is a line that
 * does not end. Nothing is allocated. */
#include "resp.h"

#include <string.h>

#include "decimal.h"

enum { CRLF = 2, MAX_NUMBER = 24 };

static bool is_text(uint8_t type) {
  return type == '+' || type == '-';
}

/* The line at scan->pos, without its end. False when it is not complete. */
static bool next_line(struct wwri_resp_scan *scan, struct wwr_view bytes,
                      struct wwr_view *line) {
  size_t from = scan->looked > scan->pos ? scan->looked : scan->pos;
  const uint8_t *end = from < bytes.len
                           ? memchr(bytes.data + from, '\n', bytes.len - from)
                           : NULL;
  if (!end) {
    scan->looked = bytes.len;
    return false;
  }
  *line = (struct wwr_view){bytes.data + scan->pos,
                            (size_t)(end - bytes.data) - scan->pos};
  return true;
}

/* Digits with an optional minus sign, of a size that no overflow can reach. */
static bool parse_number(struct wwr_view text, int64_t *out) {
  bool negative = text.len > 0 && text.data[0] == '-';
  size_t at = negative ? 1 : 0;
  if (at == text.len || text.len - at > 18) return false;
  int64_t value = 0;
  for (; at < text.len; at++) {
    if (text.data[at] < '0' || text.data[at] > '9') return false;
    value = value * 10 + (text.data[at] - '0');
  }
  *out = negative ? -value : value;
  return true;
}

/* One value is complete: so may be the arrays around it. */
static void value_done(struct wwri_resp_scan *scan) {
  while (scan->depth > 0 && --scan->left[scan->depth - 1] == 0) scan->depth--;
}

static const char *open_array(struct wwri_resp_scan *scan, int64_t count) {
  if (count < -1) return "a negative number of elements";
  if (count <= 0) {
    value_done(scan);
    return NULL;
  }
  if (count > WWRI_RESP_MAX_ELEMENTS - (int64_t)scan->elements) {
    return "too many elements";
  }
  if (scan->depth == WWRI_RESP_MAX_DEPTH) return "arrays too deep";
  scan->elements += (uint32_t)count;
  scan->left[scan->depth++] = (uint32_t)count;
  return NULL;
}

static const char *open_bulk(struct wwri_resp_scan *scan, int64_t len) {
  if (len < -1) return "a negative length";
  if (len == -1) {
    value_done(scan);
    return NULL;
  }
  if (len > WWRI_RESP_MAX_BYTES - CRLF ||
      scan->pos + (size_t)len + CRLF > WWRI_RESP_MAX_BYTES) {
    return "a string over the limit";
  }
  scan->in_bulk = true;
  scan->bulk = (size_t)len + CRLF;
  return NULL;
}

/* `line` without its LF; NULL or what is wrong with it. */
static const char *take_line(struct wwri_resp_scan *scan,
                             struct wwr_view line) {
  if (line.len < CRLF || line.data[line.len - 1] != '\r') {
    return "a line that does not end in CRLF";
  }
  uint8_t type = line.data[0];
  struct wwr_view rest = {line.data + 1, line.len - CRLF};
  scan->pos += line.len + 1;
  if (scan->pos > WWRI_RESP_MAX_BYTES) return "a reply over the limit";
  if (is_text(type)) {
    if (rest.len > WWRI_RESP_MAX_LINE) return "a line over the limit";
    value_done(scan);
    return NULL;
  }
  int64_t number = 0;
  if (type == ':' && rest.len > 18 && rest.len < MAX_NUMBER) {
    value_done(scan); /* the parser knows whether it fits */
    return NULL;
  }
  if (!parse_number(rest, &number)) return "not a number, or no such type";
  if (type == '*') return open_array(scan, number);
  if (type == '$') return open_bulk(scan, number);
  if (type != ':') return "an unknown type";
  value_done(scan);
  return NULL;
}

/* What an unfinished line may still become. */
static const char *judge_partial(const struct wwri_resp_scan *scan,
                                 struct wwr_view bytes) {
  size_t have = bytes.len - scan->pos;
  if (have == 0) return NULL;
  uint8_t type = bytes.data[scan->pos];
  if (!memchr("+-:$*", type, 5)) return "an unknown type";
  size_t most = is_text(type) ? WWRI_RESP_MAX_LINE : MAX_NUMBER;
  return have > most ? "a line over the limit" : NULL;
}

static enum wwri_resp_result take_bulk(struct wwri_resp_scan *scan,
                                       struct wwr_view bytes,
                                       const char **why) {
  if (bytes.len - scan->pos < scan->bulk) return WWRI_RESP_MORE;
  scan->pos += scan->bulk;
  scan->in_bulk = false;
  if (memcmp(bytes.data + scan->pos - CRLF, "\r\n", CRLF) != 0) {
    *why = "a string that does not end in CRLF";
    return WWRI_RESP_BAD;
  }
  value_done(scan);
  return WWRI_RESP_DONE; /* this string is; the caller looks at the arrays */
}

enum wwri_resp_result wwri_resp_scan(struct wwri_resp_scan *scan,
                                     struct wwr_view bytes, const char **why) {
  do {
    if (scan->in_bulk) {
      enum wwri_resp_result result = take_bulk(scan, bytes, why);
      if (result != WWRI_RESP_DONE) return result;
      continue;
    }
    struct wwr_view line;
    bool whole = next_line(scan, bytes, &line);
    const char *bad =
        whole ? take_line(scan, line) : judge_partial(scan, bytes);
    if (bad) {
      *why = bad;
      return WWRI_RESP_BAD;
    }
    if (!whole) return WWRI_RESP_MORE;
  } while (scan->in_bulk || scan->depth > 0);
  return WWRI_RESP_DONE;
}

/* A type, a number, CRLF; `more` bytes of room behind them at *out. */
static wwr_err append_header(struct wwri_buf *buf, char type, size_t number,
                             size_t more, uint8_t **out) {
  char text[WWRI_DECIMAL_MAX];
  struct wwr_view digits = wwri_write_decimal(number, text);
  wwr_err err = wwri_buf_extend(buf, 1 + digits.len + CRLF + more, out);
  if (err != WWR_OK) return err;
  *(*out)++ = (uint8_t)type;
  memcpy(*out, digits.data, digits.len);
  memcpy(*out + digits.len, "\r\n", CRLF);
  *out += digits.len + CRLF;
  return WWR_OK;
}

wwr_err wwri_resp_begin(struct wwri_buf *out, size_t argc) {
  uint8_t *unused;
  return append_header(out, '*', argc, 0, &unused);
}

wwr_err wwri_resp_arg(struct wwri_buf *out, struct wwr_view arg) {
  uint8_t *at;
  wwr_err err = append_header(out, '$', arg.len, arg.len + CRLF, &at);
  if (err != WWR_OK) return err;
  if (arg.len > 0) memcpy(at, arg.data, arg.len);
  memcpy(at + arg.len, "\r\n", CRLF);
  return WWR_OK;
}

wwr_err wwri_resp_command(struct wwri_buf *out, const struct wwr_view *argv,
                          size_t argc) {
  size_t before = out->len;
  wwr_err err = wwri_resp_begin(out, argc);
  for (size_t i = 0; i < argc && err == WWR_OK; i++) {
    err = wwri_resp_arg(out, argv[i]);
  }
  if (err != WWR_OK) out->len = before;
  return err;
}
