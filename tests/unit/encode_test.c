/* Encoding: golden bytes, round trips of all shapes, what may not be sent. */
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "test.h"

static void goldens_encode(void) {
  for (const struct golden *golden = goldens; golden->bytes; golden++) {
    if (!golden->canonical) continue;
    struct wwri_msg msg = golden_msg(golden);
    struct wwri_frame *frame = NULL;
    CU_ASSERT_EQUAL_FATAL(wwri_encode_frame(&msg, golden->len, &frame), WWR_OK);
    struct wwr_view want = {(const uint8_t *)golden->bytes, golden->len};
    bool equal = wwr_view_equal(wwri_frame_view(frame), want);
    if (!equal) printf("differs: %s\n", golden->what);
    CU_ASSERT_TRUE(equal);
    CU_ASSERT_EQUAL(wwri_encoded_len(&msg), golden->len);
    CU_ASSERT_EQUAL(wwri_check(&msg, golden->len - 1), WWR_E_BUFFER_OVERFLOW);
    wwri_frame_unref(frame);
  }
}

static const uint8_t filler[300] = {
    'n', 'a', 'm', 'e'}; /* zeros are no name bytes: see fill_name() */

static struct wwr_view fill_name(uint8_t *name, size_t len) {
  for (size_t i = 0; i < len; i++) name[i] = (uint8_t)(' ' + i % 95);
  return (struct wwr_view){name, len};
}

/* The rules of docs/protocol.md for what a sender may send. */
static bool may_send(enum wwri_msg_type type, size_t name_len,
                     size_t payload_len) {
  bool reply = type >= WWRI_REPLY_BINARY;
  bool something = name_len > 0 || payload_len > 0;
  if (type == WWRI_SIGNAL_UTF16) something = payload_len > 0;
  bool utf16 = type == WWRI_SIGNAL_UTF16 || type == WWRI_REQUEST_UTF16 ||
               type == WWRI_REPLY_UTF16;
  return (reply || something) && !(utf16 && payload_len % 2 == 1);
}

static void round_trip(const struct wwri_msg *msg) {
  size_t len = wwri_encoded_len(msg);
  uint8_t *bytes = malloc(len); /* exact: encode must write just that much */
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  wwri_encode(msg, bytes);
  struct wwri_msg got;
  CU_ASSERT_EQUAL(decode_exact(bytes, len, &got), WWR_OK);
  CU_ASSERT_TRUE(msg_equal(msg, &got));
  bool utf16 = got.payload.encoding == WWR_UTF16;
  CU_ASSERT_TRUE(!utf16 || (got.payload.data.data - bytes) % 2 == 0);
  free(bytes);
}

static void try_shape(enum wwri_msg_type type, enum wwr_encoding encoding,
                      size_t name_len, size_t payload_len) {
  uint8_t name[256];
  bool reply = type >= WWRI_REPLY_BINARY;
  struct wwri_msg msg = {.type = type, .payload.encoding = encoding};
  if (!reply) msg.name = fill_name(name, name_len);
  if (type >= WWRI_REQUEST_BINARY) memcpy(msg.id.bytes, "\xff\0\1abcde", 8);
  msg.payload.data = (struct wwr_view){filler, payload_len};
  wwr_err want =
      may_send(type, msg.name.len, payload_len) ? WWR_OK : WWR_E_PROTOCOL;
  CU_ASSERT_EQUAL(wwri_check(&msg, SIZE_MAX), want);
  if (want == WWR_OK) round_trip(&msg);
}

static void shapes_round_trip(void) {
  static const size_t name_lens[] = {0, 1, 2, 3, 254, 255};
  static const size_t payload_lens[] = {0, 1, 2, 3, 4, 255, 256};
  for (int e = WWR_BINARY; e <= WWR_UTF16; e++) {
    enum wwr_encoding encoding = (enum wwr_encoding)e;
    for (size_t n = 0; n < sizeof name_lens / sizeof *name_lens; n++) {
      for (size_t p = 0; p < sizeof payload_lens / sizeof *payload_lens; p++) {
        try_shape(wwri_signal_type(encoding), encoding, name_lens[n],
                  payload_lens[p]);
        try_shape(wwri_request_type(encoding), encoding, name_lens[n],
                  payload_lens[p]);
        try_shape(wwri_reply_type(encoding), encoding, 0, payload_lens[p]);
      }
    }
  }
}

static struct wwri_msg of_name(enum wwri_msg_type type, const void *name,
                               size_t len) {
  return (struct wwri_msg){
      .type = type, .name = {name, len}, .payload = {WWR_UTF8, {filler, 2}}};
}

static const enum wwri_msg_type named_types[] = {
    WWRI_REPLY_ERROR,  WWRI_SIGNAL_BINARY,  WWRI_SIGNAL_UTF8,
    WWRI_SIGNAL_UTF16, WWRI_REQUEST_BINARY, WWRI_REQUEST_UTF8,
    WWRI_REQUEST_UTF16};

