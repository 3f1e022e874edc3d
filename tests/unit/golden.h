/* golden.h - messages written byte by byte from the tables of docs/protocol.md,
 * and the table's rules once more in another form than the decoder's. */
#ifndef WWR_TEST_GOLDEN_H
#define WWR_TEST_GOLDEN_H

#include "codec.h"

struct golden {
  const char *what;
  const char *bytes; /* NULL ends the table */
  size_t len;
  bool canonical; /* what we would send ourselves */
  unsigned type;
  bool has_id; /* 1 to 8 */
  const char *name;
  enum wwr_encoding encoding;
  const char *payload;
  size_t payload_len;
};

extern const struct golden goldens[];

/** What the table of docs/protocol.md says about a message's length. */
bool golden_rule_accepts(const uint8_t *bytes, size_t len);

/** The message a golden stands for; its views point into the table. */
struct wwri_msg golden_msg(const struct golden *golden);

bool msg_equal(const struct wwri_msg *a, const struct wwri_msg *b);

/** Decode a copy of exactly that size, so that ASan sees one byte too many.
 * Checks that a refusal zeroes `out`, and that an accepted message's views lie
 * inside. The views are moved to `bytes`. */
wwr_err decode_exact(const uint8_t *bytes, size_t len, struct wwri_msg *out);

#endif
