#include "golden.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(text) text, sizeof text - 1
#define ID          "\1\2\3\4\5\6\7\10"

const struct golden goldens[] = {
    {"reply-error",
     BYTES("\x00" ID "\x03"
           "BAD"
           "oh"),
     true, 0, true, "BAD", WWR_UTF8, BYTES("oh")},
    {"reply-error, no message",
     BYTES("\x00" ID "\x01"
           "E"),
     true, 0, true, "E", WWR_UTF8, BYTES("")},
    {"reply-shutdown", BYTES("\x01" ID), true, 1, true, "", 0, BYTES("")},
    {"reply-shutdown, longer", BYTES("\x01" ID "xy"), false, 1, true, "", 0,
     BYTES("")},
    {"reply-internal-error", BYTES("\x02" ID), true, 2, true, "", 0, BYTES("")},
    {"reply-session-not-found", BYTES("\x03" ID), true, 3, true, "", 0,
     BYTES("")},
    {"reply-max-session-connections", BYTES("\x04" ID), true, 4, true, "", 0,
     BYTES("")},
    {"reply-sessions-disabled", BYTES("\x05" ID), true, 5, true, "", 0,
     BYTES("")},
    {"notify-session-created",
     BYTES("\x15"
           "{}"),
     true, 21, false, "", WWR_UTF8, BYTES("{}")},
    {"notify-session-closed", BYTES("\x16"), true, 22, false, "", 0, BYTES("")},
    {"accept-conf", BYTES("\x17\x02\x00\x60\xea\x00\x00\x00\x20\x00\x00"), true,
     23, false, "", 0, BYTES("")},
    {"accept-conf, sub-protocol",
     BYTES("\x17\x02\x00\x60\xea\x00\x00\x00\x20\x00\x00"
           "chat"),
     true, 23, false, "chat", 0, BYTES("")},
    {"request-close-session", BYTES("\x1f" ID), true, 31, true, "", 0,
     BYTES("")},
    {"request-restore-session", BYTES("\x20" ID "k"), true, 32, true, "k", 0,
     BYTES("")},
    {"heartbeat", BYTES("\x21"), true, 33, false, "", 0, BYTES("")},
    {"signal, binary",
     BYTES("\x3f\x02"
           "hi"
           "\xff\x00"),
     true, 63, false, "hi", WWR_BINARY, BYTES("\xff\x00")},
    {"signal, binary, no payload",
     BYTES("\x3f\x01"
           "a"),
     true, 63, false, "a", WWR_BINARY, BYTES("")},
    {"signal, UTF-8, no name",
     BYTES("\x40\x00"
           "p"),
     true, 64, false, "", WWR_UTF8, BYTES("p")},
    {"signal, UTF-8",
     BYTES("\x40\x03"
           "abc"
           "\xc3\xa4"),
     true, 64, false, "abc", WWR_UTF8, BYTES("\xc3\xa4")},
    {"signal, UTF-16, no name",
     BYTES("\x41\x00"
           "a\0"),
     true, 65, false, "", WWR_UTF16, BYTES("a\0")},
    {"signal, UTF-16, odd name",
     BYTES("\x41\x01"
           "n"
           "\x00"
           "a\0"),
     true, 65, false, "n", WWR_UTF16, BYTES("a\0")},
    {"signal, UTF-16, any pad",
     BYTES("\x41\x01"
           "n"
           "\x55"
           "a\0"),
     false, 65, false, "n", WWR_UTF16, BYTES("a\0")},
    {"signal, UTF-16, even name",
     BYTES("\x41\x02"
           "nm"
           "a\0b\0"),
     true, 65, false, "nm", WWR_UTF16, BYTES("a\0b\0")},
    {"request, binary",
     BYTES("\x7f" ID "\x04"
           "echo"
           "\x01\x02\x03"),
     true, 127, true, "echo", WWR_BINARY, BYTES("\x01\x02\x03")},
    {"request, binary, no payload",
     BYTES("\x7f" ID "\x01"
           "e"),
     true, 127, true, "e", WWR_BINARY, BYTES("")},
    {"request, UTF-8, no name",
     BYTES("\x80" ID "\x00"
           "p"),
     true, 128, true, "", WWR_UTF8, BYTES("p")},
    {"request, UTF-8",
     BYTES("\x80" ID "\x01"
           "e"
           "text"),
     true, 128, true, "e", WWR_UTF8, BYTES("text")},
    {"request, UTF-16, no name",
     BYTES("\x81" ID "\x00"
           "a\0"),
     true, 129, true, "", WWR_UTF16, BYTES("a\0")},
    {"request, UTF-16, odd name alone",
     BYTES("\x81" ID "\x01"
           "e"
           "\x00"),
     true, 129, true, "e", WWR_UTF16, BYTES("")},
    {"request, UTF-16, even name alone",
     BYTES("\x81" ID "\x02"
           "ec"),
     true, 129, true, "ec", WWR_UTF16, BYTES("")},
    {"request, UTF-16, odd name",
     BYTES("\x81" ID "\x03"
           "abc"
           "\x00"
           "z\0"),
     true, 129, true, "abc", WWR_UTF16, BYTES("z\0")},
    {"reply, binary", BYTES("\xbf" ID "\x00"), true, 191, true, "", WWR_BINARY,
     BYTES("\x00")},
    {"reply, binary, empty", BYTES("\xbf" ID), true, 191, true, "", WWR_BINARY,
     BYTES("")},
    {"reply, UTF-8", BYTES("\xc0" ID "yes"), true, 192, true, "", WWR_UTF8,
     BYTES("yes")},
    {"reply, UTF-16",
     BYTES("\xc1" ID "\x00"
           "y\0"),
     true, 193, true, "", WWR_UTF16, BYTES("y\0")},
    {"reply, UTF-16, empty", BYTES("\xc1" ID "\x00"), true, 193, true, "",
     WWR_UTF16, BYTES("")},
    {NULL, NULL, 0, false, 0, false, NULL, 0, NULL, 0}};

