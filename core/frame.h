/* frame.h - one outgoing message, encoded once and shared by everyone it goes
 * to: immutable after it was filled, counted by atomic references.
 *
 * The WebSocket header of an unmasked binary server frame stands directly
 * before the message, so that a broadcast to any number of connections is
 * framed once and written straight from here (docs/architecture.md). Transports
 * that frame otherwise use only the message. */
#ifndef WWRI_FRAME_H
#define WWRI_FRAME_H

#include <stdatomic.h>

#include "wwr_err.h"

struct wwri_frame {
  atomic_uint refs;
  uint32_t message_len;
  uint8_t header_len; /* 2, 4 or 10 */
  uint8_t wire[];     /* header, then message */
};

/** A frame for a message of `len` bytes, header written, message to be filled
 * by the caller before it shares the frame. One reference. NULL: no memory, or
 * len over UINT32_MAX. */
struct wwri_frame *wwri_frame_new(size_t len);

/** Add `n` references (any thread that holds one). */
void wwri_frame_ref_n(struct wwri_frame *frame, unsigned n);

static inline struct wwri_frame *wwri_frame_ref(struct wwri_frame *frame) {
  wwri_frame_ref_n(frame, 1);
  return frame;
}

/** Drop one reference; the last one frees. NULL does nothing. Any thread. */
void wwri_frame_unref(struct wwri_frame *frame);

static inline uint8_t *wwri_frame_message(struct wwri_frame *frame) {
  return frame->wire + frame->header_len;
}

static inline struct wwr_view wwri_frame_view(const struct wwri_frame *frame) {
  struct wwr_view view = {frame->wire + frame->header_len, frame->message_len};
  return view;
}

/** Bytes on the wire, header included. */
static inline size_t wwri_frame_wire_len(const struct wwri_frame *frame) {
  return (size_t)frame->header_len + frame->message_len;
}

#endif
