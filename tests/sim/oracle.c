/* oracle.c - the invariants, checked as things happen. */
#include "oracle.h"

#include <stdarg.h>
#include <string.h>

typedef struct wwri_logid logid;

static unsigned long long ull(uint64_t value) {
  return value;
}

void oracle_trace(struct oracle *oracle, const char *format, ...) {
  if (!oracle->trace) return;
  va_list args;
  va_start(args, format);
  fprintf(oracle->trace, "%8llu ", ull(oracle->now_ms));
  vfprintf(oracle->trace, format, args);
  fputc('\n', oracle->trace);
  va_end(args);
}

void oracle_fail(struct oracle *oracle, const char *format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (oracle->violations++ == 0) {
    snprintf(oracle->first, sizeof oracle->first, "%llu ms: %.230s",
             ull(oracle->now_ms), text);
  }
  oracle_trace(oracle, "VIOLATION %s", text);
}

/* --- calls --- */

struct call *oracle_call(struct oracle *oracle, unsigned proc, unsigned channel,
                         struct wwri_boot boot, uint64_t seq) {
  if (oracle->call_count == CALLS_MAX || seq >= CALLS_MAX) return NULL;
  struct call *call = &oracle->calls[oracle->call_count++];
  *call = (struct call){.proc = proc,
                        .channel = channel,
                        .boot = boot,
                        .seq = seq,
                        .at_ms = oracle->now_ms};
  memcpy(call->data, &seq, sizeof call->data);
  oracle->by_seq[proc][seq] = oracle->call_count;
  return call;
}

struct call *oracle_find(struct oracle *oracle, struct wwri_boot boot,
                         uint64_t seq) {
  if (boot.hi >= PROCS || seq >= CALLS_MAX) return NULL;
  unsigned index = oracle->by_seq[boot.hi][seq];
  if (!index || oracle->calls[index - 1].boot.lo != boot.lo) return NULL;
  return &oracle->calls[index - 1];
}

static bool has_id(const struct call *call, logid id) {
  for (unsigned i = 0; i < call->id_count; i++) {
    if (wwri_logid_equal(call->ids[i], id)) return true;
  }
  return false;
}

void oracle_outcome(struct oracle *oracle, struct call *call,
                    enum wwri_outcome outcome, logid id) {
  if (call->state != CALL_OPEN) {
    oracle_fail(oracle, "call %llu ended twice", ull(call->seq));
  }
  call->state = outcome == WWRI_ACKED     ? CALL_ACKED
                : outcome == WWRI_UNKNOWN ? CALL_UNKNOWN
                                          : CALL_FAILED;
  call->acked_ms = oracle->now_ms;
  oracle_trace(oracle, "node %u: c%u #%llu %s %llu-%llu", call->proc,
               call->channel, ull(call->seq),
               outcome == WWRI_ACKED    ? "acked"
               : outcome == WWRI_FAILED ? "failed"
                                        : "unknown",
               ull(id.epoch), ull(id.offset));
  if (outcome == WWRI_ACKED) oracle->acked++;
  if (outcome == WWRI_ACKED && !has_id(call, id)) {
    oracle_fail(oracle, "acknowledged, not appended: c%u #%llu", call->channel,
                ull(call->seq));
  }
  if (outcome == WWRI_FAILED && call->id_count) {
    oracle_fail(oracle, "appended, yet certainly failed: c%u #%llu",
                call->channel, ull(call->seq));
  }
}

/* --- the log --- */

static struct id_record *id_slot(struct oracle *oracle, unsigned channel,
                                 logid id) {
  uint64_t hash = (id.epoch * 31 + id.offset) * 31 + channel;
  hash *= 0x9e3779b97f4a7c15u;
  size_t at = (size_t)(hash >> 40) % ID_SLOTS;
  while (!wwri_logid_none(oracle->ids[at].id) &&
         !(wwri_logid_equal(oracle->ids[at].id, id) &&
           oracle->ids[at].channel == channel)) {
    at = (at + 1) % ID_SLOTS;
  }
  return &oracle->ids[at];
}

static int call_index(struct oracle *oracle, const struct wwri_entry *entry) {
  if (entry->fork) return -1;
  struct call *call = oracle_find(oracle, entry->pos.boot, entry->pos.seq);
  return call ? (int)(call - oracle->calls) : -2;
}

