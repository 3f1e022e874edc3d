/* fault.h - what the fault suites share: the server under attack, clients that
 * behave, a prober that measures what the attack does to them, and a swarm of
 * sockets that do not behave.
 *
 * Everything is seen from outside the server's process: its answers, its
 * descriptors, its resident memory, its exit status and what it printed. */
#ifndef WWR_TEST_FAULT_H
#define WWR_TEST_FAULT_H

#include "proc.h"
#include "rawws.h"
#include "test.h"

#define FAULT_SANITIZED TEST_SANITIZED

/** A count that is smaller when everything is slower. */
#define FAULT_SCALED(n) (FAULT_SANITIZED ? ((n) + 9) / 10 : (n))

enum { FAULT_WAIT_MS = 20000 };

/* --- The server ----------------------------------------------------------- */

struct fault_server {
  struct proc *proc;
  uint16_t port;
};

/** Suite initialisers: servers and clients of the suite's tests are plain, or
 * speak TLS. */
int fault_use_plain(void);
int fault_use_tls(void);
bool fault_is_tls(void);

/** Start fault_server with these options ("--delay", "5", ..., NULL). False,
 * and a failed assertion, when it does not listen. */
bool fault_start(struct fault_server *server, const char *const options[]);

/** The same, run by `runner` (a program and its options, ended by NULL). */
bool fault_start_under(struct fault_server *server, const char *const runner[],
                       const char *const options[]);

/** SIGTERM; asserts that it exits with 0 in time and that no sanitizer
 * complained. Kills it otherwise. */
void fault_stop(struct fault_server *server);

/** After a SIGTERM of the test's own: the same assertions. */
void fault_expect_exit(struct fault_server *server, int timeout_ms);

/** How often `text` occurs in what the server has logged. */
size_t fault_count_logged(const struct fault_server *server, const char *text);

/** Open descriptors, resident bytes. */
size_t fault_fds(const struct fault_server *server);
uint64_t fault_rss(const struct fault_server *server);

/** Resident bytes without what the allocator keeps for later. */
uint64_t fault_live_rss(const struct fault_server *server, struct rawws *ws);

/** Wait until no more than `max` descriptors are open. False: too late. */
bool fault_wait_fds(const struct fault_server *server, size_t max);

/** A counter of struct wwr_server_stats by its name, asked for on `ws`. -1 when
 * there is no answer. */
long long fault_stat(struct rawws *ws, const char *name);

/** Wait until a counter is at least `min` and at most `max`. False: too late.
 */
bool fault_wait_stat(struct rawws *ws, const char *name, long long min,
                     long long max);

/* --- Clients that behave -------------------------------------------------- */

/** Connect, upgrade, take accept-conf. NULL when that fails. `receive_buffer`
 * as in struct rawws_opts. */
struct rawws *fault_client(const struct fault_server *server,
                           int receive_buffer);

/** Put a request into `out`, which holds 10 + name + len bytes; its size. */
size_t fault_encode_request(uint8_t *out, uint64_t id, const char *name,
                            const void *payload, size_t len);

bool fault_send_request(struct rawws *ws, uint64_t id, const char *name,
                        const void *payload, size_t len);

/** One reply, as it came; signals before it are skipped. */
struct fault_reply {
  uint8_t type;
  uint64_t id;
  const uint8_t *payload; /**< Borrowed until the next receiving call. */
  size_t len;
};
enum rawws_result fault_recv_reply(struct rawws *ws, struct fault_reply *out,
                                   int timeout_ms);

/** Request and wait: true when it was answered with a payload. */
bool fault_call(struct rawws *ws, const char *name, const void *payload,
                size_t len, struct fault_reply *out);

/* --- What the attack does to them ----------------------------------------- */

struct fault_prober; /* opaque; freed by fault_prober_stop() */

struct fault_quantiles {
  long p50, p99, max;
};

/** Echo latencies since the last fault_prober_take(), in microseconds: the
 * time that passed, and the CPU time that the server used in it (not of those
 * in which the machine did something else most of the time). */
struct fault_latency {
  size_t count;
  size_t starved; /* of which the CPU time does not count */
  struct fault_quantiles wall, cpu;
};

/** A client on a thread of its own that sends an echo request each
 * millisecond. NULL, and a failed assertion, when it can't connect. */
struct fault_prober *fault_prober_start(const struct fault_server *server);

/** Wait for at least `count` more echoes, take them all. False, and a failed
 * assertion, when they do not come in time or one was wrong. */
bool fault_prober_take(struct fault_prober *prober, size_t count,
                       struct fault_latency *out);

void fault_prober_stop(struct fault_prober *prober);

/** Assert that `during` is acceptable beside `before`, and print both. */
void fault_expect_latency(const char *what, const struct fault_latency *before,
                          const struct fault_latency *during);

/* --- Sockets that do not behave ------------------------------------------- */

struct fault_swarm; /* opaque; ended by fault_swarm_end() */

enum fault_end { FAULT_RESET, FAULT_FIN };

/** Begin `count` connections at once; NULL without sockets. */
struct fault_swarm *fault_swarm_connect(const struct fault_server *server,
                                        size_t count);

/** Wait until all are connected, then send these bytes on each. How many took
 * them. */
size_t fault_swarm_send(struct fault_swarm *swarm, const void *bytes,
                        size_t len);

/** How many were answered first with `text`, waiting until all are. */
size_t fault_swarm_wait_answered(struct fault_swarm *swarm, const char *text,
                                 int timeout_ms);

/** How many have been closed by the server, waiting until all are. */
size_t fault_swarm_wait_closed(struct fault_swarm *swarm, int timeout_ms);

void fault_swarm_end(struct fault_swarm *swarm, enum fault_end how);

/** A TLS ClientHello in `out`; its size, 0 when it does not fit. */
size_t fault_client_hello(uint8_t *out, size_t cap);

/** An upgrade request, NUL-terminated. */
extern const char fault_upgrade[];

#endif
