/* Two things that watch the clock, each with one timer per shard.
 *
 * Pings keep proxies from dropping idle connections: one is sent when nothing
 * else was for the interval, jittered by 20 %. Pipes sit in the buckets of a
 * wheel of eight ticks an interval; a tick looks at one bucket.
 *
 * The stall check looks once a second at the pipes that wait for their peer to
 * read. What counts as progress is what the peer's TCP acknowledges. */
#include <stdlib.h>

#include "websocket.h"

enum {
  TICKS_PER_INTERVAL = 8,
  STALL_CHECK_MS = 1000,
  STALL_MAX_MS = 10000,
  PING_FIRST_BYTE = 0x89
};

/* Pings */

/* xorshift: the jitter needs no better. */
static uint32_t next_random(struct wwri_ws_shard *shard) {
  uint32_t x = shard->random;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return shard->random = x;
}

static void put_in_bucket(struct wwri_ws_pipe *pipe, uint64_t delay_ms) {
  struct wwri_ws_shard *shard = pipe->shard;
  uint64_t ticks = delay_ms / shard->ping_tick_ms + 1;
  if (ticks >= WWRI_WS_PING_BUCKETS) ticks = WWRI_WS_PING_BUCKETS - 1;
  unsigned bucket = (shard->ping_at + (unsigned)ticks) % WWRI_WS_PING_BUCKETS;
  wwri_list_remove(&pipe->ping_link);
  wwri_list_append(&shard->ping_buckets[bucket], &pipe->ping_link);
}

/* 80 % to 120 % of the interval. */
static uint64_t jittered(struct wwri_ws_shard *shard) {
  uint64_t interval = shard->ping_interval_ms;
  return interval - interval / 5 +
         next_random(shard) % (2 * (interval / 5) + 1);
}

static void visit(struct wwri_ws_pipe *pipe, uint64_t now) {
  struct wwri_ws_shard *shard = pipe->shard;
  uint64_t silent = now - pipe->last_tx_ms;
  uint64_t due = jittered(shard);
  if (silent >= due && !pipe->held && !pipe->closing && pipe->out.count == 0) {
    pipe->last_tx_ms = now;
    silent = 0;
    wwri_frame_ref(shard->ping_frame);
    (void)pipe->base.ops->spread(&pipe->base, shard->ping_frame);
    if (!wwri_ws_attached(pipe)) return; /* out of memory */
  }
  put_in_bucket(pipe, due > silent ? due - silent : due);
}

static void on_ping_tick(struct wwri_timer *timer) {
  struct wwri_ws_shard *shard =
      WWRI_CONTAINER(timer, struct wwri_ws_shard, ping_timer);
  uint64_t now = wwri_loop_now_ms(shard->loop);
  struct wwri_list due;
  struct wwri_list *node;
  wwri_list_init(&due);
  shard->ping_at = (shard->ping_at + 1) % WWRI_WS_PING_BUCKETS;
  wwri_list_splice(&due, &shard->ping_buckets[shard->ping_at]);
  while ((node = wwri_list_pop(&due))) {
    visit(WWRI_CONTAINER(node, struct wwri_ws_pipe, ping_link), now);
  }
  if (!wwri_list_empty(&shard->pipes)) {
    wwri_loop_timer_set(shard->loop, timer, shard->ping_tick_ms);
  }
}

void wwri_ws_ping_add(struct wwri_ws_pipe *pipe) {
  struct wwri_ws_shard *shard = pipe->shard;
  if (!shard->ping_frame) return;
  put_in_bucket(pipe, jittered(shard));
  if (!shard->ping_timer.armed) {
    wwri_loop_timer_set(shard->loop, &shard->ping_timer, shard->ping_tick_ms);
  }
}

/* Stalls */

/* What it has queued; 0 when it was cut off. */
static uint32_t check_stall(struct wwri_ws_pipe *pipe, uint64_t now) {
  uint64_t acked = wwri_ws_socket_acked(wwri_ws_fd(pipe));
  if (acked != pipe->acked_bytes) {
    pipe->acked_bytes = acked;
    pipe->progress_ms = now;
  }
  if (now - pipe->progress_ms >= STALL_MAX_MS) {
    pipe->shard->slow_consumers++;
    wwri_ws_pipe_kill(pipe, WWR_E_SLOW_CONSUMER);
    return 0;
  }
  wwri_list_append(&pipe->shard->stalled, &pipe->stall_link);
  return pipe->out.bytes;
}

static void on_stall_check(struct wwri_timer *timer) {
  struct wwri_ws_shard *shard =
      WWRI_CONTAINER(timer, struct wwri_ws_shard, stall_timer);
  uint64_t now = wwri_loop_now_ms(shard->loop);
  struct wwri_list batch;
  struct wwri_list *node;
  uint64_t bytes = 0;
  wwri_list_init(&batch);
  wwri_list_splice(&batch, &shard->stalled);
  while ((node = wwri_list_pop(&batch))) {
    bytes +=
        check_stall(WWRI_CONTAINER(node, struct wwri_ws_pipe, stall_link), now);
  }
  atomic_store_explicit(&shard->stalled_bytes, bytes, memory_order_relaxed);
  if (!wwri_list_empty(&shard->stalled)) {
    wwri_loop_timer_set(shard->loop, timer, STALL_CHECK_MS);
  }
}

void wwri_ws_stall_watch(struct wwri_ws_pipe *pipe) {
  struct wwri_ws_shard *shard = pipe->shard;
  if (!wwri_list_empty(&pipe->stall_link)) return;
  pipe->progress_ms = wwri_loop_now_ms(shard->loop);
  wwri_list_append(&shard->stalled, &pipe->stall_link);
  if (!shard->stall_timer.armed) {
    wwri_loop_timer_set(shard->loop, &shard->stall_timer, STALL_CHECK_MS);
  }
}

/* Life */

wwr_err wwri_ws_ping_init(struct wwri_ws_shard *shard, uint32_t interval_ms) {
  wwri_timer_init(&shard->ping_timer, on_ping_tick);
  wwri_timer_init(&shard->stall_timer, on_stall_check);
  wwri_list_init(&shard->stalled);
  for (int i = 0; i < WWRI_WS_PING_BUCKETS; i++) {
    wwri_list_init(&shard->ping_buckets[i]);
  }
  if (interval_ms == 0) return WWR_OK;
  /* Not empty: lws would not tell of the pong. */
  shard->ping_frame = wwri_frame_new(1);
  if (!shard->ping_frame) return WWR_E_NOMEM;
  shard->ping_frame->wire[0] = PING_FIRST_BYTE;
  *wwri_frame_message(shard->ping_frame) = 'p';
  shard->ping_interval_ms = interval_ms;
  shard->ping_tick_ms =
      interval_ms < TICKS_PER_INTERVAL ? 1 : interval_ms / TICKS_PER_INTERVAL;
  shard->random = (uint32_t)(uintptr_t)shard | 1;
  return WWR_OK;
}

void wwri_ws_ping_deinit(struct wwri_ws_shard *shard) {
  wwri_loop_timer_cancel(shard->loop, &shard->ping_timer);
  wwri_loop_timer_cancel(shard->loop, &shard->stall_timer);
  wwri_frame_unref(shard->ping_frame);
  shard->ping_frame = NULL;
}
