/* resp.h - the wire format of Redis (RESP2): commands are written here; replies
 * are measured here before the parser sees them.
 *
 * Pure. A reply is handed to hiredis only when it is complete, well-formed and
 * within these limits: hiredis believes any length that a header announces. */
#ifndef WWRI_RESP_H
#define WWRI_RESP_H

#include "buf.h"

enum {
  WWRI_RESP_MAX_BYTES = 16 << 20,   /* one reply, all of it */
  WWRI_RESP_MAX_ELEMENTS = 1 << 17, /* of all arrays of one reply together */
  WWRI_RESP_MAX_DEPTH = 7,          /* arrays in arrays; hiredis has the same */
  WWRI_RESP_MAX_LINE = 64 << 10     /* a status or an error */
};

/** Where measuring one reply stands. Zeroed: nothing seen yet. */
struct wwri_resp_scan {
  size_t pos;    /* bytes judged; the reply's length once it is done */
  size_t looked; /* of a line that is not complete: searched up to here */
  size_t bulk;   /* bytes of the bulk string that is under way, CRLF included */
  bool in_bulk;
  unsigned depth;
  uint32_t left[WWRI_RESP_MAX_DEPTH]; /* elements to come, per open array */
  uint32_t elements;
};

enum wwri_resp_result {
  WWRI_RESP_MORE, /**< Well-formed so far: call again with more bytes. */
  WWRI_RESP_DONE, /**< scan->pos is the length of the first reply. */
  WWRI_RESP_BAD   /**< No reply, or one over the limits; *why says so. */
};

/** Go on with one reply. `bytes` begins at the reply's first byte in every
 * call and only grows. Linear over all calls together. *why is static text,
 * set for WWRI_RESP_BAD only. */
enum wwri_resp_result wwri_resp_scan(struct wwri_resp_scan *scan,
                                     struct wwr_view bytes, const char **why);

/** Begin a command of `argc` arguments, its name included. On error (as
 * wwri_buf_append()) the caller cuts the buffer back to where it began. */
WWR_MUST_CHECK wwr_err wwri_resp_begin(struct wwri_buf *out, size_t argc);

/** Append the next argument; errors as above. */
WWR_MUST_CHECK wwr_err wwri_resp_arg(struct wwri_buf *out, struct wwr_view arg);

/** A whole command; on error the buffer is as before. */
WWR_MUST_CHECK wwr_err wwri_resp_command(struct wwri_buf *out,
                                         const struct wwr_view *argv,
                                         size_t argc);

#endif
