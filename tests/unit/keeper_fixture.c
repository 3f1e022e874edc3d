#include "keeper_fixture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kf kf;

static void say(const char *format, ...) {
  size_t len = strlen(kf.said);
  va_list args;
  va_start(args, format);
  vsnprintf(kf.said + len, sizeof kf.said - len, format, args);
  va_end(args);
}

void kf_expect(const char *text) {
  if (strcmp(kf.said, text) != 0) {
    printf("\nsaid:     %s\nexpected: %s\n", kf.said, text);
  }
  CU_ASSERT_STRING_EQUAL(kf.said, text);
  kf.said[0] = '\0';
}

/* "I" for other keys. */
static const char *name_of(const char *id) {
  static char name[2] = "A";
  char other[WWRI_SESSION_ID_LEN + 1];
  for (name[0] = 'A'; name[0] < 'A' + KF_KEYS; name[0]++) {
    if (wwri_session_id(wwr_view_str(name), other) && !strcmp(id, other)) break;
  }
  return name;
}

static void say_call(const struct wwri_keeper_call *call) {
  static const char *const names[] = {"create", "attach", "leave", "kill",
                                      "touch",  "places", "send"};
  say("%s", names[call->kind]);
  if (call->id) say(" %s", name_of(call->id));
  bool counts = call->kind == WWRI_KEEP_CREATE ||
                call->kind == WWRI_KEEP_ATTACH || call->kind == WWRI_KEEP_LEAVE;
  if (counts) say(" n%u", call->count);
  if (call->kind == WWRI_KEEP_ATTACH) {
    say(" h%u m", call->had);
    if (call->max_known) say("%u", call->max);
    if (!call->max_known) say("?");
  }
  if (call->v) say(" v%u", (unsigned)call->v);
  if (call->whole) say(" whole");
  if (call->look_ns) say(" look");
  if (call->any) say(" any");
  if (call->force) say(" force");
  if (call->kind == WWRI_KEEP_SEND) {
    say(" \"%.*s\"", (int)call->bytes.len, (const char *)call->bytes.data);
  }
  for (size_t i = 0; i < call->touch_count; i++) {
    const struct wwri_keeper_touch *touch = &call->touches[i];
    say(" %s=%u", name_of(touch->id), touch->count);
  }
  say("; ");
}

static void on_call(struct wwri_keeper *keeper,
                    const struct wwri_keeper_call *call) {
  CU_ASSERT_PTR_EQUAL(keeper, kf.keeper);
  CU_ASSERT_FATAL(kf.call_count < WWRI_KEEPER_CALLS);
  CU_ASSERT_EQUAL(call->kind == WWRI_KEEP_CREATE, call->session != NULL);
  struct kf_call *kept = &kf.calls[kf.call_count++];
  *kept = (struct kf_call){.slot = call->slot,
                           .kind = call->kind,
                           .v = call->v,
                           .count = call->count,
                           .touches = call->touch_count};
  if (call->id) snprintf(kept->id, sizeof kept->id, "%s", call->id);
  say_call(call);
}

static void on_event(struct wwri_keeper *keeper, enum wwri_keeper_event event,
                     struct wwr_view key) {
  CU_ASSERT_PTR_EQUAL(keeper, kf.keeper);
  say("%s %.*s; ", event == WWRI_KEEPER_CLOSED ? "CLOSED" : "EVICTED",
      (int)key.len, (const char *)key.data);
}

static uint64_t on_random(struct wwri_keeper *keeper) {
  (void)keeper;
  return ++kf.randoms;
}

static const struct wwri_keeper_out out = {on_call, on_event, on_random};

static void on_done(struct wwri_keeper_op *base, wwr_err err,
                    const struct wwri_keeper_answer *answer) {
  struct kf_op *op = (struct kf_op *)(void *)base;
  CU_ASSERT_TRUE(op->open);
  op->open = false;
  op->err = err;
  bool finds = base->ask == WWRI_ASK_ATTACH || base->ask == WWRI_ASK_LOOKUP;
  CU_ASSERT_EQUAL(finds && err == WWR_OK, answer && answer->session);
  if (answer && answer->session) op->session = wwr_session_ref(answer->session);
  say("done %u: %s", op->number, wwr_err_name(err));
  for (size_t i = 0; answer && i < answer->place_count; i++) {
    say(" %s=%u", answer->places[i].node, answer->places[i].count);
  }
  say("; ");
}

void kf_begin_with(void (*change)(struct wwri_keeper_config *config)) {
  memset(&kf, 0, sizeof kf);
  wwri_keeper_config_default(&kf.config);
  kf.config.out = &out;
  kf.config.user = &kf;
  if (change) change(&kf.config);
  for (int i = 0; i < KF_KEYS; i++) {
    char key[2] = {(char)('A' + i), '\0'};
    CU_ASSERT_EQUAL_FATAL(
        wwr_session_new(&kf.sessions[i], wwr_view_str(key), 1, 2, NULL),
        WWR_OK);
  }
  CU_ASSERT_EQUAL_FATAL(wwri_keeper_new(&kf.keeper, &kf.config), WWR_OK);
  CU_ASSERT_PTR_EQUAL(wwri_keeper_user(kf.keeper), &kf);
  kf.now = 1000;
  kf_live();
  kf_expect("");
}

void kf_begin(void) {
  kf_begin_with(NULL);
}

