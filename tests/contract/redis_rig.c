#include "redis_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test.h"

enum { MAX_WORDS = 16 };

/* --- Waiting ------------------------------------------------------------ */

static void lock(struct rig *rig) {
  pthread_mutex_lock(&rig->lock);
}

static void unlock(struct rig *rig) {
  pthread_cond_broadcast(&rig->changed);
  pthread_mutex_unlock(&rig->lock);
}

static void deadline(struct timespec *out) {
  clock_gettime(CLOCK_MONOTONIC, out);
  out->tv_sec += RIG_WAIT_MS / 1000;
}

bool rig_wait(struct rig *rig, const unsigned *counter, unsigned n) {
  struct timespec until;
  deadline(&until);
  pthread_mutex_lock(&rig->lock);
  int status = 0;
  while (*counter < n && status == 0) {
    status = pthread_cond_timedwait(&rig->changed, &rig->lock, &until);
  }
  bool good = *counter >= n;
  if (!good) {
    fprintf(stderr, "\nlive %u recovered %u suspect %u lost %u failed %u: %s\n",
            rig->live, rig->recovered, rig->suspect, rig->lost, rig->failed,
            rig->why[rig->cause]);
  }
  pthread_mutex_unlock(&rig->lock);
  return good;
}

unsigned rig_count(struct rig *rig, const unsigned *counter) {
  lock(rig);
  unsigned value = *counter;
  unlock(rig);
  return value;
}

enum wwri_redis_cause rig_cause(struct rig *rig) {
  lock(rig);
  enum wwri_redis_cause cause = rig->cause;
  unlock(rig);
  return cause;
}

bool rig_why_has(struct rig *rig, enum wwri_redis_cause cause,
                 const char *text) {
  lock(rig);
  bool has = strstr(rig->why[cause], text) != NULL;
  if (!has) printf("\n%s\n", rig->why[cause]);
  unlock(rig);
  return has;
}

void rig_replid(struct rig *rig, char out[WWRI_REPLID_MAX]) {
  lock(rig);
  memcpy(out, rig->replid, WWRI_REPLID_MAX);
  unlock(rig);
}

struct task {
  struct wwri_mail mail;
  struct rig *rig;
  void (*fn)(struct rig *rig, void *arg);
  void *arg;
  unsigned done;
};

static void run_task(struct wwri_mail *mail) {
  struct task *task = WWRI_CONTAINER(mail, struct task, mail);
  task->fn(task->rig, task->arg);
  struct rig *rig = task->rig;
  lock(rig);
  task->done = 1;
  unlock(rig);
}

void rig_on_loop(struct rig *rig, void (*fn)(struct rig *rig, void *arg),
                 void *arg) {
  struct task task = {{NULL, run_task}, rig, fn, arg, 0};
  wwri_loop_post(rig->loop, &task.mail);
  if (!rig_wait(rig, &task.done, 1)) abort(); /* the loop hangs */
}

/* --- The link ----------------------------------------------------------- */

static void on_live(const char *replid, bool fresh, void *user) {
  struct rig *rig = user;
  lock(rig);
  if (fresh) {
    rig->live++;
  } else {
    rig->recovered++;
  }
  snprintf(rig->replid, sizeof(rig->replid), "%s", replid);
  unlock(rig);
}

static void on_suspect(void *user) {
  struct rig *rig = user;
  lock(rig);
  rig->suspect++;
  unlock(rig);
}

static void note(struct rig *rig, unsigned *counter,
                 enum wwri_redis_cause cause, const char *why) {
  lock(rig);
  (*counter)++;
  rig->cause = cause;
  rig->causes[cause]++;
  snprintf(rig->why[cause], sizeof(rig->why[cause]), "%s", why);
  unlock(rig);
}

static void on_lost(enum wwri_redis_cause cause, const char *why, void *user) {
  struct rig *rig = user;
  note(rig, &rig->lost, cause, why);
}

static void on_failed(enum wwri_redis_cause cause, const char *why,
                      void *user) {
  struct rig *rig = user;
  note(rig, &rig->failed, cause, why);
}

