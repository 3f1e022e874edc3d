/* options.h - the server's options, checked and copied. */
#ifndef WWRI_SERVER_OPTIONS_H
#define WWRI_SERVER_OPTIONS_H

#include "wwr_server.h"

/** Check, copy and complete; *bad (may be NULL) names a wrong field, NULL when
 * none is. Errors: WWR_E_INVALID, WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_options_copy(struct wwr_server_opts *out,
                                         const struct wwr_server_opts *opts,
                                         const char **bad);

/** Free what the copy owns; harmless on a zeroed struct. */
void wwri_options_deinit(struct wwr_server_opts *opts);

/** The field that is out of its range, or NULL. */
const char *wwri_limits_check(const struct wwr_server_limits *limits,
                              uint32_t message_buffer_bytes);

#endif
