/* Clients that behave, and what they notice of an attack. */
#include "fault.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  REQUEST_UTF8 = 128,
  SIGNAL_FIRST = 63,
  SIGNAL_LAST = 65,
  REPLY_FIRST = 191,
  REPLY_LAST = 193,
  HEADER = 10,
  MAX_SAMPLES = 100000,
  STARVED_US = 10000,
  ECHO_BYTES = 32
};

/* --- Requests ------------------------------------------------------------- */

struct rawws *fault_client(const struct fault_server *server,
                           int receive_buffer) {
  struct rawws *ws =
      rawws_dial(&(struct rawws_opts){.port = server->port,
                                      .tls = fault_is_tls(),
                                      .receive_buffer = receive_buffer});
  struct rawws_message conf;
  if (ws && rawws_upgrade(ws, NULL) == 101 &&
      rawws_recv_message(ws, &conf, FAULT_WAIT_MS) == RAWWS_OK &&
      conf.len >= 11 && conf.payload[0] == 23) {
    return ws;
  }
  rawws_free(ws);
  return NULL;
}

size_t fault_encode_request(uint8_t *out, uint64_t id, const char *name,
                            const void *payload, size_t len) {
  size_t name_len = strlen(name);
  out[0] = REQUEST_UTF8;
  memcpy(out + 1, &id, sizeof id);
  out[9] = (uint8_t)name_len;
  memcpy(out + HEADER, name, name_len);
  if (len) memcpy(out + HEADER + name_len, payload, len);
  return HEADER + name_len + len;
}

bool fault_send_request(struct rawws *ws, uint64_t id, const char *name,
                        const void *payload, size_t len) {
  uint8_t *message = malloc(HEADER + strlen(name) + len);
  if (!message) return false;
  size_t size = fault_encode_request(message, id, name, payload, len);
  bool sent = rawws_send(ws, message, size);
  free(message);
  return sent;
}

enum rawws_result fault_recv_reply(struct rawws *ws, struct fault_reply *out,
                                   int timeout_ms) {
  struct rawws_message message;
  for (;;) {
    enum rawws_result result = rawws_recv_message(ws, &message, timeout_ms);
    if (result != RAWWS_OK) return result;
    if (message.len < 1) return RAWWS_BROKEN;
    uint8_t type = message.payload[0];
    if (type >= SIGNAL_FIRST && type <= SIGNAL_LAST) continue;
    if (message.len < 9) continue; /* a session's notice */
    if (type == 21 || type == 22) continue;
    *out = (struct fault_reply){
        .type = type, .payload = message.payload + 9, .len = message.len - 9};
    memcpy(&out->id, message.payload + 1, sizeof out->id);
    return RAWWS_OK;
  }
}

bool fault_call(struct rawws *ws, const char *name, const void *payload,
                size_t len, struct fault_reply *out) {
  static _Thread_local uint64_t last_id = 1000000;
  uint64_t id = ++last_id;
  return fault_send_request(ws, id, name, payload, len) &&
         fault_recv_reply(ws, out, FAULT_WAIT_MS) == RAWWS_OK &&
         out->id == id && out->type >= REPLY_FIRST && out->type <= REPLY_LAST;
}

/* --- The prober ----------------------------------------------------------- */

struct fault_prober {
  struct rawws *ws;
  clockid_t cpu; /* the server's CPU time */
  pthread_t thread;
  atomic_bool stop;
  struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool broken;
    size_t count;
    size_t cpu_count;
    long wall[MAX_SAMPLES];
    long cpu[MAX_SAMPLES];
  } shared;
};

