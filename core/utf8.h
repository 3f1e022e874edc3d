/* utf8.h - UTF-8 one character at a time, strict (RFC 3629): overlong forms,
 * surrogates and values over U+10FFFF are invalid. Pure. */
#ifndef WWRI_UTF8_H
#define WWRI_UTF8_H

#include "wwr_base.h"

enum {
  WWRI_UTF8_REPLACEMENT = 0xfffd,
  WWRI_UTF8_MAX = 4,   /* bytes of one character */
  WWRI_ESCAPED_MAX = 6 /* bytes of one escaped character */
};

/** Read one character from `len` >= 1 bytes; the number of bytes it takes. An
 * invalid byte counts as one and reads as U+FFFD. */
size_t wwri_utf8_read(const uint8_t *bytes, size_t len, uint32_t *character);

/** Write a character (no surrogate, at most U+10FFFF) to `out`, which holds
 * WWRI_UTF8_MAX bytes; returns the number of bytes. */
size_t wwri_utf8_write(uint32_t character, uint8_t *out);

/** Take one character off the front of `text` (not empty) and write it to
 * `out` (WWRI_ESCAPED_MAX bytes) as it may stand inside a JSON string: quotes,
 * backslashes, control characters and line separators escaped, invalid bytes
 * as U+FFFD. Returns the number of bytes written. */
size_t wwri_json_escape(struct wwr_view *text, char *out);

#endif
