/* Whether the I/O threads turn. Each loop has a timer of its own that notes
 * when it fired and how late: a loop that hangs can't be asked, and it must not
 * be one that hangs who asks. */
#include <time.h>

#include "internal.h"

enum { PULSE_MS = 250 };

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void arm(struct wwri_shard *shard) {
  struct wwri_pulse *pulse = &shard->pulse;
  pulse->due_us = now_us() + PULSE_MS * 1000;
  wwri_loop_timer_set(shard->loop, &pulse->timer, PULSE_MS);
}

static void note(struct wwri_pulse *pulse, uint64_t now) {
  uint64_t lag = now > pulse->due_us ? now - pulse->due_us : 0;
  unsigned long long before = atomic_load(&pulse->lag_us);
  while (lag > before &&
         !atomic_compare_exchange_weak(&pulse->lag_us, &before, lag)) {
    continue;
  }
  atomic_store(&pulse->turned_us, now);
}

static void pulse_fired(struct wwri_timer *timer) {
  struct wwri_shard *shard =
      WWRI_CONTAINER(timer, struct wwri_shard, pulse.timer);
  note(&shard->pulse, now_us());
  arm(shard);
}

static void start_arrived(struct wwri_mail *mail) {
  struct wwri_shard *shard =
      WWRI_CONTAINER(mail, struct wwri_shard, pulse.start);
  wwri_timer_init(&shard->pulse.timer, pulse_fired);
  arm(shard);
}

/* From here on a loop that does not turn is silent. */
void wwri_pulse_begin(struct wwr_server *server) {
  for (size_t i = 0; i < server->shard_count; i++) {
    struct wwri_shard *shard = &server->shards[i];
    atomic_store(&shard->pulse.turned_us, now_us());
    shard->pulse.start.fn = start_arrived;
    wwri_loop_post(shard->loop, &shard->pulse.start);
  }
}

void wwr_server_loops(struct wwr_server *server, struct wwr_loops_state *out) {
  uint64_t now = now_us();
  *out = (struct wwr_loops_state){0};
  for (size_t i = 0; i < server->shard_count; i++) {
    struct wwri_pulse *pulse = &server->shards[i].pulse;
    uint64_t turned = atomic_load(&pulse->turned_us);
    if (!turned) continue;
    uint64_t silent_ms = now > turned ? (now - turned) / 1000 : 0;
    uint64_t lag_us = atomic_exchange(&pulse->lag_us, 0);
    out->count++;
    if (silent_ms > out->silent_ms) out->silent_ms = silent_ms;
    if (lag_us > out->lag_us) out->lag_us = lag_us;
  }
}
