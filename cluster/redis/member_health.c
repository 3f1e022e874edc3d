/* member_health.c - what people and load balancers hear: ready, holding for the
 * hold time, then unready; refused until the settings agree.
 *
 * A node that never was live is unready, and so is one that Redis does not let
 * in: waiting does not help there. */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "member_impl.h"

static enum wwri_bus_health judge(struct wwri_member *member, uint64_t now) {
  if (member->difference[0]) return WWRI_BUS_REFUSED;
  if (member->node.live && member->told_live && !member->suspect &&
      !member->hung) {
    member->was_live = true;
    member->down_since_ms = 0;
    return WWRI_BUS_READY;
  }
  if (!member->down_since_ms) member->down_since_ms = now;
  if (!member->was_live || member->no_auth) return WWRI_BUS_UNREADY;
  uint64_t away = now - member->down_since_ms;
  if (away >= member->opts.hold_ms) return WWRI_BUS_UNREADY;
  wwri_loop_timer_set(member->loop, &member->hold_timer,
                      member->opts.hold_ms - away);
  return WWRI_BUS_HOLDING;
}

static void give_reason(const struct wwri_member *member,
                        enum wwri_bus_health health,
                        char out[MEMBER_REASON_MAX]) {
  const char *trouble = member->trouble;
  if (health == WWRI_BUS_READY) {
    out[0] = '\0';
  } else if (health == WWRI_BUS_REFUSED) {
    snprintf(out, MEMBER_REASON_MAX, "%s", member->difference);
  } else if (member->hung) {
    snprintf(out, MEMBER_REASON_MAX, "an I/O thread hangs");
  } else {
    snprintf(out, MEMBER_REASON_MAX, "redis is away: %s",
             trouble[0] ? trouble : "not connected yet");
  }
}

static void log_change(const struct wwri_member *member,
                       enum wwri_bus_health before, enum wwri_bus_health now) {
  const struct wwr_log *log = &member->opts.log;
  const bool whole = !member->several;
  if (member->slot >= 0) return; /* one of 64: the bus says it for all */
  if (now == WWRI_BUS_UNREADY) {
    wwri_log(log, WWR_LOG_WARN, 0,
             whole ? "cluster not ready" : "a shard is not ready", "why",
             member->locked.reason, MEMBER_SHARD(member), NULL);
  } else if (now == WWRI_BUS_READY && before != WWRI_BUS_HOLDING) {
    wwri_log(log, WWR_LOG_INFO, 0, whole ? "cluster ready" : "a shard is ready",
             "node", member->name, "boot", member->boot_hex,
             MEMBER_SHARD(member), NULL);
  }
}

static void tell(struct wwri_member_user *user, void *arg) {
  (void)arg;
  if (user->health) user->health(user);
}

void wwri_member_judge(struct wwri_member *member) {
  if (member->phase != MEMBER_STARTED) return;
  enum wwri_bus_health health = judge(member, wwri_member_now());
  char reason[MEMBER_REASON_MAX];
  give_reason(member, health, reason);
  pthread_mutex_lock(&member->lock);
  enum wwri_bus_health before = member->locked.health;
  member->locked.health = health;
  memcpy(member->locked.reason, reason, sizeof reason);
  pthread_mutex_unlock(&member->lock);
  if (health == before) return;
  log_change(member, before, health);
  wwri_member_each(member, tell, NULL);
}

void wwri_member_health_end(struct wwri_member *member) {
  wwri_loop_timer_cancel(member->loop, &member->hold_timer);
  pthread_mutex_lock(&member->lock);
  member->locked.health = WWRI_BUS_UNREADY;
  snprintf(member->locked.reason, sizeof member->locked.reason, "stopped");
  pthread_mutex_unlock(&member->lock);
}

static void on_hold_over(struct wwri_timer *timer) {
  wwri_member_judge(WWRI_CONTAINER(timer, struct wwri_member, hold_timer));
}

void wwri_member_health_init(struct wwri_member *member) {
  wwri_timer_init(&member->hold_timer, on_hold_over);
  member->locked.health = WWRI_BUS_UNREADY;
  give_reason(member, WWRI_BUS_UNREADY, member->locked.reason);
}

enum wwri_bus_health wwri_member_health(struct wwri_member *member,
                                        char *reason, size_t cap) {
  pthread_mutex_lock(&member->lock);
  enum wwri_bus_health health = member->locked.health;
  if (reason) snprintf(reason, cap, "%s", member->locked.reason);
  pthread_mutex_unlock(&member->lock);
  return health;
}
