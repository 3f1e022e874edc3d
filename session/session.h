/* session.h - the session object's JSON (docs/protocol.md, "Sessions") and RFC
 * 3339 times. Only this folder knows the JSON library's types for it. */
#ifndef WWRI_SESSION_H
#define WWRI_SESSION_H

#include "wwr_session.h"

/** {"k":…,"c":…,"l":…,"i":…} as compact JSON; without "k" when with_key is
 * false (the file store's form); "i" only when there is info. Bytes of the key
 * that are not UTF-8 print as U+FFFD. *out is NUL-terminated, freed with
 * free(); *len without the NUL.
 * Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_session_encode(const struct wwr_session *session,
                                           bool with_key, char **out,
                                           size_t *len);

/** What never changes of it: neither "k" nor "l". Otherwise the same. */
WWR_MUST_CHECK wwr_err wwri_session_encode_fixed(
    const struct wwr_session *session, char **out, size_t *len);

/** Parse any of these forms. `key` overrides "k" unless its data is NULL. Times
 * with any zone are accepted; a missing "l" takes "c". "i" keeps its text,
 * white space between tokens aside; null or an empty object is no info. Errors:
 * WWR_E_INVALID (not such an object), WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_session_decode(struct wwr_view json,
                                           struct wwr_view key,
                                           struct wwr_session **out);

/** The same session with another time of last look-up. */
WWR_MUST_CHECK wwr_err wwri_session_looked_up(const struct wwr_session *session,
                                              int64_t now_ns,
                                              struct wwr_session **out);

enum { WWRI_RFC3339_MAX = 40 };

/** Format Unix nanoseconds as RFC 3339 UTC, as few fraction digits as needed,
 * "2026-11-22T09:00:00.5Z". `out` holds WWRI_RFC3339_MAX bytes. */
void wwri_rfc3339_format(int64_t unix_ns, char *out);

/** Parse RFC 3339 with 0 to 9 fraction digits (more are cut) and a zone.
 * False when it is none, a leap second, or outside the years that int64
 * nanoseconds hold. */
bool wwri_rfc3339_parse(struct wwr_view text, int64_t *unix_ns);

/** Unix time now in nanoseconds. */
int64_t wwri_unix_now_ns(void);

#endif
