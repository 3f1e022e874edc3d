/* buf.h - a growing byte buffer that can't grow past the ceiling it was given.
 */
#ifndef WWRI_BUF_H
#define WWRI_BUF_H

#include "wwr_err.h"

struct wwri_buf {
  uint8_t *data; /* NULL until the first append */
  size_t len;
  size_t cap;
  size_t max;
};

/** Can't fail: allocates on the first append. */
void wwri_buf_init(struct wwri_buf *buf, size_t max_bytes);

/** Free the memory; the buffer is as after init with the same ceiling. */
void wwri_buf_deinit(struct wwri_buf *buf);

/** Append bytes. WWR_E_BUFFER_OVERFLOW (over the ceiling) or WWR_E_NOMEM: the
 * buffer is as before. `data` may be NULL when len is 0. */
WWR_MUST_CHECK wwr_err wwri_buf_append(struct wwri_buf *buf, const void *data,
                                       size_t len);

/** Make the buffer `len` bytes longer; *out are they, for the caller to write.
 * Errors as above. */
WWR_MUST_CHECK wwr_err wwri_buf_extend(struct wwri_buf *buf, size_t len,
                                       uint8_t **out);

/** Forget the contents, keep the memory. */
static inline void wwri_buf_clear(struct wwri_buf *buf) {
  buf->len = 0;
}

static inline struct wwr_view wwri_buf_view(const struct wwri_buf *buf) {
  struct wwr_view view = {buf->data, buf->len};
  return view;
}

#endif
