/* What the decoder accepts lies inside its input, and when it may be sent it
 * encodes to bytes that decode to the same message. */
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "fuzz.h"
#include "utf8.h"

static void is_inside(struct wwr_view view, const uint8_t *data, size_t size) {
  if (!view.data) {
    fuzz_check(view.len == 0);
    return;
  }
  fuzz_check(view.data >= data && view.data <= data + size);
  fuzz_check(view.len <= (size_t)(data + size - view.data));
}

static bool same(const struct wwri_msg *a, const struct wwri_msg *b) {
  return a->type == b->type && memcmp(&a->id, &b->id, sizeof a->id) == 0 &&
         wwr_view_equal(a->name, b->name) &&
         a->payload.encoding == b->payload.encoding &&
         wwr_view_equal(a->payload.data, b->payload.data) &&
         a->conf.major == b->conf.major && a->conf.minor == b->conf.minor &&
         a->conf.read_timeout_ms == b->conf.read_timeout_ms &&
         a->conf.buffer_bytes == b->conf.buffer_bytes;
}

/* Types 1 to 5 may carry bytes that mean nothing and are not sent again. */
static size_t canonical_len(const struct wwri_msg *msg, size_t size) {
  bool bare = msg->type >= WWRI_REPLY_SHUTDOWN &&
              msg->type <= WWRI_REPLY_SESSIONS_DISABLED;
  return bare ? 1 + WWRI_ID_LEN : size;
}

static void reencodes(const struct wwri_msg *msg, size_t size) {
  size_t len = wwri_encoded_len(msg);
  fuzz_check(len == canonical_len(msg, size));
  uint8_t *bytes = malloc(len);
  fuzz_check(bytes);
  wwri_encode(msg, bytes);
  struct wwri_msg again;
  fuzz_check(wwri_decode((struct wwr_view){bytes, len}, &again) == WWR_OK);
  fuzz_check(same(msg, &again));
  free(bytes);
}

/* Only the characters of names and codes can be wrong with what was decoded. */
static void checks(const struct wwri_msg *msg, size_t size) {
  wwr_err err = wwri_check(msg, size);
  fuzz_check(err == WWR_OK || !wwri_is_printable(msg->name));
  if (err != WWR_OK) return;
  struct wwri_frame *frame = NULL;
  fuzz_check(wwri_encode_frame(msg, size, &frame) == WWR_OK);
  struct wwri_msg again;
  fuzz_check(wwri_decode(wwri_frame_view(frame), &again) == WWR_OK);
  fuzz_check(same(msg, &again));
  wwri_frame_unref(frame);
}

static void converts(const struct wwr_payload *payload) {
  char *text = NULL;
  size_t len = 0;
  fuzz_check(wwr_payload_to_utf8(payload, &text, &len) == WWR_OK);
  for (size_t at = 0; at < len;) {
    uint32_t character;
    size_t taken =
        wwri_utf8_read((const uint8_t *)text + at, len - at, &character);
    fuzz_check(character != WWRI_UTF8_REPLACEMENT || taken == 3);
    at += taken;
  }
  wwr_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct wwri_msg msg;
  wwr_err err = wwri_decode((struct wwr_view){data, size}, &msg);
  if (err != WWR_OK) {
    fuzz_check(err == WWR_E_PROTOCOL);
    return 0;
  }
  is_inside(msg.name, data, size);
  is_inside(msg.payload.data, data, size);
  reencodes(&msg, size);
  checks(&msg, size);
  converts(&msg.payload);
  return 0;
}
