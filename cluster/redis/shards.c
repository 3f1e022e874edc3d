/* shards.c - many buses as one.
 *
 * Happy path: a call that names a channel goes to the bus of its partition,
 * with the caller's own operation; what follows on a sub goes where its
 * subscribe went.
 *
 * What can go wrong: a shard is away: what belongs to it waits and fails as it
 * does with one Redis, and nothing else does; the node is not unready before
 * all of them are away, for the others' channels need it. Settings that one of
 * them refuses: the node is refused, as it is not what the others think. */
#include "shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

static struct wwri_shards_bus *bus_of(struct wwr_bus *base) {
  return WWRI_CONTAINER(base, struct wwri_shards_bus, base);
}

static struct wwr_bus *by_name(struct wwr_bus *base, struct wwr_view name) {
  const struct wwri_shards_bus *bus = bus_of(base);
  return bus->buses[bus->of_partition[wwri_partition_of(name)]];
}

static enum wwri_bus_health health_of(const struct wwri_shards_bus *bus,
                                      size_t index) {
  return wwri_member_health(bus->members[index], NULL, 0);
}

/* Where its subscribe went; without one any says what is to be said. */
static struct wwr_bus *by_sub(struct wwr_bus *base,
                              const struct wwri_bus_sub *sub) {
  return sub->shard ? sub->shard : bus_of(base)->buses[0];
}

size_t wwri_shards_ready(const struct wwri_shards_bus *bus) {
  for (size_t i = 0; i < bus->count; i++) {
    if (health_of(bus, i) == WWRI_BUS_READY) return i;
  }
  return 0;
}

/* --- by name --- */

static wwr_err do_subscribe(struct wwr_bus *base, struct wwr_view channel,
                            struct wwri_bus_sub *sub, uint32_t history,
                            struct wwri_bus_op *op) {
  sub->shard = by_name(base, channel);
  return sub->shard->ops->subscribe(sub->shard, channel, sub, history, op);
}

static wwr_err do_join(struct wwr_bus *base, struct wwri_bus_sub *sub,
                       uint32_t history, struct wwri_bus_op *op) {
  struct wwr_bus *shard = by_sub(base, sub);
  return shard->ops->join(shard, sub, history, op);
}

static wwr_err do_unsubscribe(struct wwr_bus *base, struct wwri_bus_sub *sub,
                              struct wwri_bus_op *op) {
  struct wwr_bus *shard = by_sub(base, sub);
  return shard->ops->unsubscribe(shard, sub, op);
}

static void do_pressure(struct wwr_bus *base, struct wwri_bus_sub *sub,
                        bool full) {
  struct wwr_bus *shard = by_sub(base, sub);
  shard->ops->pressure(shard, sub, full);
}

static wwr_err do_publish(struct wwr_bus *base, struct wwr_view channel,
                          const struct wwri_bus_publish *what,
                          struct wwri_bus_op *op) {
  struct wwr_bus *shard = by_name(base, channel);
  return shard->ops->publish(shard, channel, what, op);
}

static wwr_err do_history(struct wwr_bus *base, struct wwr_view channel,
                          uint32_t count, struct wwri_bus_op *op) {
  struct wwr_bus *shard = by_name(base, channel);
  return shard->ops->history(shard, channel, count, op);
}

static wwr_err do_presence_set(struct wwr_bus *base, struct wwr_view channel,
                               const struct wwri_bus_member *member,
                               struct wwri_bus_op *op) {
  struct wwr_bus *shard = by_name(base, channel);
  return shard->ops->presence_set(shard, channel, member, op);
}

static wwr_err do_presence_list(struct wwr_bus *base, struct wwr_view channel,
                                struct wwri_bus_op *op) {
  struct wwr_bus *shard = by_name(base, channel);
  return shard->ops->presence_list(shard, channel, op);
}

static wwr_err do_subscribers(struct wwr_bus *base, struct wwr_view channel,
                              struct wwri_bus_op *op) {
  struct wwr_bus *shard = by_name(base, channel);
  return shard->ops->subscribers(shard, channel, op);
}

/* --- of all --- */

