#include "guard.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

/* Key 0 is the User-Agent. */
enum { GUEST_INFO = 1 };

/* A rate that may change at any time. */
struct live_limit {
  atomic_uint per_second;
  atomic_uint burst;
};

struct guard {
  struct live_limit requests;
  struct live_limit bytes;
  struct live_limit sign_ins;
  struct addresses *addresses;
  atomic_ullong refused_messages;
  atomic_ullong refused_connections;
};

/* What a connection has used up; lives as long as it. */
struct guest {
  struct guard *guard;
  struct address_entry *claim;
  struct rate requests;
  struct rate bytes;
  struct rate sign_ins;
};

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* --- Life ----------------------------------------------------------------- */

static void set_limit(struct live_limit *live, const struct rate_limit *limit) {
  atomic_store_explicit(&live->burst, limit->burst, memory_order_relaxed);
  atomic_store_explicit(&live->per_second, limit->per_second,
                        memory_order_relaxed);
}

static void set_limits(struct guard *guard, const struct guard_limits *limits) {
  set_limit(&guard->requests, &limits->requests);
  set_limit(&guard->bytes, &limits->bytes);
  set_limit(&guard->sign_ins, &limits->sign_ins);
}

bool guard_set(struct guard *guard, const struct guard_limits *limits) {
  set_limits(guard, limits);
  return addresses_set(guard->addresses, &limits->addresses);
}

struct guard *guard_new(const struct guard_limits *limits) {
  struct guard *guard = calloc(1, sizeof *guard);
  if (!guard) return NULL;
  guard->addresses = addresses_new(&limits->addresses);
  if (!guard->addresses) {
    free(guard);
    return NULL;
  }
  set_limits(guard, limits);
  return guard;
}

void guard_free(struct guard *guard) {
  if (!guard) return;
  addresses_free(guard->addresses);
  free(guard);
}

void guard_counts(const struct guard *guard, struct guard_counts *out) {
  out->messages = atomic_load(&guard->refused_messages);
  out->connections = atomic_load(&guard->refused_connections);
}

/* --- Connections ---------------------------------------------------------- */

static void release_guest(void *value) {
  struct guest *guest = value;
  addresses_leave(guest->guard->addresses, guest->claim);
  free(guest);
}

static bool refuse(struct guard *guard, struct wwr_http *http,
                   enum address_verdict verdict) {
  const char *why = verdict == ADDRESS_TOO_MANY
                        ? "too many connections from your address\n"
                        : "too many new connections from your address\n";
  atomic_fetch_add(&guard->refused_connections, 1);
  /* Without memory for them the client is refused by a plain 403. */
  if (wwr_http_respond(http, 429, "text/plain", wwr_view_str(why)) == WWR_OK)
    wwr_http_add_header(http, "Retry-After", "5");
  return false;
}

bool guard_upgrade(struct guard *guard, struct wwr_http *http) {
  struct guest *guest = calloc(1, sizeof *guest);
  if (!guest) return false;
  enum address_verdict verdict = addresses_enter(
      guard->addresses, wwr_http_remote(http),
      wwr_http_header(http, "X-Forwarded-For"), now_us(), &guest->claim);
  if (verdict != ADDRESS_OK) {
    free(guest);
    return refuse(guard, http, verdict);
  }
  guest->guard = guard;
  return wwr_http_set_info(http, GUEST_INFO, guest, release_guest) == WWR_OK;
}

/* --- Messages ------------------------------------------------------------- */

static struct rate_limit read_limit(const struct live_limit *live) {
  return (struct rate_limit){
      atomic_load_explicit(&live->per_second, memory_order_relaxed),
      atomic_load_explicit(&live->burst, memory_order_relaxed)};
}

/* Given to us to be changed: const is what it is to others. */
static struct guest *guest_of(const struct wwr_conn *conn) {
  return (struct guest *)wwr_conn_info(conn, GUEST_INFO);
}

static bool counted(struct guard *guard, bool admitted) {
  if (!admitted) atomic_fetch_add(&guard->refused_messages, 1);
  return admitted;
}

bool guard_admit(struct guard *guard, const struct wwr_conn *conn,
                 size_t bytes) {
  struct rate_limit requests = read_limit(&guard->requests);
  struct rate_limit per_byte = read_limit(&guard->bytes);
  if (requests.per_second == 0 && per_byte.per_second == 0) return true;
  struct guest *guest = guest_of(conn);
  uint64_t now = now_us();
  return counted(guard,
                 rate_take(&guest->requests, &requests, 1, now) &&
                     rate_take(&guest->bytes, &per_byte, (uint32_t)bytes, now));
}

bool guard_admit_sign_in(struct guard *guard, const struct wwr_conn *conn) {
  struct rate_limit limit = read_limit(&guard->sign_ins);
  return counted(guard,
                 rate_take(&guest_of(conn)->sign_ins, &limit, 1, now_us()));
}
