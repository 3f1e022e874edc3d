/* The bus of a server: made or taken over, opened at the start, run where it
 * has no thread of its own, watched, and closed at the end.
 *
 * The server does not know which bus it has. Every bus is run on the first
 * shard's loop, when it asks and once a second; one with a thread of its own
 * has nothing to do there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "internal.h"

enum { QUEUED_MIN = 8 << 20, RUN_RETRY_MS = 2, UNHEARD = -1 };

static struct wwri_loop *loop_of(struct wwr_server *server) {
  return server->loops[0];
}

static uint64_t unix_ms(void) {
  return (uint64_t)wwri_unix_now_ns() / 1000000;
}

/* --- Running it ----------------------------------------------------------- */

/* A shard that can't keep up makes publishers wait: their calls stay with the
 * bus, which refuses more of them. Not for long: it must not hold the others.
 */
static bool too_early(struct wwr_server *server) {
  struct wwri_channels *channels = &server->channels;
  uint64_t now = wwri_loop_now_ms(loop_of(server));
  bool full = false;
  for (size_t i = 0; i < server->shard_count; i++) {
    full |=
        atomic_load(&server->shards[i].channels.waiting) > channels->items_soft;
  }
  if (!full) {
    channels->run.late_since_ms = 0;
    return false;
  }
  if (!channels->run.late_since_ms) channels->run.late_since_ms = now;
  if (now - channels->run.late_since_ms < WWRI_SOFT_WAIT_MS) return true;
  channels->run.late_since_ms = now; /* a little, and wait again */
  return false;
}

static void run_bus(struct wwr_server *server) {
  struct wwri_channels *channels = &server->channels;
  if (!atomic_load(&channels->open)) return;
  if (too_early(server)) {
    wwri_loop_timer_set(loop_of(server), &channels->run.retry, RUN_RETRY_MS);
    return;
  }
  channels->bus->ops->run(channels->bus, unix_ms());
}

static void run_arrived(struct wwri_mail *mail) {
  struct wwr_server *server =
      WWRI_CONTAINER(mail, struct wwr_server, channels.run.mail);
  atomic_store(&server->channels.run.posted, false);
  run_bus(server);
}

static void retry_fired(struct wwri_timer *timer) {
  run_bus(WWRI_CONTAINER(timer, struct wwr_server, channels.run.retry));
}

static void on_wake(void *owner) {
  struct wwr_server *server = owner;
  if (atomic_exchange(&server->channels.run.posted, true)) return;
  wwri_loop_post(loop_of(server), &server->channels.run.mail);
}

static void pulse_arrived(struct wwri_mail *mail) {
  struct wwri_shard *shard =
      WWRI_CONTAINER(mail, struct wwri_shard, channels.pulse);
  atomic_store(&shard->channels.pulsing, false);
}

/* True when all loops have turned since the last beat; asks each again. */
static bool all_turn(struct wwr_server *server) {
  bool all = true;
  for (size_t i = 0; i < server->shard_count; i++) {
    struct wwri_shard *shard = &server->shards[i];
    if (atomic_exchange(&shard->channels.pulsing, true)) {
      all = false;
    } else {
      wwri_loop_post(shard->loop, &shard->channels.pulse);
    }
  }
  return all;
}

static void tell_load(struct wwr_server *server) {
  struct wwr_bus *bus = server->channels.bus;
  bus->ops->load(bus, atomic_load(&server->live_pipes),
                 atomic_load(&server->draining));
}

void wwri_channels_tell_load(struct wwr_server *server) {
  if (atomic_load(&server->channels.open)) tell_load(server);
}

/* Other nodes must not wait for one of which a loop hangs: the bus hears that
 * they turn, or nothing. */
static void beat_fired(struct wwri_timer *timer) {
  struct wwr_server *server =
      WWRI_CONTAINER(timer, struct wwr_server, channels.run.beat);
  struct wwri_channels *channels = &server->channels;
  if (channels->own || all_turn(server)) tell_load(server);
  run_bus(server);
  wwri_loop_timer_set(loop_of(server), timer, channels->beat_ms);
}

/* --- Health --------------------------------------------------------------- */

static void health_arrived(struct wwri_mail *mail) {
  struct wwr_server *server =
      WWRI_CONTAINER(mail, struct wwr_server, channels.health_mail);
  struct wwri_channels *channels = &server->channels;
  struct wwri_bus_state state;
  atomic_store(&channels->health_posted, false);
  int health = atomic_load(&channels->health);
  if (health == channels->run.told_health) return;
  channels->run.told_health = health;
  channels->bus->ops->state(channels->bus, &state);
  wwri_log(&server->opts.log,
           health == WWR_HEALTH_READY ? WWR_LOG_INFO : WWR_LOG_WARN, 0,
           "cluster health", "health", wwr_health_name((enum wwr_health)health),
           "reason", state.reason, NULL);
  const struct wwr_server_opts *opts = &server->opts;
  if (opts->hooks.on_health) {
    opts->hooks.on_health(server, (enum wwr_health)health, opts->user_data);
  }
}

