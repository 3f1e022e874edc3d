/* wwr_memory.h - webwire inside one process: server and client in one program,
 * with no socket. For tests, and for programs that embed both sides. */
#ifndef WWR_MEMORY_H
#define WWR_MEMORY_H

#include "wwr_transport.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The meeting point of a server and its clients. Reference-counted: the
 * transport and each dialer hold one reference, so it may be freed by its
 * maker as soon as those exist. */
struct wwr_memory_hub;

/** Errors: WWR_E_NOMEM; *out is NULL then, here and below. */
WWR_API WWR_MUST_CHECK wwr_err wwr_memory_hub_new(struct wwr_memory_hub **out);

/** Drop the maker's reference. NULL does nothing. */
WWR_API void wwr_memory_hub_free(struct wwr_memory_hub *hub);

/** The server's side; one at a time per hub (a second start is WWR_E_EXISTS).
 * Errors: WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err wwr_memory_transport_new(
    struct wwr_transport **out, struct wwr_memory_hub *hub);

/** A client's side. Dialing with no server on the hub fails with
 * WWR_E_DISCONNECTED. Errors: WWR_E_NOMEM. */
WWR_API WWR_MUST_CHECK wwr_err
wwr_memory_dialer_new(struct wwr_dialer **out, struct wwr_memory_hub *hub);

#ifdef __cplusplus
}
#endif
#endif /* WWR_MEMORY_H */