static void names_and_codes_are_printable(void) {
  for (size_t t = 0; t < sizeof named_types / sizeof *named_types; t++) {
    for (unsigned byte = 0; byte < 256; byte++) {
      uint8_t name[3] = {'a', (uint8_t)byte, 'b'};
      struct wwri_msg msg = of_name(named_types[t], name, sizeof name);
      bool printable = byte >= 32 && byte <= 126;
      CU_ASSERT_EQUAL(wwri_check(&msg, SIZE_MAX),
                      printable ? WWR_OK : WWR_E_PROTOCOL);
      CU_ASSERT_EQUAL(wwri_is_printable(msg.name), printable);
    }
  }
}

static void names_and_codes_have_255_bytes_at_most(void) {
  uint8_t name[256];
  fill_name(name, sizeof name);
  for (size_t t = 0; t < sizeof named_types / sizeof *named_types; t++) {
    struct wwri_msg most = of_name(named_types[t], name, 255);
    struct wwri_msg over = of_name(named_types[t], name, 256);
    CU_ASSERT_EQUAL(wwri_check(&most, SIZE_MAX), WWR_OK);
    CU_ASSERT_EQUAL(wwri_check(&over, SIZE_MAX), WWR_E_PROTOCOL);
    CU_ASSERT_EQUAL(wwri_check(&over, 1), WWR_E_PROTOCOL);
  }
  struct wwri_msg no_code = of_name(WWRI_REPLY_ERROR, name, 0);
  CU_ASSERT_EQUAL(wwri_check(&no_code, SIZE_MAX), WWR_E_PROTOCOL);
}

static bool is_known(unsigned type) {
  switch (type) {
#define X(NAME, byte) case byte:
    WWRI_MSG_MAP(X)
#undef X
    return true;
    default:
      return false;
  }
}

static void what_peers_cant_parse_is_not_sent(void) {
  struct wwri_msg created = {.type = WWRI_NOTIFY_SESSION_CREATED};
  struct wwri_msg restore = {.type = WWRI_REQUEST_RESTORE_SESSION};
  CU_ASSERT_EQUAL(wwri_check(&created, SIZE_MAX), WWR_E_PROTOCOL);
  CU_ASSERT_EQUAL(wwri_check(&restore, SIZE_MAX), WWR_E_PROTOCOL);
  for (unsigned type = 0; type < 256; type++) {
    struct wwri_msg msg = {.type = (enum wwri_msg_type)type,
                           .name = {filler, 2},
                           .payload = {WWR_UTF8, {filler, 2}}};
    CU_ASSERT_EQUAL(wwri_check(&msg, SIZE_MAX),
                    is_known(type) ? WWR_OK : WWR_E_PROTOCOL);
  }
}

/* A sub-protocol and a key are not names: other bytes may be in them. */
static void keys_and_sub_protocols_are_any_bytes(void) {
  struct wwri_msg key = of_name(WWRI_REQUEST_RESTORE_SESSION, filler, 300);
  struct wwri_msg conf = of_name(WWRI_ACCEPT_CONF, filler, 300);
  key.payload = conf.payload = (struct wwr_payload){0};
  CU_ASSERT_EQUAL(wwri_check(&key, SIZE_MAX), WWR_OK);
  CU_ASSERT_EQUAL(wwri_check(&conf, SIZE_MAX), WWR_OK);
  round_trip(&key);
  round_trip(&conf);
}

static void conf_numbers_are_little_endian(void) {
  struct wwri_msg conf = {.type = WWRI_ACCEPT_CONF,
                          .conf = {2, 7, 0x01020304, 0xfffefdfc}};
  uint8_t bytes[11];
  wwri_encode(&conf, bytes);
  CU_ASSERT_EQUAL(memcmp(bytes, "\x17\2\7\4\3\2\1\xfc\xfd\xfe\xff", 11), 0);
  round_trip(&conf);
}

static void frames_need_memory(void) {
  struct wwri_msg beat = {.type = WWRI_HEARTBEAT};
  struct wwri_frame *frame = (struct wwri_frame *)&beat;
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwri_encode_frame(&beat, 32, &frame), WWR_E_NOMEM);
  CU_ASSERT_TRUE(test_alloc_failed());
  CU_ASSERT_PTR_NULL(frame);
  CU_ASSERT_EQUAL(wwri_encode_frame(&beat, 0, &frame), WWR_E_BUFFER_OVERFLOW);
  CU_ASSERT_PTR_NULL(frame);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"goldens encode", goldens_encode},
      {"shapes round trip", shapes_round_trip},
      {"names and codes are printable", names_and_codes_are_printable},
      {"names and codes have 255 bytes at most",
       names_and_codes_have_255_bytes_at_most},
      {"what peers can't parse is not sent", what_peers_cant_parse_is_not_sent},
      {"keys and sub-protocols are any bytes",
       keys_and_sub_protocols_are_any_bytes},
      {"conf numbers are little-endian", conf_numbers_are_little_endian},
      {"frames need memory", frames_need_memory},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"encode", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
