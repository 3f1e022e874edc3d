/* envelope.h - what nodes write into each other's logs: one message of a
 * channel with its name, payload and time. Pure; decode allocates nothing.
 *
 * Bytes: version (1), flags (1; bits 0-1 the payload's encoding, bit 2 "no
 * client sees it", bit 3 "has a sender", others 0), time (8, milliseconds since
 * 1970), length of the name (1), with bit 3 the sender's process (8) and
 * connection (8), name, payload (the rest). Numbers are little-endian. A reader
 * accepts its own version only: a layout change needs a release that reads
 * both. */
#ifndef WWRI_ENVELOPE_H
#define WWRI_ENVELOPE_H

#include "buf.h"
#include "wwr_payload.h"

enum {
  WWRI_ENVELOPE_VERSION = 1,
  WWRI_ENVELOPE_HEAD = 11,   /* bytes before sender and name */
  WWRI_ENVELOPE_SENDER = 16, /* bytes of the sender, if there is one */
  WWRI_CHANNEL_MAX = 200     /* bytes of a channel's name */
};

/** Who must not get a message, because it sent it: a connection of a process.
 * All zero: everybody gets it. */
struct wwri_sender {
  uint64_t process; /* random */
  uint64_t conn;
};

struct wwri_envelope {
  bool internal; /* between nodes: control, notices */
  struct wwri_sender sender;
  uint64_t time_ms;     /* when it was published */
  struct wwr_view name; /* 0..255 bytes */
  struct wwr_payload payload;
};

/** Exact length of the encoded envelope. */
size_t wwri_envelope_len(const struct wwri_envelope *envelope);

/** Append the envelope. Errors: WWR_E_INVALID (name over 255 bytes, encoding
 * unknown), WWR_E_BUFFER_OVERFLOW, WWR_E_NOMEM: the buffer is as before. */
WWR_MUST_CHECK wwr_err wwri_envelope_encode(
    const struct wwri_envelope *envelope, struct wwri_buf *out);

/** Read a whole envelope; views point into `bytes`. WWR_E_PROTOCOL: another
 * version, unknown flags, cut short, a sender of zeros, or UTF-16 of odd
 * length; *out is zeroed. */
WWR_MUST_CHECK wwr_err wwri_envelope_decode(struct wwr_view bytes,
                                            struct wwri_envelope *out);

/** True for a channel's name: 1..200 bytes of printable ASCII that do not
 * begin with '!' (those are ours: control channels). */
bool wwri_channel_name_ok(struct wwr_view name);

#endif
