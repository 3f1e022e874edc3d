/* keeper_fixture.h - a keeper with a scripted other side. What it does is said
 * as text, one word group per call, completion and event, ended by "; ":
 *
 *   create A n1            calls; n: our count from now on
 *   attach A n2 h1 m3      h: had, m: max ("m?": the stored one), "whole",
 *                          "v1": this incarnation, "look"
 *   leave A n0 v1, kill A [v1] [any] [force], places A, send A "bytes"
 *   touch A=1 B=0          several sessions
 *   done 1: ok             operation number 1 has ended
 *   CLOSED A, EVICTED A    events
 */
#ifndef KEEPER_FIXTURE_H
#define KEEPER_FIXTURE_H

#include "keeper.h"
#include "test.h"

enum { KF_OPS = 64, KF_KEYS = 8 };

struct kf_op {
  struct wwri_keeper_op base;
  unsigned number; /* from 1 */
  bool open;
  wwr_err err;
  struct wwr_session *session; /* a reference */
};

struct kf_call {
  unsigned slot;
  enum wwri_keeper_kind kind;
  uint64_t v;
  uint32_t count;
  char id[WWRI_SESSION_ID_LEN + 1];
  size_t touches;
};

struct kf {
  struct wwri_keeper_config config;
  struct wwri_keeper *keeper;
  uint64_t now;
  uint64_t randoms; /* incarnations are 1, 2, ... */
  struct kf_op ops[KF_OPS];
  unsigned op_count;
  struct kf_call calls[WWRI_KEEPER_CALLS]; /* unanswered, oldest first */
  size_t call_count;
  struct wwr_session *sessions[KF_KEYS];
  char said[4096];
};

/** Of any test at a time. Live at 1000 ms, hold 10 s. */
extern struct kf kf;

void kf_begin(void);
void kf_begin_with(void (*change)(struct wwri_keeper_config *config));
void kf_end(void);

/** What was said since the last time; forgets it. */
void kf_expect(const char *text);

/** Keys are "A" to "H", or any text. The operation's number. */
unsigned kf_ask(enum wwri_keeper_ask ask, const char *key, uint32_t max);
void kf_detach(const char *key);

/** Answer the oldest call: with a word; with OK and this count (ATTACH; the
 * session's incarnation is v). */
void kf_answer(enum wwri_keeper_word word);
void kf_attached(uint64_t v, uint32_t count);
/** ... a TOUCH; `gone` of each as '0' and '1'. */
void kf_touched(const char *gone);
/** ... KILL or LEAVE that destroyed this incarnation. */
void kf_destroyed(enum wwri_keeper_word word, uint64_t v);

void kf_closed(const char *key, uint64_t v);
void kf_run(uint64_t after_ms);
void kf_lost(void);
void kf_live(void);

uint32_t kf_count(const char *key);

/** A session A with n connections here, incarnation 1, settled; nothing said.
 */
void kf_have(const char *key, uint32_t connections);

#endif
