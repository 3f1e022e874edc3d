/* bus_ledger_sum.c - what the ledger amounts to. The nodes are closed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus_ledger_impl.h"

static const struct ledger_pub *pub_of(struct ledger_got got) {
  return ledger.nodes[got.from].pubs[got.n];
}

static bool was_acked(const struct ledger_pub *pub) {
  return pub->taken && pub->ended && pub->err == WWR_OK;
}

static void sum_channel(struct ledger_sums *sums,
                        const struct ledger_pub *pub) {
  if (pub->channel == LEDGER_CHANNELS) return;
  struct ledger_channel_sums *channel = &sums->channels[pub->channel];
  int64_t took = pub->ended_ms - pub->made_ms;
  if (was_acked(pub)) {
    channel->acked++;
    if (took > channel->longest_ack_ms) channel->longest_ack_ms = took;
  } else if (pub->certain) {
    channel->failed++;
  } else {
    channel->unknown++;
  }
}

static void sum_ways(struct ledger_sums *sums,
                     const struct ledger_receiver *r) {
  if (r->channel == LEDGER_CHANNELS) return;
  struct ledger_channel_sums *channel = &sums->channels[r->channel];
  channel->verdicts += r->verdict_count;
  for (size_t i = 0; i < r->count; i++) {
    if (r->got[i].way_ms > channel->longest_way_ms) {
      channel->longest_way_ms = r->got[i].way_ms;
    }
  }
}

/* The first few, to look into. */
static void tell_failure(const struct ledger_pub *pub, uint64_t nth) {
  if (nth > 3) return;
  printf("failed: message %u of channel %u after %lld ms: %s\n", pub->from,
         pub->channel, (long long)(pub->ended_ms - pub->made_ms),
         wwr_err_text(pub->err));
}

static void sum_publishes(struct ledger_sums *sums) {
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    const struct ledger_node *node = &ledger.nodes[i];
    for (uint32_t n = 0; n < node->count; n++) {
      const struct ledger_pub *pub = node->pubs[n];
      if (!pub->taken) continue;
      int64_t took = pub->ended_ms - pub->made_ms;
      if (pub->channel == LEDGER_CHANNELS) sums->controls++;
      sums->published++;
      sum_channel(sums, pub);
      if (was_acked(pub)) {
        sums->acked++;
        if (took > sums->longest_ack_ms) sums->longest_ack_ms = took;
      } else if (pub->certain) {
        tell_failure(pub, ++sums->failed);
      } else {
        sums->unknown++;
      }
    }
  }
}

/* LOST names what the log no longer had, RESET all up to its end. UNCERTAIN
 * and DIVERGED excuse nothing: every publisher is alive. */
static bool names(const struct wwri_verdict *verdict, struct wwri_logid id) {
  if (wwri_logid_compare(id, verdict->to) > 0) return false;
  if (verdict->kind == WWRI_RESET) return true;
  return verdict->kind == WWRI_LOST &&
         wwri_logid_compare(id, verdict->from) >= 0;
}

static bool is_named(const struct ledger_receiver *r, struct wwri_logid id) {
  unsigned count = r->verdict_count;
  if (count > MAX_VERDICTS) count = MAX_VERDICTS;
  for (unsigned i = 0; i < count; i++) {
    if (names(&r->verdicts[i], id)) return true;
  }
  return false;
}

static void not_received(struct ledger_sums *sums,
                         const struct ledger_receiver *r,
                         const struct ledger_pub *pub, uint32_t n) {
  const struct ledger_receiver *origin =
      &ledger.nodes[pub->from].receivers[r->channel];
  bool excused = is_named(r, pub->id) || is_named(origin, pub->id);
  bool control = r->channel == LEDGER_CHANNELS;
  if (control) {
    if (excused || r->verdict_count) {
      sums->controls_excused++;
    } else {
      sums->controls_lost++;
    }
    return;
  }
  if (excused) {
    sums->excused++;
    return;
  }
  if (sums->lost++ < 5) {
    printf("lost: %u:%u of channel %u at node %u, id %llu-%llu\n", pub->from, n,
           r->channel, r->node, (unsigned long long)pub->id.epoch,
           (unsigned long long)pub->id.offset);
  }
}

static void bad(struct ledger_sums *sums, const struct ledger_receiver *r,
                uint64_t *which, const char *what, struct ledger_got got) {
  bool order = which == &sums->reordered || which == &sums->disordered;
  if (r->channel == LEDGER_CHANNELS) {
    which = order ? &sums->controls_reordered : &sums->controls_bad;
  }
  if ((*which)++ < 5) {
    printf("%s: %u:%u of channel %u at node %u\n", what, got.from, got.n,
           r->channel, r->node);
  }
}

