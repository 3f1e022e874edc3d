/* Happy path: every row of CLUSTER SLOTS is a range, its master, its replicas;
 * nodes are collected, and the range's slots point to the first of them.
 *
 * Failure modes: whatever is no such row spoils the whole map: half of a map is
 * worse than the one before. A node without a usable name is left out, and its
 * slots have no master. */
#include "slots.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PORT = 65535 };

struct wwr_view wwri_slot_tag(struct wwr_view key) {
  const uint8_t *open = key.len > 0 ? memchr(key.data, '{', key.len) : NULL;
  if (!open) return key;
  size_t rest = key.len - (size_t)(open - key.data) - 1;
  const uint8_t *close = rest > 0 ? memchr(open + 1, '}', rest) : NULL;
  if (!close || close == open + 1) return key;
  return (struct wwr_view){open + 1, (size_t)(close - open) - 1};
}

/* CRC-16/XMODEM. */
uint16_t wwri_slot_of(struct wwr_view key) {
  struct wwr_view tag = wwri_slot_tag(key);
  unsigned crc = 0;
  for (size_t i = 0; i < tag.len; i++) {
    crc ^= (unsigned)tag.data[i] << 8;
    for (int bit = 0; bit < 8; bit++) {
      crc = (crc & 0x8000u ? crc << 1 ^ 0x1021u : crc << 1) & 0xffffu;
    }
  }
  return (uint16_t)(crc % WWRI_SLOTS);
}

void wwri_slots_deinit(struct wwri_slots *slots) {
  free(slots->nodes);
  memset(slots, 0, sizeof(*slots));
}

const struct wwri_redis_host *wwri_slots_owner(const struct wwri_slots *slots,
                                               uint16_t slot) {
  uint16_t owner = slot < WWRI_SLOTS ? slots->owner[slot] : 0;
  return owner ? &slots->nodes[owner - 1] : NULL;
}

/* --- Nodes -------------------------------------------------------------- */

static bool same(const struct wwri_redis_host *a,
                 const struct wwri_redis_host *b) {
  return a->port == b->port && strcmp(a->name, b->name) == 0;
}

static bool grow(struct wwri_slots *slots) {
  size_t cap = slots->cap ? slots->cap * 2 : 16;
  struct wwri_redis_host *nodes =
      realloc(slots->nodes, cap * sizeof(*slots->nodes));
  if (!nodes) return false;
  slots->nodes = nodes;
  slots->cap = cap;
  return true;
}

/* Its number + 1, as in `owner`. */
static wwr_err add(struct wwri_slots *slots, const struct wwri_redis_host *node,
                   uint16_t *number, const char **why) {
  for (size_t i = 0; i < slots->count; i++) {
    if (!same(&slots->nodes[i], node)) continue;
    *number = (uint16_t)(i + 1);
    return WWR_OK;
  }
  if (slots->count == WWRI_SLOTS_NODES_MAX) {
    *why = "a map with more nodes than a cluster can have";
    return WWR_E_PROTOCOL;
  }
  if (slots->count == slots->cap && !grow(slots)) return WWR_E_NOMEM;
  slots->nodes[slots->count++] = *node;
  *number = (uint16_t)slots->count;
  return WWR_OK;
}

/* The "ip" among a node's further data, for one that announces no name. */
static struct wwr_view ip_of(const struct wwri_redis_reply *more) {
  for (size_t i = 0; i + 1 < wwri_redis_reply_count(more); i += 2) {
    if (wwri_redis_reply_is(wwri_redis_reply_at(more, i), "ip")) {
      return wwri_redis_reply_text(wwri_redis_reply_at(more, i + 1));
    }
  }
  return (struct wwr_view){NULL, 0};
}

static bool copy_name(struct wwri_redis_host *out, struct wwr_view name) {
  if (name.len == 0 || name.len >= sizeof(out->name)) return false;
  if (memchr(name.data, '\0', name.len)) return false;
  memcpy(out->name, name.data, name.len);
  out->name[name.len] = '\0';
  return true;
}

/* [HOST, PORT, ID, [...]]. *known: it can be reached by some name. */
static const char *read_node(const struct wwri_redis_reply *row,
                             const struct wwri_redis_host *asked,
                             struct wwri_redis_host *out, bool *known) {
  const struct wwri_redis_reply *host = wwri_redis_reply_at(row, 0);
  const struct wwri_redis_reply *port = wwri_redis_reply_at(row, 1);
  struct wwr_view name = wwri_redis_reply_text(host);
  int64_t number = wwri_redis_reply_int(port);
  enum wwri_redis_type type = wwri_redis_reply_type(host);
  *known = true;
  if (wwri_redis_reply_count(row) < 2) return "a map with a node that is none";
  if (number < 1 || number > MAX_PORT) return "a map with a port that is none";
  if (type != WWRI_REDIS_NIL && type != WWRI_REDIS_STRING) {
    return "a map with a host that is none";
  }
  out->port = (uint16_t)number;
  if (name.len == 0) {
    memcpy(out->name, asked->name, sizeof(out->name));
    return NULL;
  }
  if (wwr_view_equal(name, wwr_view_str("?"))) {
    *known = copy_name(out, ip_of(wwri_redis_reply_at(row, 3)));
    return NULL;
  }
  return copy_name(out, name) ? NULL : "a map with a host that is none";
}

