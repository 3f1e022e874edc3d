/* wwr_redisstore.h - sessions in Redis, with authority over all nodes. */
#ifndef WWR_REDISSTORE_H
#define WWR_REDISSTORE_H

#include "wwr_cluster.h"
#include "wwr_sessionstore.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A store on a cluster, which must outlive it, and whose bus must be given to
 * the same server. With several Redis each has the sessions whose keys are its
 * own: what one can't answer now does not hold up the others. Call it before
 * the server starts; the server that takes the store frees it. Keys are kept
 * hashed. A key other than 1..128 characters of the URL-safe base64 alphabet is
 * never looked for: not found. What it sends to sessions (signals) is at most
 * 15 MiB, else WWR_E_BUFFER_OVERFLOW. Owner's thread. Errors: WWR_E_NOMEM,
 * WWR_E_IO (no random numbers). */
WWR_API WWR_MUST_CHECK wwr_err wwr_redisstore_new(struct wwr_sessionstore **out,
                                                  struct wwr_cluster *cluster);

#ifdef __cplusplus
}
#endif
#endif /* WWR_REDISSTORE_H */
