/* replicas.h - a master, a replica and three sentinels, which fail over within
 * about two seconds. */
#ifndef WWR_TEST_REPLICAS_H
#define WWR_TEST_REPLICAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replicas; /* opaque */

/** Start and wait until the replica follows and the sentinels know it. NULL,
 * and the reason on stderr, when that takes too long. */
struct replicas *replicas_start(void);
void replicas_stop(struct replicas *replicas);

/** redis+sentinel://... Borrowed. */
const char *replicas_url(const struct replicas *replicas);

/** The two servers' ports, for ports[2]; how many. */
size_t replicas_ports(const struct replicas *replicas, uint16_t *ports);

/** Kill the master and wait until the other one is it. */
bool replicas_fail_over(struct replicas *replicas);

/** The same, and the replica misses what is written in the `ms` before. */
bool replicas_fail_over_late(struct replicas *replicas, uint32_t ms);

/** The old master comes back, as a replica in the end. */
bool replicas_return(struct replicas *replicas);

#endif
