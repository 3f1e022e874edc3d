/* wwr_stores.h - the stores that come with webwire on one node. */
#ifndef WWR_STORES_H
#define WWR_STORES_H

#include "wwr_log.h"
#include "wwr_sessionstore.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A store in memory: sessions end with the process. Bounded by max_sessions
 * (0: 1,000,000); over it creating fails with WWR_E_LIMIT.
 * Errors: WWR_E_NOMEM. The server that takes the store frees it. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_memorystore_new(struct wwr_sessionstore **out, size_t max_sessions);

/** One file per session, DIRECTORY/KEY.wwrsess with {"c","l","i"} as JSON,
 * written to a temporary file, synced and renamed, mode 0600. The directory is
 * created with mode 0700 if it is missing (its parents must exist).
 * `directory` NULL: "wwrsess" beside the executable. A key other than 1..128
 * characters of the URL-safe base64 alphabet is never looked for: not found; to
 * create a session with one fails with WWR_E_INVALID, and one over 1 MiB with
 * WWR_E_LIMIT. A damaged file is an error logged with its name.
 * `log` is copied; NULL for silence.
 * Errors: WWR_E_IO (can't create or write the directory; logged with the
 * reason), WWR_E_NOMEM. The server that takes the store frees it. */
WWR_API WWR_MUST_CHECK wwr_err wwr_filestore_new(struct wwr_sessionstore **out,
                                                 const char *directory,
                                                 const struct wwr_log *log);

#ifdef __cplusplus
}
#endif
#endif /* WWR_STORES_H */
