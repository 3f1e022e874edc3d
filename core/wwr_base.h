/* wwr_base.h - what every public header of webwire builds on: linkage,
 * attributes, byte views and freeing what the library allocated.
 *
 * Naming: wwr_ is public and stable, wwri_ is internal to the library. */
#ifndef WWR_BASE_H
#define WWR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define WWR_API        __attribute__((visibility("default")))
#define WWR_MUST_CHECK __attribute__((warn_unused_result))
#define WWR_SENTINEL   __attribute__((sentinel))
#else
#define WWR_API
#define WWR_MUST_CHECK
#define WWR_SENTINEL
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Borrowed bytes: a pointer and a length, never NUL-terminated by contract.
 * `data` may be NULL when `len` is 0. Whoever hands out a view says how long
 * the bytes stay valid; unless said otherwise that is until the call or the
 * callback returns. */
struct wwr_view {
  const uint8_t *data;
  size_t len;
};

/** View the bytes of a C string without its NUL; NULL gives an empty view.
 * The view borrows `text`. Any thread. */
WWR_API struct wwr_view wwr_view_str(const char *text);

/** True when both views hold the same bytes. Any thread. */
WWR_API bool wwr_view_equal(struct wwr_view a, struct wwr_view b);

/** Free memory that the library allocated and handed to the caller ("free with
 * wwr_free()" in the documentation). NULL does nothing. Any thread. */
WWR_API void wwr_free(void *memory);

/** The library's version, for example "0.1.0". Static, never freed. */
WWR_API const char *wwr_version(void);

#ifdef __cplusplus
}
#endif
#endif /* WWR_BASE_H */
