/* auth.h - who a token says that somebody is. Immutable: any thread may ask.
 *
 * Without sign-in (mode none) no token is right. */
#ifndef WEBWIRED_AUTH_H
#define WEBWIRED_AUTH_H

#include <webwire/wwr_session.h>

#include "access.h"

enum { AUTH_REASON_MAX = TOKEN_REASON_MAX };

/** In the order of the words of "auth.mode". */
enum auth_mode { AUTH_NONE, AUTH_JWT };

/** In the order of the words of "auth.session-end". */
enum auth_session_end { AUTH_ENDS_WITH_TOKEN, AUTH_ENDS_BY_SIGN_OUT };

enum auth_verdict {
  AUTH_GOOD,
  AUTH_BAD,     /* not of ours, or not for us */
  AUTH_EXPIRED, /* it was good */
  AUTH_OFF,     /* nobody signs in here */
  AUTH_FAILED   /* out of memory */
};

struct auth; /* opaque */

/** Make it of settings; copies what it needs. NULL without memory, or when a
 * key file has changed since access_settle() found nothing wrong with it. */
struct auth *auth_new(const struct access_settings *access);

/** NULL does nothing. */
void auth_free(struct auth *auth);

/** When a session ends, as its info says it: Unix time in ns; 0: at no time. */
int64_t auth_session_end(const struct wwr_session *session);

/** Look at a token at Unix time `now_s`. AUTH_GOOD: *info_json is the session's
 * info, a JSON object to free(), whose "username" names the member. Else `why`
 * is one line for the client. */
enum auth_verdict auth_check(const struct auth *auth, struct wwr_view token,
                             int64_t now_s, char **info_json,
                             char why[AUTH_REASON_MAX]);

#endif
