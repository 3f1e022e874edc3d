#include "buf.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 64 };

void wwri_buf_init(struct wwri_buf *buf, size_t max_bytes) {
  *buf = (struct wwri_buf){.max = max_bytes};
}

void wwri_buf_deinit(struct wwri_buf *buf) {
  free(buf->data);
  wwri_buf_init(buf, buf->max);
}

/* Doubling keeps appending linear; the ceiling caps the last step. */
static size_t next_cap(const struct wwri_buf *buf, size_t need) {
  size_t cap = buf->cap ? buf->cap : FIRST_CAP;
  while (cap < need) cap = cap > buf->max / 2 ? buf->max : cap * 2;
  return cap < buf->max ? cap : buf->max;
}

static wwr_err reserve(struct wwri_buf *buf, size_t need) {
  if (need <= buf->cap) return WWR_OK;
  size_t cap = next_cap(buf, need);
  uint8_t *data = realloc(buf->data, cap);
  if (!data) return WWR_E_NOMEM;
  buf->data = data;
  buf->cap = cap;
  return WWR_OK;
}

wwr_err wwri_buf_extend(struct wwri_buf *buf, size_t len, uint8_t **out) {
  if (len > buf->max - buf->len) return WWR_E_BUFFER_OVERFLOW;
  wwr_err err = reserve(buf, buf->len + len);
  if (err != WWR_OK) return err;
  *out = buf->data + buf->len;
  buf->len += len;
  return WWR_OK;
}

wwr_err wwri_buf_append(struct wwri_buf *buf, const void *data, size_t len) {
  uint8_t *to;
  if (len == 0) return WWR_OK;
  wwr_err err = wwri_buf_extend(buf, len, &to);
  if (err == WWR_OK) memcpy(to, data, len);
  return err;
}
