/* permit.h - who may do something with a channel, as one text of configuration:
 *
 *   everyone                     whoever is connected
 *   session                      whoever has a session
 *   nobody
 *   info:FIELD=VALUE[,VALUE...]  a field of the session's info is one of the
 *                                values, or a list that contains one
 *   info:FIELD                   the field is a list of channel names that
 *                                contains this one; `*` at the end of a name
 *                                stands for any rest
 *
 * Pure; immutable once parsed. */
#ifndef WEBWIRED_PERMIT_H
#define WEBWIRED_PERMIT_H

#include <webwire/wwr_base.h>

enum { PERMIT_REASON_MAX = 256 }; /* WWR_REASON_MAX */

enum permit_kind {
  PERMIT_EVERYONE,
  PERMIT_SESSION,
  PERMIT_NOBODY,
  PERMIT_VALUES,
  PERMIT_CHANNELS
};

struct permit {
  enum permit_kind kind;
  char *text; /* the fields below point into it */
  const char *field;
  const char **values;
  size_t count;
};

enum permit_verdict {
  PERMIT_YES,
  PERMIT_NO,
  PERMIT_SIGN_IN, /* not without a session */
  PERMIT_FAILED   /* out of memory */
};

/** True when a text is a permission; else what it is instead. */
bool permit_check(const char *text, char reason[PERMIT_REASON_MAX]);

/** Parse a text that permit_check() accepts. False without memory. */
bool permit_init(struct permit *out, const char *text);

/** Accepts what was zeroed. */
void permit_deinit(struct permit *permit);

/** True when a decision needs the info field of the session. */
bool permit_needs_field(const struct permit *permit);

/** Decide. `field_json`: the field as JSON, NULL when there is none. */
enum permit_verdict permit_decide(const struct permit *permit, bool session,
                                  const char *field_json,
                                  struct wwr_view channel);

#endif