static void on_health(void *owner, enum wwri_bus_health health) {
  struct wwr_server *server = owner;
  atomic_store(&server->channels.health, (int)health);
  if (atomic_exchange(&server->channels.health_posted, true)) return;
  wwri_loop_post(loop_of(server), &server->channels.health_mail);
}

const char *wwri_channels_refusal(struct wwr_server *server) {
  if (!atomic_load(&server->channels.open)) return "starting\n";
  if (atomic_load(&server->channels.health) == WWR_HEALTH_REFUSED) {
    return "refused by the cluster\n";
  }
  return NULL;
}

bool wwri_channels_ready(struct wwr_server *server, char *reason, size_t cap) {
  struct wwri_bus_state state;
  server->channels.bus->ops->state(server->channels.bus, &state);
  snprintf(reason, cap, "%s\n", state.reason);
  return state.health == WWRI_BUS_READY || state.health == WWRI_BUS_HOLDING;
}

void wwr_server_cluster(const struct wwr_server *server,
                        struct wwr_cluster_state *out) {
  struct wwri_bus_state state;
  server->channels.bus->ops->state(server->channels.bus, &state);
  *out = (struct wwr_cluster_state){.health = (enum wwr_health)state.health,
                                    .channels = state.channels,
                                    .published = state.published,
                                    .delivered = state.delivered,
                                    .repaired = state.repaired,
                                    .duplicates = state.duplicates};
  out->beat_age_ms = state.beat_age_ms;
  out->queued_bytes = state.queued_bytes;
  out->lag_sum_ms = state.lag_sum_ms;
  _Static_assert(sizeof out->lag == sizeof state.lag, "the same buckets");
  memcpy(out->lag, state.lag, sizeof out->lag);
  memcpy(out->reason, state.reason, sizeof out->reason);
  memcpy(out->verdicts, state.verdicts, sizeof out->verdicts);
  out->verdicts[WWR_VERDICT_LOST] += atomic_load(&server->channels.lost);
}

static void copy_shard(struct wwr_shard_row *out,
                       const struct wwri_bus_shard *from) {
  *out = (struct wwr_shard_row){.partitions = from->partitions,
                                .slot = from->slot,
                                .health = (enum wwr_health)from->health,
                                .channels = from->channels,
                                .published = from->published,
                                .delivered = from->delivered,
                                .reconnects = from->reconnects,
                                .beat_age_ms = from->beat_age_ms,
                                .rtt_ms = from->rtt_ms};
  _Static_assert(sizeof out->name == sizeof from->name, "the same text");
  memcpy(out->name, from->name, sizeof out->name);
  memcpy(out->address, from->address, sizeof out->address);
  memcpy(out->reason, from->reason, sizeof out->reason);
}

size_t wwr_server_shards(const struct wwr_server *server,
                         struct wwr_shard_row *rows, size_t max) {
  struct wwr_bus *bus = server->channels.bus;
  if (!bus->ops->shards) return 0;
  struct wwri_bus_shard *shards = calloc(WWR_SHARDS_MAX, sizeof *shards);
  if (!shards) return 0;
  size_t count = bus->ops->shards(bus, shards, WWR_SHARDS_MAX);
  for (size_t i = 0; i < count && i < max; i++)
    copy_shard(&rows[i], &shards[i]);
  free(shards);
  return count;
}

/* --- Making --------------------------------------------------------------- */

static bool random_words(uint64_t *out, size_t count) {
  /* Short reads do not happen below 256 bytes. */
  return getrandom(out, count * sizeof *out, 0) ==
         (ssize_t)(count * sizeof *out);
}

wwr_err wwri_channels_init(struct wwr_server *server) {
  struct wwri_channels *channels = &server->channels;
  uint64_t random[3];
  if (!random_words(random, 3)) return WWR_E_IO;
  channels->process = random[0] | 1; /* 0 names nobody */
  atomic_init(&channels->health, UNHEARD);
  channels->run.told_health = UNHEARD;
  channels->linger_ms = WWRI_LINGER_MS;
  channels->turn_steps = WWRI_TURN_STEPS;
  channels->beat_ms = WWRI_BEAT_MS;
  channels->stuck_ms = WWRI_STUCK_MS;
  channels->crowd_ms = WWRI_CROWD_MS;
  channels->few_ms = WWRI_FEW_MS;
  channels->held_ms = WWRI_HELD_MS;
  channels->items_soft = WWRI_ITEMS_SOFT;
  channels->items_max = WWRI_ITEMS_MAX;
  channels->run.mail.fn = run_arrived;
  channels->health_mail.fn = health_arrived;
  wwri_timer_init(&channels->run.beat, beat_fired);
  wwri_timer_init(&channels->run.retry, retry_fired);
  pthread_mutex_init(&channels->lock, NULL);
  wwri_channel_cache_init(&channels->cache);
  wwri_presence_init(server);
  wwri_commands_init(server);
  for (size_t i = 0; i < server->shard_count; i++) {
    wwri_shard_channels_init(&server->shards[i]);
    server->shards[i].channels.pulse.fn = pulse_arrived;
  }
  channels->bus = server->opts.bus;
  if (channels->bus) return WWR_OK;
  struct wwri_boot boot = {random[1], random[2]};
  wwr_err err = wwri_localbus_new(&channels->own, boot);
  channels->bus = channels->own;
  return err;
}

