#include "redis_hub_rig.h"

#include <string.h>

#include "test.h"

void hub_rig_init(struct hub_rig *it, const char *url) {
  const char *why = "";
  memset(it, 0, sizeof(*it));
  CU_ASSERT_EQUAL_FATAL(wwri_redis_url_parse(&it->url, url, &why), WWR_OK);
  wwri_redis_hub_opts_default(&it->opts);
  it->opts.url = &it->url;
}

void hub_rig_start(struct hub_rig *it) {
  const char *why = "";
  CU_ASSERT_EQUAL_FATAL(wwri_loop_new(&it->loop), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwri_loop_start(it->loop, "hub"), WWR_OK);
  CU_ASSERT_EQUAL_FATAL(wwri_redis_hub_new(&it->hub, it->loop, &it->opts, &why),
                        WWR_OK);
}

struct job {
  struct hub_rig *it;
  struct rig *rig;
  unsigned done;
  struct wwri_redis_hub_stats stats;
};

static void on_stopped(void *user) {
  struct job *job = user;
  pthread_mutex_lock(&job->rig->lock);
  job->done = 1;
  pthread_cond_broadcast(&job->rig->changed);
  pthread_mutex_unlock(&job->rig->lock);
}

static void do_stop(struct rig *rig, void *arg) {
  struct job *job = arg;
  (void)rig;
  wwri_redis_hub_stop(job->it->hub, on_stopped, job);
}

static void do_stats(struct rig *rig, void *arg) {
  struct job *job = arg;
  (void)rig;
  wwri_redis_hub_stats(job->it->hub, &job->stats);
}

/* A rig without a link, for its lock and its way to the loop. */
static void with_rig(struct job *job, void (*fn)(struct rig *rig, void *arg)) {
  static struct rig rig; /* large */
  rig_init_hub(&rig, "redis://nowhere", job->it->loop, NULL, NULL);
  job->rig = &rig;
  rig_on_loop(&rig, fn, job);
  if (fn == do_stop) CU_ASSERT(rig_wait(&rig, &job->done, 1));
  rig_end(&rig);
}

void hub_rig_end(struct hub_rig *it) {
  struct job job = {.it = it};
  if (!it->loop) return;
  with_rig(&job, do_stop);
  wwri_redis_hub_free(it->hub);
  wwri_loop_stop(it->loop);
  wwri_loop_free(it->loop);
  it->loop = NULL;
}

struct wwri_redis_hub_stats hub_rig_stats(struct hub_rig *it) {
  struct job job = {.it = it};
  with_rig(&job, do_stats);
  return job.stats;
}