/* times[from][n]: how often it was received, for one receiver. */
static uint8_t *times[LEDGER_NODES];

static void sum_receiver(struct ledger_sums *sums,
                         const struct ledger_receiver *r) {
  int64_t last[LEDGER_NODES];
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    last[i] = -1;
    memset(times[i], 0, MAX_EACH);
  }
  for (size_t i = 0; i < r->count; i++) {
    struct ledger_got got = r->got[i];
    const struct ledger_pub *pub = pub_of(got);
    if (times[got.from][got.n]++) {
      bad(sums, r, &sums->duplicates, "duplicate", got);
      continue;
    }
    if (got.n < last[got.from]) {
      bad(sums, r, &sums->reordered, "reordered", got);
    }
    last[got.from] = got.n;
    if (!pub->taken || (pub->err && pub->certain)) {
      bad(sums, r, &sums->lied, "lied", got);
    }
    if (r->channel != LEDGER_CHANNELS) sums->received++;
  }
  for (unsigned from = 0; from < LEDGER_NODES; from++) {
    const struct ledger_node *node = &ledger.nodes[from];
    for (uint32_t n = 0; n < node->count; n++) {
      const struct ledger_pub *pub = node->pubs[n];
      if (pub->channel != r->channel || !was_acked(pub)) continue;
      if (r->channel != LEDGER_CHANNELS) sums->expected++;
      if (!times[from][n]) not_received(sums, r, pub, n);
    }
  }
}

/* Two receivers of a channel: what both got, both got in one order, unless one
 * says that it diverged. */
static void compare(struct ledger_sums *sums, const struct ledger_receiver *a,
                    const struct ledger_receiver *b) {
  uint32_t *place[LEDGER_NODES];
  uint32_t last = 0;
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    place[i] = calloc(MAX_EACH, sizeof *place[i]);
    if (!place[i]) abort();
  }
  for (size_t i = 0; i < a->count; i++) {
    place[a->got[i].from][a->got[i].n] = (uint32_t)i + 1;
  }
  for (size_t i = 0; i < b->count; i++) {
    uint32_t at = place[b->got[i].from][b->got[i].n];
    if (at == 0) continue;
    if (at < last) bad(sums, b, &sums->disordered, "disordered", b->got[i]);
    last = at;
  }
  for (unsigned i = 0; i < LEDGER_NODES; i++) free(place[i]);
}

static bool diverged(const struct ledger_receiver *r) {
  unsigned count = r->verdict_count;
  if (count > MAX_VERDICTS) count = MAX_VERDICTS;
  for (unsigned i = 0; i < count; i++) {
    if (r->verdicts[i].kind == WWRI_DIVERGED) return true;
    if (r->verdicts[i].kind == WWRI_RESET) return true;
  }
  return false;
}

static void sum_recovery(struct ledger_sums *sums) {
  int64_t last = ledger.fault_over_ms;
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    if (ledger.nodes[i].fresh_ms > last) last = ledger.nodes[i].fresh_ms;
    for (unsigned j = 0; j < LEDGER_CHANNELS; j++) {
      int64_t fresh = ledger.nodes[i].receivers[j].fresh_ms;
      if (fresh > last) last = fresh;
    }
  }
  sums->recovery_ms = last - ledger.fault_over_ms;
}

void ledger_sum(struct ledger_sums *sums) {
  *sums = (struct ledger_sums){0};
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    times[i] = calloc(1, MAX_EACH);
    if (!times[i]) abort();
  }
  sum_publishes(sums);
  for (unsigned i = 0; i < LEDGER_NODES; i++) {
    for (unsigned j = 0; j <= LEDGER_CHANNELS; j++) {
      const struct ledger_receiver *r = &ledger.nodes[i].receivers[j];
      unsigned count = r->verdict_count;
      if (count > MAX_VERDICTS) count = MAX_VERDICTS;
      for (unsigned k = 0; k < count; k++)
        sums->verdicts[r->verdicts[k].kind]++;
      sum_receiver(sums, r);
      sum_ways(sums, r);
      const struct ledger_receiver *first = &ledger.nodes[0].receivers[j];
      if (i > 0 && !diverged(r) && !diverged(first)) compare(sums, first, r);
    }
  }
  sum_recovery(sums);
  for (unsigned i = 0; i < LEDGER_NODES; i++) free(times[i]);
}