void wwri_channels_deinit(struct wwr_server *server) {
  struct wwri_channels *channels = &server->channels;
  if (!channels->process) return;
  for (size_t i = 0; i < server->shard_count; i++) {
    wwri_shard_channels_deinit(&server->shards[i]);
  }
  wwri_presence_deinit(server);
  wwri_channel_cache_deinit(&channels->cache);
  wwri_frame_unref(channels->bus_thread.frame);
  pthread_mutex_destroy(&channels->lock);
  if (channels->own) channels->own->ops->free(channels->own);
}

/* --- Opening and closing -------------------------------------------------- */

static void start_arrived(struct wwri_mail *mail) {
  struct wwr_server *server =
      WWRI_CONTAINER(mail, struct wwr_server, channels.run.start);
  server->channels.run.begun = true;
  beat_fired(&server->channels.run.beat);
}

static void on_control(void *owner, struct wwr_view topic,
                       struct wwr_view bytes) {
  wwri_command_heard(owner, topic, bytes);
}

static const struct wwri_bus_events bus_events = {
    .control = on_control, .health = on_health, .wake = on_wake};

/* What makes nodes of one cluster misunderstand each other if it differs. */
static void fingerprint_of(const struct wwr_server_opts *opts, char *out,
                           size_t cap) {
  snprintf(out, cap,
           "message-buffer=%u\nmax-session-connections=%u\nsubprotocol=%s\n",
           opts->message_buffer_bytes, opts->max_session_conns,
           opts->subprotocol);
}

wwr_err wwri_channels_open(struct wwr_server *server, const char *address) {
  struct wwri_channels *channels = &server->channels;
  const struct wwr_server_opts *opts = &server->opts;
  struct wwri_bus_config config;
  struct wwri_bus_state state;
  size_t cap = strlen(opts->subprotocol) + 128;
  char *fingerprint = malloc(cap);
  if (!fingerprint) return WWR_E_NOMEM;
  fingerprint_of(opts, fingerprint, cap);
  wwri_bus_config_default(&config);
  config.events = &bus_events;
  config.owner = server;
  config.max_payload_bytes = opts->message_buffer_bytes;
  config.max_queued_bytes = QUEUED_MIN;
  if (opts->message_buffer_bytes > QUEUED_MIN / 4) {
    config.max_queued_bytes = opts->message_buffer_bytes * 4;
  }
  config.fingerprint = fingerprint;
  config.address = address;
  config.log = &opts->log;
  wwr_err err = channels->bus->ops->open(channels->bus, &config, unix_ms());
  free(fingerprint);
  if (err != WWR_OK) return err;
  channels->bus->ops->state(channels->bus, &state);
  int unheard = UNHEARD; /* the event knows better */
  (void)atomic_compare_exchange_strong(&channels->health, &unheard,
                                       (int)state.health);
  atomic_store(&channels->open, true);
  channels->run.start.fn = start_arrived;
  wwri_loop_post(loop_of(server), &channels->run.start);
  return WWR_OK;
}

struct closing {
  struct wwri_mail mail;
  struct wwr_server *server;
  struct wwri_waiter waiter;
};

static void close_here(struct wwri_mail *mail) {
  struct closing *closing = WWRI_CONTAINER(mail, struct closing, mail);
  struct wwri_channels *channels = &closing->server->channels;
  struct wwri_loop *loop = loop_of(closing->server);
  wwri_loop_timer_cancel(loop, &channels->run.beat);
  wwri_loop_timer_cancel(loop, &channels->run.retry);
  channels->bus->ops->close(channels->bus);
  wwri_commands_close(closing->server);
  wwri_waiter_wake(&closing->waiter, WWR_OK);
}

void wwri_channels_close(struct wwr_server *server) {
  struct closing closing = {.mail.fn = close_here, .server = server};
  if (!atomic_exchange(&server->channels.open, false)) return;
  wwri_waiter_init(&closing.waiter);
  wwri_loop_post(loop_of(server), &closing.mail);
  (void)wwri_waiter_wait(&closing.waiter);
}

/* --- Promised callbacks --------------------------------------------------- */

void wwri_channels_call_begin(struct wwr_server *server) {
  atomic_fetch_add(&server->channels.calls, 1);
}

void wwri_channels_call_end(struct wwr_server *server) {
  if (atomic_fetch_sub(&server->channels.calls, 1) == 1) {
    wwri_shutdown_nudge(server);
  }
}

bool wwri_channels_quiet(const struct wwr_server *server) {
  return atomic_load(&server->channels.calls) == 0;
}