void oracle_added(struct oracle *oracle, const struct server *server,
                  bool stale, unsigned channel,
                  const struct wwri_entry *entry) {
  logid id = entry->pos.id;
  struct id_record *slot = id_slot(oracle, channel, id);
  int index = call_index(oracle, entry);
  oracle_trace(oracle, "server %u: c%u %llu-%llu = %s%llu-%llu", server->index,
               channel, ull(id.epoch), ull(id.offset),
               entry->fork ? "fork of " : "#",
               ull(entry->fork ? entry->parent.epoch : entry->pos.boot.hi),
               ull(entry->fork ? entry->parent.offset : entry->pos.seq));
  if (!wwri_logid_none(slot->id) && slot->call != index) {
    oracle_fail(oracle, "one id, two messages: c%u %llu-%llu", channel,
                ull(id.epoch), ull(id.offset));
  }
  if (wwri_logid_none(slot->id) && ++oracle->id_count < ID_SLOTS - 1) {
    *slot = (struct id_record){channel, id, index};
  }
  if (index < 0) return;
  struct call *call = &oracle->calls[index];
  if (call->state == CALL_FAILED) {
    oracle_fail(oracle, "appended after a certain failure: #%llu",
                ull(call->seq));
  }
  const struct stream *stream = &server->streams[channel];
  unsigned copies = 0;
  for (size_t i = 0; call->id_count && i < stream->count; i++) {
    const struct wwri_pos *pos = &stream->entries[stream->first + i].pos;
    copies += pos->seq == call->seq && wwri_boot_equal(pos->boot, call->boot);
  }
  if (copies > 1) {
    oracle_fail(oracle, "twice in the log: c%u #%llu", channel, ull(call->seq));
  }
  call->stale |= stale;
  if (call->id_count < IDS_MAX) call->ids[call->id_count++] = id;
}

/* What was submitted again after the log forgot it is nobody's backlog; nor is
 * what its node gave up, which may be executed behind its back. */
static bool is_paced(const struct call *call) {
  return call && call->paced && call->id_count == 1 &&
         call->state != CALL_UNKNOWN;
}

void oracle_ahead(struct oracle *oracle, const struct server *server,
                  unsigned channel, unsigned proc, logid at, unsigned most) {
  const struct stream *stream = &server->streams[channel];
  unsigned own = 0;
  for (size_t i = stream->count; i > 0; i--) {
    const struct wwri_pos *pos = &stream->entries[stream->first + i - 1].pos;
    if (wwri_logid_compare(pos->id, at) <= 0) break;
    own += pos->boot.hi == proc &&
           is_paced(oracle_find(oracle, pos->boot, pos->seq));
  }
  if (own <= most) return;
  oracle_fail(oracle, "%u of its own beyond what it read: node %u c%u", own,
              proc, channel);
}

/* --- receivers --- */

static bool covers(const struct wwri_verdict *verdict, logid id) {
  bool below = wwri_logid_compare(id, verdict->to) <= 0;
  if (verdict->kind == WWRI_RESET) return below;
  return verdict->kind == WWRI_LOST && below &&
         wwri_logid_compare(id, verdict->from) >= 0;
}

/* Redis evicted the log, its meta and the generation, and the clock it numbered
 * the next epoch by was behind: an epoch above the present one is forgotten. */
static bool is_of_forgotten_epoch(const struct wwri_verdict *verdict,
                                  logid id) {
  return id.epoch > verdict->to.epoch;
}

/* "lost" names a message by one of its ids. A reset names what the log holds up
 * to `to`, and what it held and trimmed, or forgot; whatever it holds beyond
 * that must still come. */
static bool is_named(const struct wwri_verdict *verdict,
                     const struct server *server, const struct call *call) {
  struct wwri_logid held;
  bool inside = false;
  bool forgotten = false;
  for (unsigned i = 0; i < call->id_count; i++) {
    inside |= covers(verdict, call->ids[i]);
    forgotten |= is_of_forgotten_epoch(verdict, call->ids[i]);
  }
  if (verdict->kind != WWRI_RESET) return inside;
  if (server_find(server, call->channel, call->boot, call->seq, &held)) {
    return covers(verdict, held);
  }
  return inside || forgotten;
}

/* A verdict names a message for good: it may come again when its publisher
 * re-submits it, or be dropped then since later ones were delivered. */
static void name_calls(struct oracle *oracle, unsigned proc, unsigned channel,
                       const struct server *server,
                       const struct wwri_verdict *verdict) {
  for (unsigned i = 0; i < oracle->call_count; i++) {
    const struct call *call = &oracle->calls[i];
    if (call->channel != channel || call->id_count == 0) continue;
    if (is_named(verdict, server, call)) oracle->named[proc][i] = 1;
  }
}