static void do_load(struct wwr_bus *base, uint64_t connections, bool draining) {
  struct wwri_shards_bus *bus = bus_of(base);
  for (size_t i = 0; i < bus->count; i++) {
    wwri_member_load(bus->members[i], connections, draining);
  }
}

/* All of them hear it, whichever carries it. */
static wwr_err do_control(struct wwr_bus *base, struct wwr_view topic,
                          struct wwr_view bytes, struct wwri_bus_op *op) {
  struct wwri_shards_bus *bus = bus_of(base);
  struct wwr_bus *shard = bus->buses[wwri_shards_ready(bus)];
  return shard->ops->control(shard, topic, bytes, op);
}

static size_t do_boots(struct wwr_bus *base, struct wwri_boot *out,
                       size_t cap) {
  struct wwri_shards_bus *bus = bus_of(base);
  size_t count = bus->count < cap ? bus->count : cap;
  for (size_t i = 0; i < count; i++) {
    out[i] = wwri_member_boot(bus->members[i]);
  }
  return count;
}

static size_t do_shards(struct wwr_bus *base, struct wwri_bus_shard *out,
                        size_t cap) {
  struct wwri_shards_bus *bus = bus_of(base);
  for (size_t i = 0; i < bus->count && i < cap; i++) {
    bus->buses[i]->ops->shards(bus->buses[i], &out[i], 1);
  }
  return bus->count;
}

/* --- health --- */

/* How many are in each state, and the first of the worst. */
struct survey {
  size_t counts[WWRI_BUS_REFUSED + 1];
  enum wwri_bus_health worst;
  size_t index;
  char reason[MEMBER_REASON_MAX];
};

static void look(const struct wwri_shards_bus *bus, struct survey *it) {
  *it = (struct survey){.worst = WWRI_BUS_READY};
  for (size_t i = 0; i < bus->count; i++) {
    char reason[MEMBER_REASON_MAX];
    enum wwri_bus_health health =
        wwri_member_health(bus->members[i], reason, sizeof reason);
    it->counts[health]++;
    if (health <= it->worst) continue;
    it->worst = health;
    it->index = i;
    memcpy(it->reason, reason, sizeof reason);
  }
}

static enum wwri_bus_health judge(const struct wwri_shards_bus *bus,
                                  const struct survey *it) {
  if (it->counts[WWRI_BUS_REFUSED]) return WWRI_BUS_REFUSED;
  if (it->counts[WWRI_BUS_READY] == bus->count) return WWRI_BUS_READY;
  if (it->counts[WWRI_BUS_UNREADY] == bus->count) return WWRI_BUS_UNREADY;
  return WWRI_BUS_HOLDING;
}

/* "1 of 3 shards: redis://10.0.0.2:6379: redis is away: ..." */
static void give_reason(const struct wwri_shards_bus *bus,
                        const struct survey *it, char out[MEMBER_REASON_MAX]) {
  size_t well = it->counts[WWRI_BUS_READY];
  out[0] = '\0';
  if (well == bus->count) return;
  if (it->worst == WWRI_BUS_REFUSED) {
    memcpy(out, it->reason, sizeof it->reason);
    return;
  }
  snprintf(out, MEMBER_REASON_MAX, "%zu of %zu %s: %.48s: %s",
           bus->count - well, bus->count, bus->unit,
           bus->members[it->index]->label, it->reason);
}

static void log_change(struct wwri_shards_bus *bus, const struct survey *it,
                       enum wwri_bus_health health, const char *reason) {
  const struct wwr_log *log = wwri_member_log(bus->members[0]);
  size_t away = it->counts[WWRI_BUS_UNREADY] + it->counts[WWRI_BUS_REFUSED];
  if (health == WWRI_BUS_UNREADY && bus->told != WWRI_BUS_UNREADY) {
    wwri_log(log, WWR_LOG_WARN, 0, "cluster not ready", "why", reason, NULL);
  } else if (health == WWRI_BUS_READY && bus->away > 0) {
    wwri_log(log, WWR_LOG_INFO, 0, "cluster ready", "node", bus->base.name,
             NULL);
  } else if (bus->quiet && away > 0 && bus->away == 0) {
    wwri_log(log, WWR_LOG_WARN, 0, "a part of the cluster is away", "why",
             reason, NULL);
  }
  if (away > 0 || health == WWRI_BUS_READY) bus->away = away;
}

