/* access.h - the settings of sign-in and of limits: the sections "auth" and
 * "limits". */
#ifndef WEBWIRED_ACCESS_H
#define WEBWIRED_ACCESS_H

#include "guard.h"
#include "options.h"
#include "token.h"

enum { ACCESS_ROWS = 18, ACCESS_KEY_ROWS = 5 };

struct access_settings {
  int mode; /* enum auth_mode */
  const char *issuer;
  const char *audience;
  uint32_t leeway_ms;
  const char *name_claim;
  struct wwr_option_list info_claims;
  int session_end;               /* enum auth_session_end */
  struct wwr_option_groups keys; /* struct token_key_settings */

  uint32_t requests, request_burst; /* a burst of 0: of one second */
  uint32_t bytes, byte_burst;
  uint32_t sign_ins, sign_in_burst;
  uint32_t connects, connect_burst;
  uint32_t connections;
  struct wwr_option_list proxies;
};

void access_init(struct access_settings *access);

/** Fill ACCESS_ROWS rows that set `access`. */
void access_rows(struct access_settings *access, struct wwr_option *rows);

/** Say what is wrong with them together, and with keys. */
void access_settle(const struct access_settings *access,
                   struct wwr_options *options);

/** As others take them; they borrow from `access`. */
struct token_settings access_tokens(const struct access_settings *access);
struct guard_limits access_limits(const struct access_settings *access);

#endif
