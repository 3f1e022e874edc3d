/* Happy path: a command is appended to the connection's output and a slot to
 * the ring; replies fill slots from the front.
 *
 * Failure modes: a call that times out or is cancelled leaves its slot behind,
 * so that its late reply is still matched. When the connection goes, every slot
 * ends in order; what had not left yet was certainly not executed. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "decimal.h"
#include "link_impl.h"

enum { FIRST_SLOTS = 64, INTERNAL_SLOTS = 64 /* beyond max_calls */ };

static size_t slot_count(const struct wwri_redis *link) {
  return (size_t)(link->slot_next - link->slot_first);
}

static struct redis_slot *slot_at(const struct wwri_redis *link,
                                  uint64_t number) {
  return &link->slots[number & (link->slot_cap - 1)];
}

static bool grow(struct wwri_redis *link) {
  size_t cap = link->slot_cap ? link->slot_cap * 2 : FIRST_SLOTS;
  struct redis_slot *slots = calloc(cap, sizeof(*slots));
  if (!slots) return false;
  for (uint64_t n = link->slot_first; n < link->slot_next; n++) {
    slots[n & (cap - 1)] = *slot_at(link, n);
  }
  free(link->slots);
  link->slots = slots;
  link->slot_cap = cap;
  return true;
}

static wwr_err append(struct wwri_buf *out, const struct redis_script *script,
                      const struct wwr_view *argv, size_t argc,
                      size_t key_count) {
  char keys[WWRI_DECIMAL_MAX];
  if (!script) return wwri_resp_command(out, argv, argc);
  wwr_err err = wwri_resp_begin(out, argc + 3);
  if (err == WWR_OK) err = wwri_resp_arg(out, wwr_view_str("EVALSHA"));
  if (err == WWR_OK) err = wwri_resp_arg(out, wwr_view_str(script->sha));
  if (err == WWR_OK)
    err = wwri_resp_arg(out, wwri_write_decimal(key_count, keys));
  for (size_t i = 0; i < argc && err == WWR_OK; i++) {
    err = wwri_resp_arg(out, argv[i]);
  }
  return err;
}

wwr_err wwri_redis_push(struct wwri_redis *link, struct redis_slot slot,
                        int script, const struct wwr_view *argv, size_t argc,
                        size_t key_count) {
  wwr_err err = WWR_OK;
  size_t room = link->opts.max_calls;
  if (slot.kind != SLOT_CALL) room += INTERNAL_SLOTS;
  if (slot_count(link) >= room) return WWR_E_LIMIT;
  if (slot_count(link) == link->slot_cap && !grow(link)) return WWR_E_NOMEM;
  struct wwri_buf *out = wwri_redis_out(link, WWRI_PAIR_COMMANDS, &err);
  if (!out) return err;
  size_t before = out->len;
  assert(script < link->script_count);
  err = append(out, script < 0 ? NULL : &link->scripts[script], argv, argc,
               key_count);
  if (err != WWR_OK) {
    out->len = before;
    return err == WWR_E_BUFFER_OVERFLOW ? WWR_E_LIMIT : err;
  }
  slot.end = wwri_redis_queued(link);
  slot.sent_ms = wwri_redis_time(link);
  *slot_at(link, link->slot_next++) = slot;
  wwri_redis_sent(link, WWRI_PAIR_COMMANDS, WWRI_MUX_CALL, 1);
  return WWR_OK;
}

/* --- The callers' side -------------------------------------------------- */

static bool has_left(const struct wwri_redis *link,
                     const struct redis_slot *slot) {
  return slot->end <= wwri_redis_left(link);
}

static void end_call(struct wwri_redis_call *call,
                     const struct wwri_redis_result *result) {
  wwri_loop_timer_cancel(call->link->loop, &call->timer);
  call->link = NULL;
  call->done(call, result);
}

static void on_timeout(struct wwri_timer *timer) {
  struct wwri_redis_call *call =
      WWRI_CONTAINER(timer, struct wwri_redis_call, timer);
  struct wwri_redis *link = call->link;
  struct redis_slot *slot = slot_at(link, call->slot);
  struct wwri_redis_result result = {.outcome = WWRI_CALL_TIMEOUT};
  slot->call = NULL;
  /* What is in the buffer still will leave. */
  result.maybe_done = true;
  end_call(call, &result);
}

static wwr_err begin_call(struct wwri_redis *link, struct wwri_redis_call *call,
                          int script, const struct wwr_view *argv, size_t argc,
                          size_t key_count, uint32_t timeout_ms) {
  struct redis_slot slot = {.kind = SLOT_CALL, .call = call};
  assert(!call->link);
  if (link->pair.state != WWRI_PAIR_LIVE &&
      link->pair.state != WWRI_PAIR_SUSPECT) {
    return WWR_E_DISCONNECTED;
  }
  wwr_err err = wwri_redis_push(link, slot, script, argv, argc, key_count);
  if (err != WWR_OK) return err;
  call->slot = link->slot_next - 1;
  call->link = link;
  wwri_timer_init(&call->timer, on_timeout);
  if (timeout_ms) wwri_loop_timer_set(link->loop, &call->timer, timeout_ms);
  return WWR_OK;
}