static long now_us(clockid_t clock) {
  struct timespec now = {0, 0};
  clock_gettime(clock, &now);
  return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Most of the time passed while somebody else had the processor, maybe instead
 * of the prober: then the server's time is also that after its answer. Were
 * the server busy with others all the while, the two would be the same. */
static bool is_starved(long wall, long cpu) {
  return cpu > STARVED_US && wall > 2 * cpu;
}

static void note(struct fault_prober *prober, bool good, long wall, long cpu) {
  pthread_mutex_lock(&prober->shared.lock);
  if (!good) {
    prober->shared.broken = true;
  } else if (prober->shared.count < MAX_SAMPLES) {
    prober->shared.wall[prober->shared.count++] = wall;
    if (!is_starved(wall, cpu))
      prober->shared.cpu[prober->shared.cpu_count++] = cpu;
  }
  pthread_cond_broadcast(&prober->shared.changed);
  pthread_mutex_unlock(&prober->shared.lock);
}

static void *probe(void *arg) {
  struct fault_prober *prober = arg;
  const struct timespec millisecond = {0, 1000000};
  uint8_t payload[ECHO_BYTES] = {0};
  bool good = true;
  for (uint32_t i = 0; good && !atomic_load(&prober->stop); i++) {
    struct fault_reply reply;
    memcpy(payload, &i, sizeof i);
    long wall = now_us(CLOCK_MONOTONIC), cpu = now_us(prober->cpu);
    good = fault_call(prober->ws, "echo", payload, sizeof payload, &reply) &&
           reply.len == sizeof payload &&
           memcmp(reply.payload, payload, sizeof payload) == 0;
    note(prober, good, now_us(CLOCK_MONOTONIC) - wall,
         now_us(prober->cpu) - cpu);
    nanosleep(&millisecond, NULL); /* its pace */
  }
  return NULL;
}

struct fault_prober *fault_prober_start(const struct fault_server *server) {
  struct fault_prober *prober = calloc(1, sizeof *prober);
  CU_ASSERT_FATAL(prober != NULL);
  pthread_mutex_init(&prober->shared.lock, NULL);
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&prober->shared.changed, &attr);
  pthread_condattr_destroy(&attr);
  clock_getcpuclockid(proc_pid(server->proc), &prober->cpu);
  prober->ws = fault_client(server, 0);
  CU_ASSERT_FATAL(prober->ws != NULL);
  CU_ASSERT_FATAL(pthread_create(&prober->thread, NULL, probe, prober) == 0);
  return prober;
}

static int by_value(const void *a, const void *b) {
  long x = *(const long *)a, y = *(const long *)b;
  return (x > y) - (x < y);
}

static struct fault_quantiles quantiles(long *samples, size_t n) {
  qsort(samples, n, sizeof *samples, by_value);
  if (n == 0) return (struct fault_quantiles){0, 0, 0};
  return (struct fault_quantiles){samples[n / 2], samples[n * 99 / 100],
                                  samples[n - 1]};
}

/* Under the lock. */
static void summarize(struct fault_prober *prober, struct fault_latency *out) {
  size_t n = prober->shared.count;
  out->count = n;
  out->wall = quantiles(prober->shared.wall, n);
  out->cpu = quantiles(prober->shared.cpu, prober->shared.cpu_count);
  out->starved = n - prober->shared.cpu_count;
  prober->shared.count = prober->shared.cpu_count = 0;
}

bool fault_prober_take(struct fault_prober *prober, size_t count,
                       struct fault_latency *out) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += FAULT_WAIT_MS / 1000;
  int status = 0;
  pthread_mutex_lock(&prober->shared.lock);
  while (prober->shared.count < count && !prober->shared.broken && !status) {
    status = pthread_cond_timedwait(&prober->shared.changed,
                                    &prober->shared.lock, &until);
  }
  bool good = prober->shared.count >= count && !prober->shared.broken;
  summarize(prober, out);
  pthread_mutex_unlock(&prober->shared.lock);
  CU_ASSERT(good);
  return good;
}

void fault_prober_stop(struct fault_prober *prober) {
  atomic_store(&prober->stop, true);
  pthread_join(prober->thread, NULL);
  rawws_free(prober->ws);
  pthread_mutex_destroy(&prober->shared.lock);
  pthread_cond_destroy(&prober->shared.changed);
  free(prober);
}

/* How much an attack may cost the others. What the server does before it comes
 * to an echo is measured in its own CPU time, which does not depend on what
 * else the machine does; the elapsed time, which does, has a wide bound.
 *
 * One pass of the loop looks at 64 new sockets and lets a few begin their
 * handshake: a millisecond or two, whatever the size of the crowd. An echo
 * waits for some such passes, 5 ms in all, 12 on a busy machine. The bound
 * leaves room: with 100 echoes, the 99th percentile is the slowest of all. */
void fault_expect_latency(const char *what, const struct fault_latency *before,
                          const struct fault_latency *during) {
  long cpu_max = 40000;
  long wall_max = 2000000;
  if (wall_max < 20 * before->wall.p99) wall_max = 20 * before->wall.p99;
  if (FAULT_SANITIZED) cpu_max *= 10, wall_max *= 10;
  printf(
      "\n    %s: %zu echoes, elapsed p50 %ld p99 %ld max %ld us, server's "
      "CPU p50 %ld p99 %ld max %ld us, %zu starved\n    undisturbed: elapsed "
      "p50 %ld p99 %ld us, CPU p50 %ld p99 %ld us",
      what, during->count, during->wall.p50, during->wall.p99, during->wall.max,
      during->cpu.p50, during->cpu.p99, during->cpu.max, during->starved,
      before->wall.p50, before->wall.p99, before->cpu.p50, before->cpu.p99);
  CU_ASSERT(during->cpu.p99 <= cpu_max);
  CU_ASSERT(during->wall.p99 <= wall_max);
}
