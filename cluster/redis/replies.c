/* replies.c - every field is checked before it counts: what another version, or
 * another program, wrote there must not become a position. */
#include "replies.h"

#include <string.h>

#include "decimal.h"

enum { DIGITS_MAX = 20, FIELDS = 8 };

bool wwri_read_number(struct wwr_view text, uint64_t *out) {
  uint64_t number = 0;
  *out = 0;
  if (text.len == 0 || text.len > DIGITS_MAX) return false;
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
    uint64_t digit = (uint64_t)(text.data[i] - '0');
    if (number > (UINT64_MAX - digit) / 10) return false;
    number = number * 10 + digit;
  }
  *out = number;
  return true;
}

/* Cut off what is before `mark`; false when there is none. */
static bool cut(struct wwr_view *rest, char mark, struct wwr_view *out) {
  const uint8_t *at = rest->len ? memchr(rest->data, mark, rest->len) : NULL;
  if (!at) return false;
  size_t len = (size_t)(at - rest->data);
  *out = (struct wwr_view){rest->data, len};
  *rest = (struct wwr_view){at + 1, rest->len - len - 1};
  return true;
}

bool wwri_read_logid(struct wwr_view text, struct wwri_logid *out) {
  struct wwr_view epoch;
  *out = (struct wwri_logid){0};
  return cut(&text, '-', &epoch) && wwri_read_number(epoch, &out->epoch) &&
         wwri_read_number(text, &out->offset);
}

struct wwr_view wwri_write_logid(struct wwri_logid id,
                                 char out[WWRI_LOGID_TEXT_MAX]) {
  size_t at = wwri_write_decimal(id.epoch, out).len;
  out[at++] = '-';
  at += wwri_write_decimal(id.offset, out + at).len;
  return (struct wwr_view){(const uint8_t *)out, at};
}

static bool read_hex(const uint8_t *at, uint64_t *out) {
  *out = 0;
  for (int i = 0; i < WWRI_BOOT_HEX / 2; i++) {
    uint8_t c = at[i];
    unsigned digit;
    if (c >= '0' && c <= '9') {
      digit = (unsigned)(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = (unsigned)(c - 'a' + 10);
    } else {
      return false;
    }
    *out = *out << 4 | digit;
  }
  return true;
}

bool wwri_read_boot(struct wwr_view hex, struct wwri_boot *out) {
  *out = (struct wwri_boot){0};
  return hex.len == WWRI_BOOT_HEX && read_hex(hex.data, &out->hi) &&
         read_hex(hex.data + WWRI_BOOT_HEX / 2, &out->lo);
}

static void write_hex(uint64_t number, char *out) {
  static const char digits[] = "0123456789abcdef";
  for (int i = WWRI_BOOT_HEX / 2 - 1; i >= 0; i--, number >>= 4) {
    out[i] = digits[number & 0xf];
  }
}

void wwri_write_boot(struct wwri_boot boot, char out[WWRI_BOOT_HEX + 1]) {
  write_hex(boot.hi, out);
  write_hex(boot.lo, out + WWRI_BOOT_HEX / 2);
  out[WWRI_BOOT_HEX] = '\0';
}

bool wwri_read_hint(struct wwr_view payload, struct wwri_entry *out) {
  struct wwr_view id, boot, seq, time;
  *out = (struct wwri_entry){0};
  if (!cut(&payload, ' ', &id) || !cut(&payload, ' ', &boot) ||
      !cut(&payload, ' ', &seq) || !cut(&payload, ' ', &time)) {
    return false;
  }
  out->data = payload;
  return wwri_read_logid(id, &out->pos.id) &&
         wwri_read_boot(boot, &out->pos.boot) &&
         wwri_read_number(seq, &out->pos.seq) &&
         wwri_read_number(time, &out->time_ms) &&
         (out->pos.id.epoch != 0) == (out->pos.id.offset != 0);
}

static struct wwr_view text_at(const struct wwri_redis_reply *reply,
                               size_t index) {
  return wwri_redis_reply_text(wwri_redis_reply_at(reply, index));
}

/* Field `index` is called `name` and is followed by a text. */
static bool has_field(const struct wwri_redis_reply *fields, size_t index,
                      const char *name) {
  return wwri_redis_reply_is(wwri_redis_reply_at(fields, index), name) &&
         wwri_redis_reply_type(wwri_redis_reply_at(fields, index + 1)) ==
             WWRI_REDIS_STRING;
}

static bool read_fork(const struct wwri_redis_reply *fields,
                      struct wwri_entry *out) {
  struct wwr_view parent = text_at(fields, 3);
  out->fork = true;
  out->data = (struct wwr_view){0};
  return parent.len == 0 || wwri_read_logid(parent, &out->parent);
}

bool wwri_read_entry(const struct wwri_redis_reply *reply,
                     struct wwri_entry *out) {
  const struct wwri_redis_reply *fields = wwri_redis_reply_at(reply, 1);
  *out = (struct wwri_entry){0};
  if (wwri_redis_reply_count(fields) < FIELDS || !has_field(fields, 0, "b") ||
      !has_field(fields, 2, "s") || !has_field(fields, 4, "t") ||
      !has_field(fields, 6, "d") ||
      !wwri_read_logid(text_at(reply, 0), &out->pos.id) ||
      !wwri_read_number(text_at(fields, 5), &out->time_ms)) {
    return false;
  }
  out->data = text_at(fields, 7);
  if (text_at(fields, 1).len == 0) return read_fork(fields, out);
  return wwri_read_boot(text_at(fields, 1), &out->pos.boot) &&
         wwri_read_number(text_at(fields, 3), &out->pos.seq);
}

bool wwri_read_entries(const struct wwri_redis_reply *reply, bool newest_first,
                       struct wwri_entry *out, size_t cap, size_t *count) {
  size_t have = wwri_redis_reply_count(reply);
  *count = 0;
  if (wwri_redis_reply_type(reply) != WWRI_REDIS_ARRAY) return false;
  if (have > cap) have = cap;
  for (size_t i = 0; i < have; i++) {
    size_t at = newest_first ? have - 1 - i : i;
    if (!wwri_read_entry(wwri_redis_reply_at(reply, i), &out[at])) return false;
  }
  *count = have;
  return true;
}

bool wwri_read_top(const struct wwri_redis_reply *reply, size_t index,
                   struct wwri_pos *out, bool *exists) {
  struct wwr_view id = text_at(reply, index);
  struct wwr_view boot = text_at(reply, index + 1);
  *out = (struct wwri_pos){0};
  *exists = id.len > 0;
  if (index + 3 > wwri_redis_reply_count(reply)) return false;
  if (!*exists) return true;
  if (!wwri_read_logid(id, &out->id)) return false;
  if (boot.len == 0) return true;
  return wwri_read_boot(boot, &out->boot) &&
         wwri_read_number(text_at(reply, index + 2), &out->seq);
}
