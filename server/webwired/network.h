/* network.h - IP addresses and networks as texts. Pure. */
#ifndef WEBWIRED_NETWORK_H
#define WEBWIRED_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** IPv4 as ::ffff:a.b.c.d. */
struct network_address {
  uint8_t bytes[16];
};

struct network {
  struct network_address address;
  unsigned bits; /* of 128 */
};

/** Parse "192.0.2.1", "2001:db8::1", either with a port as in
 * "192.0.2.1:5000", "[2001:db8::1]:5000". `len` bytes. */
bool network_parse_address(struct network_address *out, const char *text,
                           size_t len);

/** Parse "10.0.0.0/8", "fd00::/8" or an address. */
bool network_parse(struct network *out, const char *text);

bool network_contains(const struct network *network,
                      const struct network_address *address);

/** True for IPv4. */
bool network_is_v4(const struct network_address *address);

#endif