/* Who closes it waits for this thread. */
static bool is_open(struct wwri_shards_bus *bus) {
  pthread_mutex_lock(&bus->mutex);
  bool open = bus->open;
  pthread_mutex_unlock(&bus->mutex);
  return open;
}

static void on_judge(struct wwri_flusher *flusher) {
  struct wwri_shards_bus *bus =
      WWRI_CONTAINER(flusher, struct wwri_shards_bus, judge);
  char reason[MEMBER_REASON_MAX];
  struct survey it;
  look(bus, &it);
  enum wwri_bus_health health = judge(bus, &it);
  give_reason(bus, &it, reason);
  log_change(bus, &it, health, reason);
  if (health == bus->told || !is_open(bus)) return;
  bus->told = health;
  if (bus->config.events->health) {
    bus->config.events->health(bus->config.owner, health);
  }
}

static void add_counts(struct wwri_bus_state *sum,
                       const struct wwri_bus_state *one) {
  sum->channels += one->channels;
  sum->published += one->published;
  sum->delivered += one->delivered;
  sum->repaired += one->repaired;
  sum->duplicates += one->duplicates;
  sum->lag_sum_ms += one->lag_sum_ms;
  for (size_t i = 0; i < 4; i++) sum->verdicts[i] += one->verdicts[i];
  for (size_t i = 0; i < WWRI_LAG_BUCKETS; i++) sum->lag[i] += one->lag[i];
  if (one->beat_age_ms > sum->beat_age_ms) sum->beat_age_ms = one->beat_age_ms;
}

static void do_state(struct wwr_bus *base, struct wwri_bus_state *out) {
  struct wwri_shards_bus *bus = bus_of(base);
  struct survey it;
  *out = (struct wwri_bus_state){.queued_bytes = atomic_load(&bus->queued)};
  for (size_t i = 0; i < bus->count; i++) {
    struct wwri_bus_state one;
    bus->buses[i]->ops->state(bus->buses[i], &one);
    add_counts(out, &one);
  }
  look(bus, &it);
  out->health = judge(bus, &it);
  give_reason(bus, &it, out->reason);
}

/* --- what their buses say --- */

static void on_health(void *owner, enum wwri_bus_health health) {
  struct wwri_shards_bus *bus = owner;
  (void)health;
  wwri_loop_flush_later(bus->loop, &bus->judge);
}

static void on_direct(void *owner, struct wwr_view topic,
                      struct wwr_view bytes) {
  const struct wwri_bus_config *config =
      &((struct wwri_shards_bus *)owner)->config;
  if (config->events->direct) {
    config->events->direct(config->owner, topic, bytes);
  }
}

static void on_control(void *owner, struct wwr_view topic,
                       struct wwr_view bytes) {
  const struct wwri_bus_config *config =
      &((struct wwri_shards_bus *)owner)->config;
  if (config->events->control) {
    config->events->control(config->owner, topic, bytes);
  }
}

static void on_control_lost(void *owner, const struct wwri_verdict *verdict) {
  const struct wwri_bus_config *config =
      &((struct wwri_shards_bus *)owner)->config;
  if (config->events->control_lost) {
    config->events->control_lost(config->owner, verdict);
  }
}

static const struct wwri_bus_events events = {.direct = on_direct,
                                              .control = on_control,
                                              .control_lost = on_control_lost,
                                              .health = on_health};

/* --- the queue's ceiling --- */

void wwri_shards_give(struct wwri_shards_bus *bus, size_t size) {
  atomic_fetch_sub(&bus->queued, size);
}

wwr_err wwri_shards_post(struct wwri_shards_bus *bus, struct wwri_mail *mail,
                         size_t size) {
  wwr_err err = WWR_OK;
  pthread_mutex_lock(&bus->mutex);
  if (!bus->open) {
    err = WWR_E_CLOSED;
  } else if (!wwri_redis_bus_take(&bus->queued, size,
                                  bus->config.max_queued_bytes)) {
    err = WWR_E_LIMIT;
  } else {
    wwri_loop_post(bus->loop, mail);
  }
  pthread_mutex_unlock(&bus->mutex);
  return err;
}

