/* session_make.h - how this folder makes session objects. */
#ifndef WWRI_SESSION_MAKE_H
#define WWRI_SESSION_MAKE_H

#include "wwr_session.h"

/** As wwr_session_new(), but trusts `info` to be the text of a JSON object, or
 * empty for none. */
WWR_MUST_CHECK wwr_err wwri_session_make(struct wwr_session **out,
                                         struct wwr_view key,
                                         int64_t created_ns,
                                         int64_t last_lookup_ns,
                                         struct wwr_view info);

#endif