static void init(struct rig *rig, const char *url) {
  pthread_condattr_t attr;
  const char *why = "";
  memset(rig, 0, sizeof(*rig));
  pthread_mutex_init(&rig->lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&rig->changed, &attr);
  CU_ASSERT_EQUAL_FATAL(wwri_redis_url_parse(&rig->url, url, &why), WWR_OK);
  wwri_redis_opts_default(&rig->opts);
  rig->opts.url = &rig->url;
  rig->opts.hooks =
      (struct wwri_redis_hooks){on_live, on_suspect, on_lost, on_failed};
  rig->opts.user = rig;
  rig->opts.timing.backoff_min_ms = 10;
  rig->opts.timing.backoff_max_ms = 100;
}

void rig_be_patient(struct rig *rig) {
  struct wwri_pair_opts *timing = &rig->opts.timing;
  timing->connect_ms = timing->reply_ms = RIG_WAIT_MS / 2;
  timing->suspect_ms = timing->lost_ms = RIG_WAIT_MS / 2;
}

void rig_init(struct rig *rig, const char *url) {
  init(rig, url);
  CU_ASSERT_EQUAL_FATAL(wwri_loop_new(&rig->loop), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwri_loop_start(rig->loop, "rig"), WWR_OK);
}

void rig_init_hub(struct rig *rig, const char *url, struct wwri_loop *loop,
                  struct wwri_redis_hub *hub, const char *tag) {
  init(rig, url);
  rig->loop = loop;
  rig->borrowed = true;
  rig->opts.hub = hub;
  rig->opts.tag = tag;
}

static void do_start(struct rig *rig, void *arg) {
  (void)arg;
  wwri_redis_start(rig->link);
}

void rig_make(struct rig *rig) {
  const char *why = "";
  if (rig->link) return;
  CU_ASSERT_EQUAL_FATAL(wwri_redis_new(&rig->link, rig->loop, &rig->opts, &why),
                        WWR_OK);
}

void rig_start(struct rig *rig, void (*before)(struct wwri_redis *link)) {
  rig_make(rig);
  if (before) before(rig->link);
  rig_on_loop(rig, do_start, NULL);
}

static unsigned stopped; /* under the rig's lock */

static void on_stopped(void *user) {
  struct rig *rig = user;
  wwri_redis_free(rig->link);
  lock(rig);
  rig->link = NULL;
  stopped = 1;
  unlock(rig);
}

static void do_stop(struct rig *rig, void *arg) {
  (void)arg;
  wwri_redis_stop(rig->link, on_stopped, rig);
}

void rig_end(struct rig *rig) {
  if (!rig->loop) return;
  if (rig->link) {
    stopped = 0;
    rig_on_loop(rig, do_stop, NULL);
    if (!rig_wait(rig, &stopped, 1)) abort();
  }
  if (!rig->borrowed) {
    wwri_loop_stop(rig->loop);
    wwri_loop_free(rig->loop);
  }
  rig->loop = NULL;
  pthread_mutex_destroy(&rig->lock);
  pthread_cond_destroy(&rig->changed);
}

static void do_stats(struct rig *rig, void *arg) {
  wwri_redis_stats(rig->link, arg);
}

struct wwri_redis_stats rig_stats(struct rig *rig) {
  struct wwri_redis_stats stats;
  rig_on_loop(rig, do_stats, &stats);
  return stats;
}

/* --- Calls -------------------------------------------------------------- */

struct run {
  struct wwri_redis_call call;
  struct rig *rig;
  const char *line;
  uint32_t timeout_ms;
  int script; /* -1: none */
  size_t keys;
  struct rig_result result;
  unsigned done;
};

static void on_done(struct wwri_redis_call *call,
                    const struct wwri_redis_result *result) {
  struct run *run = WWRI_CONTAINER(call, struct run, call);
  struct wwr_view text = wwri_redis_reply_text(result->reply);
  lock(run->rig);
  run->result.outcome = result->outcome;
  run->result.maybe_done = result->maybe_done;
  run->result.type = wwri_redis_reply_type(result->reply);
  run->result.number = wwri_redis_reply_int(result->reply);
  snprintf(run->result.text, sizeof(run->result.text), "%.*s",
           (int)(text.len < 255 ? text.len : 255),
           text.data ? (const char *)text.data : "");
  run->done++;
  unlock(run->rig);
}

