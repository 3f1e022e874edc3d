/* wwr_session.h - the session object (docs/protocol.md, "Sessions"): immutable,
 * reference-counted, so any thread may read it while it holds a reference. */
#ifndef WWR_SESSION_H
#define WWR_SESSION_H

#include "wwr_err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wwr_session; /* opaque */

/** Make a session with one reference. Copies everything.
 * `key`: not empty, no NUL in it. `created_ns`, `last_lookup_ns`: Unix time in
 * nanoseconds, UTC. `info_json`: a JSON object as UTF-8 text, or NULL for none.
 * An object without members is no info.
 * Errors: WWR_E_INVALID (such a key, info that is no JSON object),
 * WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err wwr_session_new(struct wwr_session **out,
                                               struct wwr_view key,
                                               int64_t created_ns,
                                               int64_t last_lookup_ns,
                                               const char *info_json);

/** Add a reference; returns `session`. Any thread that holds one. */
WWR_API struct wwr_session *wwr_session_ref(struct wwr_session *session);

/** Drop a reference, the last one frees. NULL does nothing. Any thread. */
WWR_API void wwr_session_unref(struct wwr_session *session);

/** NUL-terminated; lives as long as the session. */
WWR_API const char *wwr_session_key(const struct wwr_session *session);
WWR_API int64_t wwr_session_created(const struct wwr_session *session);
WWR_API int64_t wwr_session_last_lookup(const struct wwr_session *session);

/** The info as compact JSON object text, or NULL; lives as long as the
 * session. */
WWR_API const char *wwr_session_info(const struct wwr_session *session);

/** One info field by name, as JSON text to free with wwr_free(); the last one
 * when the name occurs twice. Any thread. Errors: WWR_E_INVALID (no such field;
 * *out is NULL), WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err wwr_session_field(
    const struct wwr_session *session, const char *name, char **out);

/** One info field that is a JSON string, decoded, to free with wwr_free().
 * Errors: WWR_E_INVALID (no such field, no string, or one that holds a NUL),
 * WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err wwr_session_field_text(
    const struct wwr_session *session, const char *name, char **out);

#ifdef __cplusplus
}
#endif
#endif /* WWR_SESSION_H */