/* --- Ranges ------------------------------------------------------------- */

static wwr_err bad(const char **why, const char *text) {
  *why = text;
  return WWR_E_PROTOCOL;
}

static wwr_err give(struct wwri_slots *slots, int64_t first, int64_t last,
                    uint16_t owner, const char **why) {
  for (int64_t slot = first; slot <= last; slot++) {
    if (slots->owner[slot]) {
      return bad(why, "a map with a slot of two masters");
    }
    slots->owner[slot] = owner;
  }
  if (owner) slots->covered += (size_t)(last - first + 1);
  return WWR_OK;
}

/* [FIRST, LAST, MASTER, REPLICA...] */
static wwr_err read_row(struct wwri_slots *slots,
                        const struct wwri_redis_reply *row,
                        const struct wwri_redis_host *asked, const char **why) {
  const struct wwri_redis_reply *from = wwri_redis_reply_at(row, 0);
  const struct wwri_redis_reply *to = wwri_redis_reply_at(row, 1);
  int64_t first = wwri_redis_reply_int(from);
  int64_t last = wwri_redis_reply_int(to);
  uint16_t owner = 0;
  if (wwri_redis_reply_count(row) < 3 ||
      wwri_redis_reply_type(from) != WWRI_REDIS_INTEGER ||
      wwri_redis_reply_type(to) != WWRI_REDIS_INTEGER || first < 0 ||
      last < first || last >= WWRI_SLOTS) {
    return bad(why, "a map with a range that is none");
  }
  for (size_t i = 2; i < wwri_redis_reply_count(row); i++) {
    struct wwri_redis_host node;
    uint16_t number = 0;
    bool known;
    const char *wrong =
        read_node(wwri_redis_reply_at(row, i), asked, &node, &known);
    if (wrong) return bad(why, wrong);
    wwr_err err = known ? add(slots, &node, &number, why) : WWR_OK;
    if (err != WWR_OK) return err;
    if (i == 2) owner = number;
  }
  return give(slots, first, last, owner, why);
}

static void count_masters(struct wwri_slots *slots) {
  bool seen[WWRI_SLOTS_NODES_MAX + 1] = {true};
  for (size_t i = 0; i < WWRI_SLOTS; i++) {
    if (!seen[slots->owner[i]]) slots->masters++;
    seen[slots->owner[i]] = true;
  }
}

wwr_err wwri_slots_read(struct wwri_slots *out,
                        const struct wwri_redis_reply *reply,
                        const struct wwri_redis_host *asked, const char **why) {
  wwr_err err = WWR_OK;
  wwri_slots_deinit(out);
  if (wwri_redis_reply_type(reply) != WWRI_REDIS_ARRAY) {
    return bad(why, "an answer to CLUSTER SLOTS that is no map");
  }
  for (size_t i = 0; i < wwri_redis_reply_count(reply) && err == WWR_OK; i++) {
    err = read_row(out, wwri_redis_reply_at(reply, i), asked, why);
  }
  if (err != WWR_OK) {
    wwri_slots_deinit(out);
    return err;
  }
  count_masters(out);
  return WWR_OK;
}

/* --- Redirections ------------------------------------------------------- */

/* Digits up to `end`; *text moves behind it. False: none, or too many. */
static bool take_number(struct wwr_view *text, char end, uint32_t max,
                        uint32_t *out) {
  size_t at = 0;
  *out = 0;
  for (; at < text->len && text->data[at] != (uint8_t)end; at++) {
    if (text->data[at] < '0' || text->data[at] > '9' || at > 5) return false;
    *out = *out * 10 + (uint32_t)(text->data[at] - '0');
  }
  if (at == 0 || *out > max) return false;
  size_t used = at < text->len ? at + 1 : at;
  *text = (struct wwr_view){text->data + used, text->len - used};
  return true;
}

bool wwri_slots_moved(struct wwr_view error, uint16_t *slot,
                      struct wwri_redis_host *to) {
  enum { WORD = 6 };
  uint32_t number;
  if (error.len < WORD || memcmp(error.data, "MOVED ", WORD) != 0) return false;
  struct wwr_view rest = {error.data + WORD, error.len - WORD};
  if (!take_number(&rest, ' ', WWRI_SLOTS - 1, &number)) return false;
  *slot = (uint16_t)number;
  const uint8_t *colon =
      rest.len > 0 ? memrchr(rest.data, ':', rest.len) : NULL;
  if (!colon) return false;
  struct wwr_view name = {rest.data, (size_t)(colon - rest.data)};
  struct wwr_view port = {colon + 1, rest.len - name.len - 1};
  if (!take_number(&port, ' ', MAX_PORT, &number) || number == 0) return false;
  to->port = (uint16_t)number;
  to->name[0] = '\0';
  return name.len == 0 || copy_name(to, name);
}