static size_t split(char *line, struct wwr_view *words) {
  char *save = NULL;
  size_t count = 0;
  for (char *word = strtok_r(line, " ", &save); word && count < MAX_WORDS;
       word = strtok_r(NULL, " ", &save)) {
    words[count++] = wwr_view_str(word);
  }
  return count;
}

static void do_run(struct rig *rig, void *arg) {
  struct run *run = arg;
  char line[512];
  struct wwr_view words[MAX_WORDS];
  snprintf(line, sizeof(line), "%s", run->line);
  size_t count = split(line, words);
  run->call.done = on_done;
  run->result.err =
      run->script < 0
          ? wwri_redis_call(rig->link, &run->call, words, count,
                            run->timeout_ms)
          : wwri_redis_eval(rig->link, &run->call, run->script, words, count,
                            run->keys, run->timeout_ms);
}

static struct rig_result run_it(struct run *run) {
  rig_on_loop(run->rig, do_run, run);
  if (run->result.err == WWR_OK && !rig_wait(run->rig, &run->done, 1)) abort();
  return run->result;
}

struct rig_result rig_run(struct rig *rig, const char *line,
                          uint32_t timeout_ms) {
  struct run run = {
      .rig = rig, .line = line, .timeout_ms = timeout_ms, .script = -1};
  return run_it(&run);
}

struct rig_result rig_eval(struct rig *rig, int script, const char *line,
                           size_t keys) {
  struct run run = {.rig = rig, .line = line, .script = script, .keys = keys};
  return run_it(&run);
}

/* --- Subscriptions ------------------------------------------------------ */

static void sub_subscribed(void *user) {
  struct rig_sub *it = user;
  lock(it->rig);
  it->subscribed++;
  it->rig->subs_subscribed++;
  unlock(it->rig);
}

static void sub_lost(void *user) {
  struct rig_sub *it = user;
  lock(it->rig);
  it->lost++;
  it->rig->subs_lost++;
  unlock(it->rig);
}

static void sub_refused(struct wwr_view why, void *user) {
  struct rig_sub *it = user;
  (void)why;
  lock(it->rig);
  it->refused++;
  unlock(it->rig);
}

static void sub_message(struct wwr_view payload, void *user) {
  struct rig_sub *it = user;
  lock(it->rig);
  it->messages++;
  it->rig->subs_messages++;
  snprintf(it->last, sizeof(it->last), "%.*s",
           (int)(payload.len < 63 ? payload.len : 63),
           (const char *)payload.data);
  unlock(it->rig);
}

static const struct wwri_redis_sub_hooks sub_hooks = {sub_subscribed, sub_lost,
                                                      sub_refused, sub_message};

void rig_name(unsigned index, char *out, size_t cap) {
  snprintf(out, cap, "ch:%u", index);
}

static void do_subscribe(struct rig *rig, void *arg) {
  const unsigned *range = arg;
  for (unsigned i = range[0]; i < range[0] + range[1]; i++) {
    char name[64] = "";
    size_t len = 0;
    if (rig->opts.hub) {
      len = (size_t)snprintf(name, sizeof(name), "{%s}", rig->opts.tag);
    }
    rig_name(i, name + len, sizeof(name) - len);
    rig->subs[i].rig = rig;
    CU_ASSERT_EQUAL(
        wwri_redis_subscribe(rig->link, &rig->subs[i].sub, wwr_view_str(name),
                             &sub_hooks, &rig->subs[i]),
        WWR_OK);
  }
}

void rig_subscribe(struct rig *rig, unsigned first, unsigned count) {
  unsigned range[2] = {first, count};
  rig_on_loop(rig, do_subscribe, range);
}

static void do_unsubscribe(struct rig *rig, void *arg) {
  struct rig_sub *it = arg;
  wwri_redis_unsubscribe(rig->link, it->sub);
  it->sub = NULL;
}

void rig_unsubscribe(struct rig *rig, unsigned index) {
  rig_on_loop(rig, do_unsubscribe, &rig->subs[index]);
}