static void got(struct oracle *oracle, struct receiver *receiver,
                const struct wwri_entry *entry, const char *how) {
  int index = call_index(oracle, entry);
  if (index < 0) {
    oracle_fail(oracle, "%s something nobody published", how);
    return;
  }
  struct call *call = &oracle->calls[index];
  if (receiver->got[index]) {
    oracle_fail(oracle, "%s twice: node %u c%u #%llu of %llu", how,
                receiver->proc, receiver->channel, ull(call->seq),
                ull(call->boot.hi));
  }
  if (call->channel != receiver->channel || !has_id(call, entry->pos.id) ||
      entry->data.len != sizeof call->data ||
      memcmp(entry->data.data, call->data, sizeof call->data) != 0) {
    oracle_fail(oracle, "%s another message than was published", how);
  }
  if (call->at_ms >= oracle->prompt_from_ms &&
      oracle->now_ms - call->at_ms > PROMPT_MAX_MS) {
    oracle_fail(oracle, "late: node %u c%u #%llu of %llu", receiver->proc,
                receiver->channel, ull(call->seq), ull(call->boot.hi));
  }
  receiver->got[index] = 1;
  receiver->order[receiver->got_count++] = (uint32_t)index;
}

void oracle_joined(struct oracle *oracle, struct receiver *receiver, logid from,
                   const struct wwri_entry *history, size_t count, bool first) {
  oracle_trace(oracle, "node %u: c%u joined at %llu-%llu, %zu of history",
               receiver->proc, receiver->channel, ull(from.epoch),
               ull(from.offset), count);
  if (!first) return;
  receiver->joined = true;
  receiver->joined_ms = oracle->now_ms;
  for (size_t i = 0; i < count; i++) {
    if (i &&
        wwri_logid_compare(history[i - 1].pos.id, history[i].pos.id) >= 0) {
      oracle_fail(oracle, "history is not in order");
    }
    got(oracle, receiver, &history[i], "history has");
  }
  receiver->last = from;
}

/* Entries of the epoch between the last one and this one. */
static void check_skipped(struct oracle *oracle, struct receiver *receiver,
                          logid id) {
  logid at = receiver->last;
  if (at.epoch != id.epoch) return;
  if (at.offset >= id.offset) {
    oracle_fail(oracle, "out of order: node %u c%u %llu-%llu after %llu",
                receiver->proc, receiver->channel, ull(id.epoch),
                ull(id.offset), ull(at.offset));
    return;
  }
  for (at.offset++; at.offset < id.offset; at.offset++) {
    struct id_record *record = id_slot(oracle, receiver->channel, at);
    bool known = !wwri_logid_none(record->id) && record->call >= 0;
    if (!known || receiver->got[record->call]) continue;
    const struct call *call = &oracle->calls[record->call];
    if (call->at_ms <= receiver->joined_ms) continue;
    if (oracle->named[receiver->proc][record->call]) continue;
    oracle_fail(oracle, "skipped: node %u c%u %llu-%llu", receiver->proc,
                receiver->channel, ull(at.epoch), ull(at.offset));
  }
}

void oracle_delivered(struct oracle *oracle, struct receiver *receiver,
                      const struct wwri_entry *entry) {
  oracle->deliveries++;
  oracle_trace(oracle, "node %u: c%u gets %llu-%llu = #%llu-%llu",
               receiver->proc, receiver->channel, ull(entry->pos.id.epoch),
               ull(entry->pos.id.offset), ull(entry->pos.boot.hi),
               ull(entry->pos.seq));
  if (!receiver->joined || receiver->gone) {
    oracle_fail(oracle, "delivered to nobody");
  }
  check_skipped(oracle, receiver, entry->pos.id);
  got(oracle, receiver, entry, "delivered");
  receiver->last = entry->pos.id;
}

void oracle_verdict(struct oracle *oracle, unsigned proc, unsigned channel,
                    const struct server *server,
                    const struct wwri_verdict *verdict) {
  static const char *const names[] = {"lost", "diverged", "reset", "uncertain"};
  oracle_trace(oracle, "node %u: c%u verdict %s %llu-%llu..%llu-%llu (%llu)",
               proc, channel, names[verdict->kind], ull(verdict->from.epoch),
               ull(verdict->from.offset), ull(verdict->to.epoch),
               ull(verdict->to.offset), ull(verdict->count));
  oracle->verdict_kinds[verdict->kind]++;
  name_calls(oracle, proc, channel, server, verdict);
  bool lost = verdict->kind == WWRI_LOST || verdict->kind == WWRI_RESET;
  if ((lost && !oracle->may_lose) ||
      (verdict->kind == WWRI_DIVERGED && !oracle->may_diverge &&
       !oracle->may_lose)) {
    oracle_fail(oracle, "verdict without a cause: %s", names[verdict->kind]);
  }
  if (oracle->verdict_count == VERDICTS_MAX) {
    oracle_fail(oracle, "verdicts without end");
    return;
  }
  oracle->verdicts[oracle->verdict_count++] =
      (struct verdict_record){proc, channel, oracle->now_ms, *verdict};
}