void kf_end(void) {
  wwri_keeper_free(kf.keeper);
  for (unsigned i = 0; i < kf.op_count; i++) {
    CU_ASSERT_FALSE(kf.ops[i].open);
    wwr_session_unref(kf.ops[i].session);
  }
  for (int i = 0; i < KF_KEYS; i++) wwr_session_unref(kf.sessions[i]);
}

static struct wwr_session *session_of(const char *key) {
  return kf.sessions[(key[0] - 'A') % KF_KEYS];
}

unsigned kf_ask(enum wwri_keeper_ask ask, const char *key, uint32_t max) {
  CU_ASSERT_FATAL(kf.op_count < KF_OPS);
  struct kf_op *op = &kf.ops[kf.op_count++];
  bool looks = ask == WWRI_ASK_ATTACH || ask == WWRI_ASK_LOOKUP;
  *op = (struct kf_op){
      .number = kf.op_count,
      .open = true,
      .base = {.done = on_done,
               .ask = ask,
               .key = wwr_view_str(key),
               .session = ask == WWRI_ASK_CREATE ? session_of(key) : NULL,
               .max = max,
               .look_ns = looks ? 5 : 0,
               .bytes = wwr_view_str("hello")}};
  wwri_keeper_ask(kf.keeper, &op->base, kf.now);
  wwri_keeper_run(kf.keeper, kf.now);
  return op->number;
}

void kf_detach(const char *key) {
  wwri_keeper_detach(kf.keeper, wwr_view_str(key), kf.now);
  wwri_keeper_run(kf.keeper, kf.now);
}

static struct kf_call take(void) {
  CU_ASSERT_FATAL(kf.call_count > 0);
  struct kf_call call = kf.calls[0];
  memmove(kf.calls, kf.calls + 1, --kf.call_count * sizeof call);
  return call;
}

static void tell(const struct kf_call *call,
                 const struct wwri_keeper_answer *answer) {
  wwri_keeper_answered(kf.keeper, call->slot, answer, kf.now);
  wwri_keeper_run(kf.keeper, kf.now);
}

void kf_answer(enum wwri_keeper_word word) {
  static const struct wwri_keeper_place places[] = {{"one", 2}, {"two", 1}};
  struct kf_call call = take();
  struct wwri_keeper_answer answer = {.word = word, .err = WWR_E_INTERNAL};
  CU_ASSERT_FALSE(call.kind == WWRI_KEEP_ATTACH && word == WWRI_WORD_OK);
  if (call.kind == WWRI_KEEP_PLACES && word == WWRI_WORD_OK) {
    answer.places = places;
    answer.place_count = 2;
  }
  tell(&call, &answer);
}

void kf_attached(uint64_t v, uint32_t count) {
  struct kf_call call = take();
  CU_ASSERT_EQUAL(call.kind, WWRI_KEEP_ATTACH);
  struct wwri_keeper_answer answer = {.word = WWRI_WORD_OK,
                                      .v = v,
                                      .count = count,
                                      .session = session_of(name_of(call.id))};
  tell(&call, &answer);
}

void kf_touched(const char *gone) {
  bool flags[WWRI_KEEPER_BATCH] = {false};
  struct kf_call call = take();
  CU_ASSERT_EQUAL(call.kind, WWRI_KEEP_TOUCH);
  CU_ASSERT_EQUAL(call.touches, strlen(gone));
  for (size_t i = 0; gone[i]; i++) flags[i] = gone[i] == '1';
  struct wwri_keeper_answer answer = {.word = WWRI_WORD_OK, .gone = flags};
  tell(&call, &answer);
}

void kf_destroyed(enum wwri_keeper_word word, uint64_t v) {
  struct kf_call call = take();
  CU_ASSERT(call.kind == WWRI_KEEP_LEAVE || call.kind == WWRI_KEEP_KILL);
  struct wwri_keeper_answer answer = {.word = word, .v = v};
  tell(&call, &answer);
}

static void id_of(const char *key, char id[WWRI_SESSION_ID_LEN + 1]) {
  CU_ASSERT_TRUE_FATAL(wwri_session_id(wwr_view_str(key), id));
}

void kf_closed(const char *key, uint64_t v) {
  char id[WWRI_SESSION_ID_LEN + 1];
  id_of(key, id);
  wwri_keeper_closed(kf.keeper, id, v, kf.now);
  wwri_keeper_run(kf.keeper, kf.now);
}

void kf_run(uint64_t after_ms) {
  kf.now += after_ms;
  wwri_keeper_run(kf.keeper, kf.now);
}

void kf_lost(void) {
  kf.call_count = 0;
  wwri_keeper_lost(kf.keeper, kf.now);
  wwri_keeper_run(kf.keeper, kf.now);
}

void kf_live(void) {
  wwri_keeper_live(kf.keeper, kf.now);
  wwri_keeper_run(kf.keeper, kf.now);
}

uint32_t kf_count(const char *key) {
  char id[WWRI_SESSION_ID_LEN + 1];
  struct wwr_view found;
  id_of(key, id);
  uint32_t count = wwri_keeper_count(kf.keeper, id, &found);
  if (count) CU_ASSERT_TRUE(wwr_view_equal(found, wwr_view_str(key)));
  return count;
}

void kf_have(const char *key, uint32_t connections) {
  for (uint32_t i = 1; i <= connections; i++) {
    kf_ask(WWRI_ASK_ATTACH, key, 0);
    kf_attached(1, i);
  }
  CU_ASSERT_EQUAL(kf_count(key), connections);
  kf.said[0] = '\0';
}
