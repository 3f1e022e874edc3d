/* guard.h - how much a client may ask of this node: connections and new ones by
 * address, requests and bytes by connection. What is over a rate is refused and
 * counted; nobody is cut off for it.
 *
 * Thread-safe, but what a connection asks to be admitted is
 * called by its thread. */
#ifndef WEBWIRED_GUARD_H
#define WEBWIRED_GUARD_H

#include <webwire/wwr_server.h>

#include "addresses.h"

struct guard_limits {
  struct rate_limit requests; /* signals, too */
  struct rate_limit bytes;    /* of names and payloads */
  struct rate_limit sign_ins; /* requests that cost a check of a signature */
  struct address_limits addresses;
};

struct guard; /* opaque */

/** NULL without memory. */
struct guard *guard_new(const struct guard_limits *limits);

/** Other limits from now on, for connections that stand as well; their number
 * by address excepted. False without memory: some have changed. */
bool guard_set(struct guard *guard, const struct guard_limits *limits);

/** Every connection must have gone. NULL does nothing. */
void guard_free(struct guard *guard);

/** In the on_upgrade hook: whether the client may connect; else its answer has
 * been chosen (429). */
bool guard_upgrade(struct guard *guard, struct wwr_http *http);

/** A message of so many bytes has come: whether it is within the rates. */
bool guard_admit(struct guard *guard, const struct wwr_conn *conn,
                 size_t bytes);

/** It wants to sign in: whether that is within its rate. */
bool guard_admit_sign_in(struct guard *guard, const struct wwr_conn *conn);

/** What was refused since the start. */
struct guard_counts {
  uint64_t messages;
  uint64_t connections;
};
void guard_counts(const struct guard *guard, struct guard_counts *out);

#endif