wwr_err wwri_redis_call(struct wwri_redis *link, struct wwri_redis_call *call,
                        const struct wwr_view *argv, size_t argc,
                        uint32_t timeout_ms) {
  return begin_call(link, call, -1, argv, argc, 0, timeout_ms);
}

wwr_err wwri_redis_eval(struct wwri_redis *link, struct wwri_redis_call *call,
                        int script, const struct wwr_view *argv, size_t argc,
                        size_t key_count, uint32_t timeout_ms) {
  assert(script >= 0 && key_count <= argc);
  return begin_call(link, call, script, argv, argc, key_count, timeout_ms);
}

void wwri_redis_cancel(struct wwri_redis_call *call) {
  if (!call->link) return;
  slot_at(call->link, call->slot)->call = NULL;
  wwri_loop_timer_cancel(call->link->loop, &call->timer);
  call->link = NULL;
}

/* --- Replies ------------------------------------------------------------ */

static struct wwri_redis_result judge(const struct wwri_redis_reply *reply,
                                      enum wwri_redis_class class) {
  static const enum wwri_redis_outcome outcomes[] = {
      [WWRI_REDIS_DEFINITE] = WWRI_CALL_ERROR,
      [WWRI_REDIS_UNAVAILABLE] = WWRI_CALL_UNAVAILABLE,
      [WWRI_REDIS_DEMOTED] = WWRI_CALL_UNAVAILABLE,
      [WWRI_REDIS_NOSCRIPT] = WWRI_CALL_UNAVAILABLE,
      [WWRI_REDIS_AUTH] = WWRI_CALL_AUTH,
  };
  struct wwri_redis_result result = {.reply = reply};
  if (wwri_redis_reply_type(reply) != WWRI_REDIS_ERROR) return result;
  result.outcome = outcomes[class];
  result.maybe_done = wwri_redis_from_script(wwri_redis_reply_text(reply));
  return result;
}

/* NOPERM is about one command, the others about the server or the login. */
static bool ends_link(struct wwr_view error, enum wwri_redis_class class) {
  if (class == WWRI_REDIS_AUTH) {
    return error.len >= 6 && memcmp(error.data, "NOAUTH", 6) == 0;
  }
  return class == WWRI_REDIS_DEMOTED || class == WWRI_REDIS_NOSCRIPT;
}

static void call_reply(struct wwri_redis *link, struct wwri_redis_call *call,
                       const struct wwri_redis_reply *reply) {
  enum wwri_redis_class class = WWRI_REDIS_DEFINITE;
  struct wwr_view text = wwri_redis_reply_text(reply);
  bool error = wwri_redis_reply_type(reply) == WWRI_REDIS_ERROR;
  if (error) class = wwri_redis_classify(text);
  if (call) {
    struct wwri_redis_result result = judge(reply, class);
    end_call(call, &result);
  }
  if (error && ends_link(text, class)) {
    wwri_redis_fault(link, wwri_redis_cause_of(text, WWRI_CAUSE_REFUSED), text);
  }
}

void wwri_redis_command_reply(struct wwri_redis *link,
                              const struct wwri_redis_reply *reply) {
  struct wwr_view text = wwri_redis_reply_text(reply);
  if (slot_count(link) == 0) {
    bool error = wwri_redis_reply_type(reply) == WWRI_REDIS_ERROR;
    wwri_redis_fault(link,
                     error ? wwri_redis_cause_of(text, WWRI_CAUSE_PROTOCOL)
                           : WWRI_CAUSE_PROTOCOL,
                     error ? text : wwr_view_str("an answer to nothing"));
    return;
  }
  struct redis_slot slot = *slot_at(link, link->slot_first++);
  switch (slot.kind) {
    case SLOT_SETUP:
      wwri_redis_step_reply(link, WWRI_PAIR_COMMANDS, reply);
      break;
    case SLOT_LOAD:
      wwri_redis_load_reply(link, slot.script, reply);
      break;
    case SLOT_BEAT:
      wwri_redis_beat_reply(link, reply);
      break;
    case SLOT_CALL:
      call_reply(link, slot.call, reply);
      break;
  }
}

/* A hook may cancel another call while this goes on, but make no new one. */
void wwri_redis_end_calls(struct wwri_redis *link) {
  while (slot_count(link) > 0) {
    struct redis_slot slot = *slot_at(link, link->slot_first++);
    if (!slot.call) continue;
    struct wwri_redis_result result = {.outcome = WWRI_CALL_UNAVAILABLE,
                                       .maybe_done = has_left(link, &slot)};
    end_call(slot.call, &result);
  }
}

bool wwri_redis_calls_overdue(const struct wwri_redis *link) {
  if (slot_count(link) == 0) return false;
  uint64_t age =
      wwri_redis_time(link) - slot_at(link, link->slot_first)->sent_ms;
  return age >= link->opts.timing.reply_ms;
}