/* --- the end --- */

/* "uncertain" excuses what the log forgot, and whose publisher died before it
 * could submit it again. That may be later than the verdict: a publisher can
 * be cut off with the old master, have its message acknowledged there, and die
 * before it finds the new one. A receiver that never saw the old generation has
 * no way to know; only min-replicas-to-write bounds this. */
static bool excused(const struct oracle *oracle, const struct server *master,
                    const struct receiver *receiver, const struct call *call) {
  if (call->declared_lost) return true;
  if (oracle->named[receiver->proc][call - oracle->calls]) return true;
  if (!oracle->killed[call->proc]) return false;
  struct wwri_logid held;
  if (server_find(master, call->channel, call->boot, call->seq, &held)) {
    return false;
  }
  if (call->stale) return true;
  for (unsigned i = 0; i < oracle->verdict_count; i++) {
    const struct verdict_record *record = &oracle->verdicts[i];
    if (record->proc == receiver->proc &&
        record->verdict.kind == WWRI_UNCERTAIN) {
      return true;
    }
  }
  return false;
}

static void check_losses(struct oracle *oracle, const struct server *master,
                         const struct receiver *receiver) {
  for (unsigned i = 0; i < oracle->call_count; i++) {
    const struct call *call = &oracle->calls[i];
    if (call->channel != receiver->channel || call->state != CALL_ACKED ||
        call->at_ms <= receiver->joined_ms || receiver->got[i] ||
        excused(oracle, master, receiver, call)) {
      continue;
    }
    oracle_fail(oracle, "lost: node %u c%u #%llu of %llu, acked at %llu",
                receiver->proc, receiver->channel, ull(call->seq),
                ull(call->boot.hi), ull(call->acked_ms));
  }
}

static bool has_verdict(const struct oracle *oracle,
                        const struct receiver *receiver) {
  for (unsigned i = 0; i < oracle->verdict_count; i++) {
    const struct verdict_record *record = &oracle->verdicts[i];
    if (record->proc == receiver->proc &&
        record->channel == receiver->channel &&
        record->verdict.kind != WWRI_UNCERTAIN) {
      return true;
    }
  }
  return false;
}

static void check_agreement(struct oracle *oracle, const struct receiver *a,
                            const struct receiver *b) {
  static const uint32_t nowhere = UINT32_MAX;
  uint32_t place[CALLS_MAX];
  uint32_t last = 0;
  memset(place, 0xff, sizeof place);
  for (uint32_t i = 0; i < b->got_count; i++) place[b->order[i]] = i;
  for (size_t i = 0; i < a->got_count; i++) {
    uint32_t at = place[a->order[i]];
    if (at == nowhere) continue;
    if (at < last) {
      const struct call *call = &oracle->calls[a->order[i]];
      oracle_fail(oracle, "two orders: c%u on nodes %u and %u at #%llu-%llu",
                  a->channel, a->proc, b->proc, ull(call->boot.hi),
                  ull(call->seq));
      return;
    }
    last = at;
  }
}

static void check_answers(struct oracle *oracle) {
  for (unsigned i = 0; i < oracle->call_count; i++) {
    const struct call *call = &oracle->calls[i];
    if (call->state != CALL_OPEN) continue;
    oracle_fail(oracle, "never ended: c%u #%llu of %llu", call->channel,
                ull(call->seq), ull(call->boot.hi));
  }
}

void oracle_end(struct oracle *oracle, const struct server *master) {
  if (oracle->violations) return;
  check_answers(oracle);
  for (unsigned i = 0; i < oracle->receiver_count; i++) {
    const struct receiver *a = &oracle->receivers[i];
    if (a->gone) continue;
    if (!a->joined) {
      oracle_fail(oracle, "never joined: node %u c%u", a->proc, a->channel);
      continue;
    }
    check_losses(oracle, master, a);
    for (unsigned j = 0; j < i; j++) {
      const struct receiver *b = &oracle->receivers[j];
      if (b->channel == a->channel && b->joined && !b->gone &&
          !has_verdict(oracle, a) && !has_verdict(oracle, b)) {
        check_agreement(oracle, a, b);
      }
    }
  }
}