/* --- life --- */

/* Nothing is posted any more when the first of them begins to stop. */
static void stop_all(struct wwri_shards_bus *bus) {
  pthread_mutex_lock(&bus->mutex);
  bus->open = false;
  pthread_mutex_unlock(&bus->mutex);
  for (size_t i = 0; i < bus->count; i++) {
    wwri_member_stop_begin(bus->members[i]);
  }
  for (size_t i = 0; i < bus->count; i++) {
    wwri_member_stop_wait(bus->members[i]);
  }
}

static wwr_err open_all(struct wwri_shards_bus *bus,
                        const struct wwri_bus_config *config, uint64_t now_ms) {
  struct wwri_bus_config inner = *config;
  uint64_t started = wwri_member_unix_now();
  wwr_err err = WWR_OK;
  inner.events = &events;
  inner.owner = bus;
  for (size_t i = 0; i < bus->count && !err; i++) {
    wwri_member_set_started(bus->members[i], started);
    err = bus->buses[i]->ops->open(bus->buses[i], &inner, now_ms);
  }
  return err;
}

static wwr_err do_open(struct wwr_bus *base,
                       const struct wwri_bus_config *config, uint64_t now_ms) {
  struct wwri_shards_bus *bus = bus_of(base);
  if (!config->events || bus->config.events) return WWR_E_INVALID;
  bus->config = *config;
  bus->config.fingerprint = bus->config.address = NULL;
  bus->config.log = NULL;
  pthread_mutex_lock(&bus->mutex);
  bus->open = true;
  pthread_mutex_unlock(&bus->mutex);
  wwr_err err = open_all(bus, config, now_ms);
  if (err) stop_all(bus);
  return err;
}

static void do_close(struct wwr_bus *base) {
  struct wwri_shards_bus *bus = bus_of(base);
  if (bus->config.events) stop_all(bus);
}

static void do_run(struct wwr_bus *base, uint64_t now_ms) {
  (void)base, (void)now_ms; /* it has a thread */
}

/* It goes with its cluster. */
static void do_free(struct wwr_bus *base) {
  (void)base;
}

static const struct wwri_bus_ops ops = {.open = do_open,
                                        .close = do_close,
                                        .run = do_run,
                                        .subscribe = do_subscribe,
                                        .join = do_join,
                                        .unsubscribe = do_unsubscribe,
                                        .pressure = do_pressure,
                                        .publish = do_publish,
                                        .history = do_history,
                                        .presence_set = do_presence_set,
                                        .presence_list = do_presence_list,
                                        .subscribers = do_subscribers,
                                        .nodes = wwri_shards_nodes,
                                        .load = do_load,
                                        .send = wwri_shards_send,
                                        .control = do_control,
                                        .boots = do_boots,
                                        .state = do_state,
                                        .shards = do_shards,
                                        .free = do_free};

wwr_err wwri_shards_bus_new(struct wwr_bus **out,
                            const struct wwri_shards_opts *opts) {
  struct wwri_shards_bus *bus = calloc(1, sizeof *bus);
  if (!bus) return WWR_E_NOMEM;
  bus->base = (struct wwr_bus){.ops = &ops, .name = opts->name};
  bus->loop = opts->loop;
  bus->count = opts->count;
  bus->members = opts->members;
  bus->buses = opts->buses;
  bus->of_partition = opts->of_partition;
  bus->unit = opts->partitions ? "partitions" : "shards";
  bus->quiet = opts->partitions;
  bus->told = WWRI_BUS_UNREADY;
  bus->away = bus->count;
  pthread_mutex_init(&bus->mutex, NULL); /* can't fail without attributes */
  wwri_flusher_init(&bus->judge, on_judge);
  for (size_t i = 0; i < bus->count; i++) {
    wwri_redis_bus_share(bus->buses[i], &bus->queued);
  }
  *out = &bus->base;
  return WWR_OK;
}

void wwri_shards_bus_delete(struct wwr_bus *base) {
  if (!base) return;
  pthread_mutex_destroy(&bus_of(base)->mutex);
  free(bus_of(base));
}
