/* text.h - what the admin listener reads and writes besides JSON: addresses,
 * percent-encoding, base64, UTF-16, tokens. Pure. */
#ifndef WWRI_ADMIN_TEXT_H
#define WWRI_ADMIN_TEXT_H

#include <webwire/wwr_base.h>

/** Decode %XX in place, `*len` bytes; a NUL is put behind them. False when a
 * '%' is not followed by two hexadecimal digits or stands for a NUL. */
bool wwri_percent_decode(char *text, size_t *len);

/** The length of base64 of `len` bytes, without a NUL. */
size_t wwri_base64_len(size_t len);

/** Encode with padding; `out` has room for wwri_base64_len() and a NUL. */
void wwri_base64_encode(struct wwr_view bytes, char *out);

/** Decode standard base64 with its padding into `out`, which has room for
 * text.len / 4 * 3. False when it is none: also with line ends, and with bits
 * set that no encoder sets. */
bool wwri_base64_decode(struct wwr_view text, uint8_t *out, size_t *len);

/** UTF-16, little-endian, of valid UTF-8; `out` has room for 2 * text.len.
 * Returns its length in bytes. */
size_t wwri_utf16_encode(struct wwr_view text, uint8_t *out);

/** True when a token may be one: 1 to `max` printable ASCII characters without
 * spaces. */
bool wwri_token_ok(const char *token, size_t max);

/** Whether an Authorization header's value carries this token. Takes as long
 * for a wrong one as for the right one. */
bool wwri_token_matches(const char *authorization, const char *token);

/** Split "HOST:PORT", "[ADDRESS]:PORT" or ":PORT"; `host` has room for `cap`.
 * False when it is neither, or the port is over 65535. */
bool wwri_split_address(const char *text, char *host, size_t cap, char port[6]);

/** A decimal number without sign or spaces, from `min` to `max`. */
bool wwri_parse_number(const char *text, uint64_t min, uint64_t max,
                       uint64_t *out);

#endif
