#include "frame.h"

#include <assert.h>
#include <stdlib.h>

/* RFC 6455, section 5.2: final, binary, unmasked, and the shortest of the
 * three length forms. */
enum { FIN_BINARY = 0x82, LEN_16 = 126, LEN_64 = 127 };

static uint8_t header_len_of(size_t len) {
  if (len < LEN_16) return 2;
  return len <= UINT16_MAX ? 4 : 10;
}

static void write_big_endian(uint8_t *out, size_t bytes, uint64_t value) {
  for (size_t i = bytes; i-- > 0; value >>= 8) out[i] = (uint8_t)value;
}

static void write_header(struct wwri_frame *frame) {
  uint8_t *wire = frame->wire;
  wire[0] = FIN_BINARY;
  if (frame->header_len == 2) {
    wire[1] = (uint8_t)frame->message_len;
  } else {
    wire[1] = frame->header_len == 4 ? LEN_16 : LEN_64;
    write_big_endian(wire + 2, frame->header_len - 2u, frame->message_len);
  }
}

struct wwri_frame *wwri_frame_new(size_t len) {
  if (len > UINT32_MAX) return NULL;
  uint8_t header_len = header_len_of(len);
  struct wwri_frame *frame = malloc(sizeof *frame + header_len + len);
  if (!frame) return NULL;
  atomic_init(&frame->refs, 1);
  frame->message_len = (uint32_t)len;
  frame->header_len = header_len;
  write_header(frame);
  return frame;
}

void wwri_frame_ref_n(struct wwri_frame *frame, unsigned n) {
  atomic_fetch_add_explicit(&frame->refs, n, memory_order_relaxed);
}

void wwri_frame_unref(struct wwri_frame *frame) {
  if (!frame) return;
  /* Nobody can add to the only reference: no locked instruction is needed. */
  unsigned before = atomic_load_explicit(&frame->refs, memory_order_acquire);
  if (before != 1) {
    before = atomic_fetch_sub_explicit(&frame->refs, 1, memory_order_acq_rel);
  }
  assert(before > 0);
  if (before == 1) free(frame);
}
