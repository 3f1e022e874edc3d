/* addresses.h - how many connections an address has, and how fast it makes new
 * ones. An address is an IPv4 address or the first half of an IPv6 address,
 * which is what one subscriber usually has. Behind proxies that are trusted it
 * is the last one in X-Forwarded-For that is none of them.
 *
 * The table has a fixed size and is kept even under attack: an address that
 * finds no place in it is let in uncounted.
 *
 * Thread-safe; no call blocks for longer than a lookup. */
#ifndef WEBWIRED_ADDRESSES_H
#define WEBWIRED_ADDRESSES_H

#include <stddef.h>

#include "rate.h"

enum { ADDRESSES_REASON_MAX = 256, ADDRESSES_PROXIES_MAX = 64 };

struct address_limits {
  uint32_t connections;       /* 0: no limit */
  struct rate_limit connects; /* new ones */
  const char *const *proxies; /* CIDR: "10.0.0.0/8", "fd00::/8"; borrowed */
  size_t proxy_count;
};

struct addresses;
struct address_entry; /* a connection's claim on its address */

/** True when a text is a network or an address; else what is wrong. */
bool address_network_check(const char *text, char reason[ADDRESSES_REASON_MAX]);

/** NULL without memory, or randomness. */
struct addresses *addresses_new(const struct address_limits *limits);

/** Other limits from now on; connections that stand stay. False without
 * memory: nothing changed. */
bool addresses_set(struct addresses *addresses,
                   const struct address_limits *limits);

/** All claims must have been given back. NULL does nothing. */
void addresses_free(struct addresses *addresses);

enum address_verdict {
  ADDRESS_OK,
  ADDRESS_TOO_MANY, /* connections */
  ADDRESS_TOO_FAST
};

/** A new connection from `remote` ("192.0.2.1:5000", "[2001:db8::1]:5000")
 * with that X-Forwarded-For header, or NULL. ADDRESS_OK: *claim is to be given
 * back by addresses_leave() when the connection has gone; NULL when it is not
 * counted. */
enum address_verdict addresses_enter(struct addresses *addresses,
                                     const char *remote, const char *forwarded,
                                     uint64_t now_us,
                                     struct address_entry **claim);

/** NULL does nothing. */
void addresses_leave(struct addresses *addresses, struct address_entry *claim);

#endif