/* docs/protocol.md's table, one row each: where the name's length stands (0:
 * nowhere), the least length, and whether it is the only one. */
struct row {
  unsigned type;
  size_t name_at;
  size_t least;
  bool exact;
  bool utf16;
};

static const struct row rows[] = {
    {0, 9, 11, false, false},   {1, 0, 9, false, false},
    {2, 0, 9, false, false},    {3, 0, 9, false, false},
    {4, 0, 9, false, false},    {5, 0, 9, false, false},
    {21, 0, 2, false, false},   {22, 0, 1, true, false},
    {23, 0, 11, false, false},  {31, 0, 9, true, false},
    {32, 0, 10, false, false},  {33, 0, 1, true, false},
    {63, 1, 3, false, false},   {64, 1, 3, false, false},
    {65, 1, 4, false, true},    {127, 9, 11, false, false},
    {128, 9, 11, false, false}, {129, 9, 12, false, true},
    {191, 0, 9, false, false},  {192, 0, 9, false, false},
    {193, 0, 10, false, true}};

static bool row_accepts(const struct row *row, const uint8_t *bytes,
                        size_t len) {
  if (len < row->least || (row->exact && len != row->least)) return false;
  if (row->utf16 && len % 2 == 1) return false;
  if (row->name_at == 0) return true;
  size_t name_len = bytes[row->name_at];
  size_t need = row->name_at + 1 + name_len;
  if (row->type == 0) return name_len >= 1 && len >= need;
  if (row->utf16 && name_len % 2 == 1) need++;
  if (row->type == 65) need += 2; /* always a payload */
  return len >= need;
}

bool golden_rule_accepts(const uint8_t *bytes, size_t len) {
  for (size_t i = 0; len > 0 && i < sizeof rows / sizeof *rows; i++) {
    if (rows[i].type == bytes[0]) return row_accepts(&rows[i], bytes, len);
  }
  return false;
}

struct wwri_msg golden_msg(const struct golden *golden) {
  struct wwri_msg msg = {.type = (enum wwri_msg_type)golden->type};
  for (int i = 0; golden->has_id && i < 8; i++) {
    msg.id.bytes[i] = (uint8_t)(i + 1);
  }
  msg.name = wwr_view_str(golden->name);
  msg.payload.encoding = golden->encoding;
  msg.payload.data.data = (const uint8_t *)golden->payload;
  msg.payload.data.len = golden->payload_len;
  if (golden->type == 23) {
    msg.conf.major = 2;
    msg.conf.read_timeout_ms = 60000;
    msg.conf.buffer_bytes = 8192;
  }
  return msg;
}

bool msg_equal(const struct wwri_msg *a, const struct wwri_msg *b) {
  return a->type == b->type && memcmp(&a->id, &b->id, sizeof a->id) == 0 &&
         wwr_view_equal(a->name, b->name) &&
         a->payload.encoding == b->payload.encoding &&
         wwr_view_equal(a->payload.data, b->payload.data) &&
         a->conf.major == b->conf.major && a->conf.minor == b->conf.minor &&
         a->conf.read_timeout_ms == b->conf.read_timeout_ms &&
         a->conf.buffer_bytes == b->conf.buffer_bytes;
}

static bool is_zeroed(const struct wwri_msg *msg) {
  const struct wwri_msg none = {0};
  return msg_equal(msg, &none) && !msg->name.data && !msg->payload.data.data;
}

static void move_view(struct wwr_view *view, const uint8_t *from, size_t len,
                      const uint8_t *to) {
  if (!view->data) {
    CU_ASSERT_EQUAL(view->len, 0);
    return;
  }
  CU_ASSERT_TRUE(view->data >= from && view->data <= from + len);
  CU_ASSERT_TRUE(view->len <= (size_t)(from + len - view->data));
  view->data = to + (view->data - from);
}

wwr_err decode_exact(const uint8_t *bytes, size_t len, struct wwri_msg *out) {
  uint8_t *exact = malloc(len); /* malloc(0) too is a block of its own */
  if (len > 0) memcpy(exact, bytes, len);
  memset(out, 0xa5, sizeof *out);
  wwr_err err = wwri_decode((struct wwr_view){exact, len}, out);
  if (err == WWR_OK) {
    move_view(&out->name, exact, len, bytes);
    move_view(&out->payload.data, exact, len, bytes);
  } else {
    CU_ASSERT_EQUAL(err, WWR_E_PROTOCOL);
    CU_ASSERT_TRUE(is_zeroed(out));
  }
  free(exact);
  return err;
}
