/* What nodes write into each other's logs. */
#include <string.h>

#include "envelope.h"
#include "test.h"

static const struct wwri_envelope sample = {
    .time_ms = 0x1122334455667788u,
    .name = {(const uint8_t *)"name", 4},
    .payload = {WWR_UTF8, {(const uint8_t *)"hello", 5}}};

static void bytes_are_as_documented(void) {
  static const uint8_t golden[] =
      "\x01\x01\x88\x77\x66\x55\x44\x33\x22\x11"
      "\x04namehello";
  struct wwri_buf buf;
  wwri_buf_init(&buf, 100);
  CU_ASSERT_EQUAL(wwri_envelope_encode(&sample, &buf), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(buf.len, sizeof golden - 1);
  CU_ASSERT_EQUAL(buf.len, wwri_envelope_len(&sample));
  CU_ASSERT_EQUAL(memcmp(buf.data, golden, buf.len), 0);
  wwri_buf_deinit(&buf);
}

static void what_was_written_is_read(void) {
  for (int encoding = WWR_BINARY; encoding <= WWR_UTF16; encoding++) {
    struct wwri_envelope in = sample, out;
    in.payload.encoding = (enum wwr_encoding)encoding;
    in.payload.data.len = 4;
    in.internal = encoding == WWR_UTF8;
    struct wwri_buf buf;
    wwri_buf_init(&buf, 100);
    CU_ASSERT_EQUAL_FATAL(wwri_envelope_encode(&in, &buf), WWR_OK);
    CU_ASSERT_EQUAL(wwri_envelope_decode(wwri_buf_view(&buf), &out), WWR_OK);
    CU_ASSERT_EQUAL(out.time_ms, in.time_ms);
    CU_ASSERT_EQUAL(out.internal, in.internal);
    CU_ASSERT_EQUAL(out.payload.encoding, in.payload.encoding);
    CU_ASSERT_TRUE(wwr_view_equal(out.name, in.name));
    CU_ASSERT_TRUE(wwr_view_equal(out.payload.data, in.payload.data));
    wwri_buf_deinit(&buf);
  }
}

static void senders_are_carried(void) {
  static const uint8_t golden[] =
      "\x01\x09\x88\x77\x66\x55\x44\x33\x22\x11\x04"
      "\x08\x07\x06\x05\x04\x03\x02\x01\x02\x00\x00\x00\x00\x00\x00\x00"
      "namehello";
  struct wwri_envelope in = sample, out;
  struct wwri_buf buf;
  wwri_buf_init(&buf, 100);
  in.sender = (struct wwri_sender){0x0102030405060708u, 2};
  CU_ASSERT_EQUAL(wwri_envelope_encode(&in, &buf), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(buf.len, sizeof golden - 1);
  CU_ASSERT_EQUAL(buf.len, wwri_envelope_len(&in));
  CU_ASSERT_EQUAL(memcmp(buf.data, golden, buf.len), 0);
  CU_ASSERT_EQUAL(wwri_envelope_decode(wwri_buf_view(&buf), &out), WWR_OK);
  CU_ASSERT_EQUAL(out.sender.process, in.sender.process);
  CU_ASSERT_EQUAL(out.sender.conn, in.sender.conn);
  CU_ASSERT_TRUE(wwr_view_equal(out.payload.data, in.payload.data));
  for (size_t len = 0; len < 31; len++) { /* head, sender, name */
    struct wwr_view cut = {buf.data, len};
    CU_ASSERT_EQUAL(wwri_envelope_decode(cut, &out), WWR_E_PROTOCOL);
    CU_ASSERT_EQUAL(out.sender.process, 0);
  }
  memset(buf.data + WWRI_ENVELOPE_HEAD, 0, WWRI_ENVELOPE_SENDER);
  CU_ASSERT_EQUAL(wwri_envelope_decode(wwri_buf_view(&buf), &out),
                  WWR_E_PROTOCOL);
  wwri_buf_deinit(&buf);
}

static void every_shorter_envelope_is_read_or_refused(void) {
  struct wwri_buf buf;
  wwri_buf_init(&buf, 100);
  CU_ASSERT_EQUAL_FATAL(wwri_envelope_encode(&sample, &buf), WWR_OK);
  for (size_t len = 0; len <= buf.len; len++) {
    struct wwri_envelope out;
    struct wwr_view cut = {buf.data, len};
    wwr_err err = wwri_envelope_decode(cut, &out);
    CU_ASSERT_EQUAL(err, len < 15 ? WWR_E_PROTOCOL : WWR_OK);
    CU_ASSERT_EQUAL(out.payload.data.len, len < 15 ? 0 : len - 15);
  }
  wwri_buf_deinit(&buf);
}

static void what_is_not_understood_is_refused(void) {
  static const struct {
    uint8_t version, flags;
  } heads[] = {{0, 0}, {2, 0},  {255, 0}, {1, 3},
               {1, 8}, {1, 16}, {1, 7},   {1, 128}};
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    uint8_t bytes[WWRI_ENVELOPE_HEAD] = {heads[i].version, heads[i].flags};
    struct wwri_envelope out;
    CU_ASSERT_EQUAL(
        wwri_envelope_decode((struct wwr_view){bytes, sizeof bytes}, &out),
        WWR_E_PROTOCOL);
  }
}

static void bad_envelopes_are_not_written(void) {
  struct wwri_envelope bad = sample;
  struct wwri_buf buf;
  uint8_t name[256] = {0};
  wwri_buf_init(&buf, 400);
  bad.name = (struct wwr_view){name, sizeof name};
  CU_ASSERT_EQUAL(wwri_envelope_encode(&bad, &buf), WWR_E_INVALID);
  bad = sample;
  bad.payload.encoding = WWR_UTF16; /* five bytes */
  CU_ASSERT_EQUAL(wwri_envelope_encode(&bad, &buf), WWR_E_INVALID);
  bad.payload.encoding = (enum wwr_encoding)3;
  CU_ASSERT_EQUAL(wwri_envelope_encode(&bad, &buf), WWR_E_INVALID);
  CU_ASSERT_EQUAL(buf.len, 0);
  wwri_buf_deinit(&buf);
}

static void a_full_buffer_stays_as_it_was(void) {
  struct wwri_buf buf;
  wwri_buf_init(&buf, 19);
  CU_ASSERT_EQUAL(wwri_buf_append(&buf, "x", 1), WWR_OK);
  CU_ASSERT_EQUAL(wwri_envelope_encode(&sample, &buf), WWR_E_BUFFER_OVERFLOW);
  CU_ASSERT_EQUAL(buf.len, 1);
  wwri_buf_deinit(&buf);
}

static void memory_may_be_short(void) {
  for (long n = 0;; n++) {
    struct wwri_buf buf;
    wwri_buf_init(&buf, 100);
    test_alloc_fail_at(n);
    wwr_err err = wwri_envelope_encode(&sample, &buf);
    bool failed = test_alloc_failed();
    CU_ASSERT_EQUAL(err, failed ? WWR_E_NOMEM : WWR_OK);
    if (failed) CU_ASSERT_EQUAL(buf.len, 0);
    wwri_buf_deinit(&buf);
    if (!failed) break;
  }
}

static void names_of_channels(void) {
  char text[202];
  memset(text, 'a', sizeof text);
  struct wwr_view longest = {(const uint8_t *)text, 200};
  struct wwr_view longer = {(const uint8_t *)text, 201};
  CU_ASSERT_TRUE(wwri_channel_name_ok(longest));
  CU_ASSERT_TRUE(wwri_channel_name_ok(wwr_view_str("a b~")));
  CU_ASSERT_FALSE(wwri_channel_name_ok(longer));
  CU_ASSERT_FALSE(wwri_channel_name_ok(wwr_view_str("")));
  CU_ASSERT_FALSE(wwri_channel_name_ok(wwr_view_str("!ctl")));
  CU_ASSERT_FALSE(wwri_channel_name_ok(wwr_view_str("a\n")));
  CU_ASSERT_FALSE(wwri_channel_name_ok(wwr_view_str("\x7f")));
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"bytes_are_as_documented", bytes_are_as_documented},
      {"what_was_written_is_read", what_was_written_is_read},
      {"senders_are_carried", senders_are_carried},
      {"every_shorter_envelope_is_read_or_refused",
       every_shorter_envelope_is_read_or_refused},
      {"what_is_not_understood_is_refused", what_is_not_understood_is_refused},
      {"bad_envelopes_are_not_written", bad_envelopes_are_not_written},
      {"a_full_buffer_stays_as_it_was", a_full_buffer_stays_as_it_was},
      {"memory_may_be_short", memory_may_be_short},
      {"names_of_channels", names_of_channels},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"envelope", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
