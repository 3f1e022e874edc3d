#include "addresses.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "network.h"

/* Sets of a few places each: a lookup reads two cache lines or so, and nothing
 * is ever moved, so a claim is a pointer. 3 MB. */
enum { SETS = 8192, WAYS = 8 };

struct address_entry {
  struct network_address address;
  struct rate connects;
  uint32_t connections;
  bool used;
};

struct addresses {
  pthread_mutex_t lock; /* for all below */
  uint32_t max_connections;
  struct rate_limit connects;
  struct network proxies[ADDRESSES_PROXIES_MAX];
  size_t proxy_count;
  uint64_t seed[2];
  struct address_entry (*sets)[WAYS];
};

bool address_network_check(const char *text,
                           char reason[ADDRESSES_REASON_MAX]) {
  struct network network;
  if (network_parse(&network, text)) return true;
  snprintf(reason, ADDRESSES_REASON_MAX,
           "'%.64s' is no network, such as 10.0.0.0/8 or fd00::/8", text);
  return false;
}

/* --- Life ----------------------------------------------------------------- */

bool addresses_set(struct addresses *addresses,
                   const struct address_limits *limits) {
  struct network proxies[ADDRESSES_PROXIES_MAX];
  size_t count = 0;
  for (size_t i = 0; i < limits->proxy_count; i++) {
    if (count == ADDRESSES_PROXIES_MAX ||
        !network_parse(&proxies[count++], limits->proxies[i]))
      return false;
  }
  pthread_mutex_lock(&addresses->lock);
  addresses->max_connections = limits->connections;
  addresses->connects = limits->connects;
  memcpy(addresses->proxies, proxies, count * sizeof *proxies);
  addresses->proxy_count = count;
  pthread_mutex_unlock(&addresses->lock);
  return true;
}

struct addresses *addresses_new(const struct address_limits *limits) {
  struct addresses *addresses = calloc(1, sizeof *addresses);
  if (!addresses) return NULL;
  addresses->sets = calloc(SETS, sizeof *addresses->sets);
  if (!addresses->sets ||
      getrandom(addresses->seed, sizeof addresses->seed, 0) !=
          sizeof addresses->seed ||
      pthread_mutex_init(&addresses->lock, NULL) != 0) {
    free(addresses->sets);
    free(addresses);
    return NULL;
  }
  if (addresses_set(addresses, limits)) return addresses;
  addresses_free(addresses);
  return NULL;
}

void addresses_free(struct addresses *addresses) {
  if (!addresses) return;
  pthread_mutex_destroy(&addresses->lock);
  free(addresses->sets);
  free(addresses);
}

/* --- Whose address it is -------------------------------------------------- */

static bool is_proxy(const struct addresses *addresses,
                     const struct network_address *address) {
  for (size_t i = 0; i < addresses->proxy_count; i++) {
    if (network_contains(&addresses->proxies[i], address)) return true;
  }
  return false;
}

/* From the right: each proxy has added whom it heard, and what is left of one
 * that is not trusted may be invented. */
static void walk_forwarded(const struct addresses *addresses,
                           const char *forwarded,
                           struct network_address *address) {
  size_t end = strlen(forwarded);
  while (end > 0 && is_proxy(addresses, address)) {
    size_t start = end, from, to;
    while (start > 0 && forwarded[start - 1] != ',') start--;
    for (from = start; from < end && forwarded[from] == ' ';) from++;
    for (to = end; to > from && forwarded[to - 1] == ' ';) to--;
    struct network_address next;
    if (!network_parse_address(&next, forwarded + from, to - from)) return;
    *address = next;
    end = start > 0 ? start - 1 : 0;
  }
}

static bool find_address(const struct addresses *addresses, const char *remote,
                         const char *forwarded, struct network_address *out) {
  if (!remote || !network_parse_address(out, remote, strlen(remote)))
    return false;
  if (forwarded) walk_forwarded(addresses, forwarded, out);
  if (!network_is_v4(out)) memset(out->bytes + 8, 0, 8);
  return true;
}

/* --- The table ------------------------------------------------------------ */

static uint64_t mix(uint64_t value) {
  value ^= value >> 32;
  value *= 0xd6e8feb86659fd93U;
  value ^= value >> 32;
  value *= 0xd6e8feb86659fd93U;
  return value ^ (value >> 32);
}

static struct address_entry *set_of(const struct addresses *addresses,
                                    const struct network_address *address) {
  uint64_t halves[2];
  memcpy(halves, address->bytes, sizeof halves);
  uint64_t hash = mix(mix(halves[0] ^ addresses->seed[0]) +
                      (halves[1] ^ addresses->seed[1]));
  return addresses->sets[hash % SETS];
}

static bool is_idle(const struct addresses *addresses,
                    const struct address_entry *entry, uint64_t now_us) {
  return !entry->used ||
         (entry->connections == 0 &&
          rate_full(&entry->connects, &addresses->connects, now_us));
}

/* Its place, or one that nobody needs any more; NULL when there is none. */
static struct address_entry *place_of(const struct addresses *addresses,
                                      const struct network_address *address,
                                      uint64_t now_us) {
  struct address_entry *set = set_of(addresses, address), *idle = NULL;
  for (size_t i = 0; i < WAYS; i++) {
    if (set[i].used && memcmp(&set[i].address, address, sizeof *address) == 0)
      return &set[i];
    if (!idle && is_idle(addresses, &set[i], now_us)) idle = &set[i];
  }
  if (idle) *idle = (struct address_entry){.address = *address, .used = true};
  return idle;
}

static enum address_verdict enter(struct addresses *addresses,
                                  const char *remote, const char *forwarded,
                                  uint64_t now_us,
                                  struct address_entry **claim) {
  struct network_address address;
  if (addresses->max_connections == 0 && addresses->connects.per_second == 0)
    return ADDRESS_OK;
  if (!find_address(addresses, remote, forwarded, &address)) return ADDRESS_OK;
  struct address_entry *entry = place_of(addresses, &address, now_us);
  if (!entry) return ADDRESS_OK;
  if (addresses->max_connections > 0 &&
      entry->connections >= addresses->max_connections)
    return ADDRESS_TOO_MANY;
  if (!rate_take(&entry->connects, &addresses->connects, 1, now_us))
    return ADDRESS_TOO_FAST;
  entry->connections++;
  *claim = entry;
  return ADDRESS_OK;
}

enum address_verdict addresses_enter(struct addresses *addresses,
                                     const char *remote, const char *forwarded,
                                     uint64_t now_us,
                                     struct address_entry **claim) {
  *claim = NULL;
  pthread_mutex_lock(&addresses->lock);
  enum address_verdict verdict =
      enter(addresses, remote, forwarded, now_us, claim);
  pthread_mutex_unlock(&addresses->lock);
  return verdict;
}

void addresses_leave(struct addresses *addresses, struct address_entry *claim) {
  if (!claim) return;
  pthread_mutex_lock(&addresses->lock);
  claim->connections--;
  pthread_mutex_unlock(&addresses->lock);
}
