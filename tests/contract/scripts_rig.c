#include "scripts_rig.h"

#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

enum { MAX_ARGS = 1024 };

const char *const sr_cluster_scripts[] = {wwri_script_beat,
                                          wwri_script_bye,
                                          wwri_script_publish,
                                          wwri_script_publish_unlogged,
                                          wwri_script_direct,
                                          wwri_script_open,
                                          wwri_script_tops,
                                          wwri_script_tops_touch,
                                          wwri_script_range,
                                          wwri_script_history,
                                          wwri_script_nodes,
                                          wwri_script_presence_set,
                                          wwri_script_presence_renew,
                                          wwri_script_presence_list,
                                          NULL};

/* --- Answers ------------------------------------------------------------ */

static void add_value(struct sr_answer *answer, const void *data, size_t len) {
  if (answer->count == SR_VALUES || SR_BYTES - answer->used <= len) abort();
  char *to = answer->bytes + answer->used;
  if (len) memcpy(to, data, len);
  to[len] = '\0';
  answer->values[answer->count++] = (struct wwr_view){(const uint8_t *)to, len};
  answer->used += len + 1;
}

static void add_number(struct sr_answer *answer, long long number) {
  char text[32];
  int len = snprintf(text, sizeof(text), "%lld", number);
  add_value(answer, text, (size_t)len);
}

/* The scripts' answers nest two deep; one level is taken at a time. */
static void flatten(struct sr_answer *answer,
                    const struct wwri_redis_reply *reply) {
  struct wwr_view text = wwri_redis_reply_text(reply);
  switch (wwri_redis_reply_type(reply)) {
    case WWRI_REDIS_NIL:
      add_value(answer, "(nil)", 5);
      break;
    case WWRI_REDIS_INTEGER:
      add_number(answer, wwri_redis_reply_int(reply));
      break;
    case WWRI_REDIS_ARRAY:
      for (size_t i = 0; i < wwri_redis_reply_count(reply); i++) {
        flatten(answer, wwri_redis_reply_at(reply, i));
      }
      break;
    case WWRI_REDIS_ERROR:
      snprintf(answer->error, sizeof(answer->error), "%.*s", (int)text.len,
               (const char *)text.data);
      break;
    case WWRI_REDIS_STRING:
    case WWRI_REDIS_STATUS:
      add_value(answer, text.data, text.len);
      break;
  }
}

static void flatten_raw(struct sr_answer *answer, const redisReply *reply) {
  if (reply->type == REDIS_REPLY_ARRAY) {
    for (size_t i = 0; i < reply->elements; i++) {
      flatten_raw(answer, reply->element[i]);
    }
  } else if (reply->type == REDIS_REPLY_INTEGER) {
    add_number(answer, reply->integer);
  } else if (reply->type == REDIS_REPLY_ERROR) {
    snprintf(answer->error, sizeof(answer->error), "%s", reply->str);
  } else if (reply->type == REDIS_REPLY_NIL) {
    add_value(answer, "(nil)", 5);
  } else {
    add_value(answer, reply->str, (size_t)reply->len);
  }
}

const char *sr_text(const struct sr_answer *answer, size_t i) {
  return i < answer->count ? (const char *)answer->values[i].data : "";
}

int64_t sr_number(const struct sr_answer *answer, size_t i) {
  return strtoll(sr_text(answer, i), NULL, 10);
}

static void join(const struct sr_answer *answer, char *out, size_t cap) {
  size_t len = 0;
  out[0] = '\0';
  for (size_t i = 0; i < answer->count && len < cap; i++) {
    int n = snprintf(out + len, cap - len, "%s%s", i ? " " : "",
                     sr_text(answer, i));
    len += (size_t)n;
  }
}

bool sr_is(const struct sr_answer *answer, const char *text) {
  char all[4096];
  join(answer, all, sizeof(all));
  bool good = !answer->error[0] && strcmp(all, text) == 0;
  if (!good) printf("\n'%s' %s\n", all, answer->error);
  return good;
}

bool sr_refused(const struct sr_answer *answer, const char *text) {
  bool good = answer->error[0] && !answer->maybe_done &&
              strncmp(answer->error, text, strlen(text)) == 0;
  if (!good) {
    printf("\n'%s' %s%s\n", sr_text(answer, 0), answer->error,
           answer->maybe_done ? " (maybe done)" : "");
  }
  return good;
}

/* --- Server and link ---------------------------------------------------- */

static redisContext *connect_to(const struct redis_server *server) {
  const struct timeval timeout = {.tv_sec = 10};
  redisContext *context =
      redisConnectWithTimeout("127.0.0.1", server->port, timeout);
  if (!context || context->err || redisSetTimeout(context, timeout)) abort();
  return context;
}

void sr_start(struct sr *sr, const char *const *args) {
  sr->texts = NULL;
  sr->raw = NULL;
  redis_init(&sr->server, args);
  CU_ASSERT_TRUE_FATAL(redis_start(&sr->server));
  sr->raw = connect_to(&sr->server);
}

void sr_link(struct sr *sr, const char *const *texts) {
  char url[64];
  const char *why = "";
  snprintf(url, sizeof(url), "redis://127.0.0.1:%u", sr->server.port);
  rig_init(&sr->rig, url);
  CU_ASSERT_EQUAL_FATAL(
      wwri_redis_new(&sr->rig.link, sr->rig.loop, &sr->rig.opts, &why), WWR_OK);
  for (size_t i = 0; texts[i]; i++) {
    sr->numbers[i] = wwri_redis_script(sr->rig.link, texts[i]);
  }
  sr->texts = texts;
  rig_start(&sr->rig, NULL);
  CU_ASSERT_TRUE_FATAL(rig_wait(&sr->rig, &sr->rig.live, 1));
}

void sr_fresh(struct sr *sr, const char *const *texts) {
  if (!sr->texts) {
    sr_start(sr, NULL);
    sr_link(sr, texts);
  }
  sr_ask(sr, "FLUSHALL");
}

int64_t sr_server_ms(struct sr *sr) {
  sr_ask(sr, "TIME");
  return sr_number(&sr->answer, 0) * 1000 + sr_number(&sr->answer, 1) / 1000;
}

void sr_age(struct sr *sr, const char *member, int64_t ms) {
  int64_t then = sr_server_ms(sr) - ms;
  sr_ask(sr, "ZADD w:{0}:nodes %lld %s", (long long)then, member);
}

void sr_unlink(struct sr *sr) {
  if (sr->texts) rig_end(&sr->rig);
  sr->texts = NULL;
}

void sr_restart(struct sr *sr) {
  unsigned live = sr->texts ? rig_count(&sr->rig, &sr->rig.live) : 0;
  redisFree(sr->raw);
  sr->raw = NULL;
  redis_kill(&sr->server);
  CU_ASSERT_TRUE_FATAL(redis_start(&sr->server));
  sr->raw = connect_to(&sr->server);
  CU_ASSERT_TRUE_FATAL(redis_until(&sr->server, "PING", "PONG"));
  if (sr->texts) {
    CU_ASSERT_TRUE_FATAL(rig_wait(&sr->rig, &sr->rig.live, live + 1));
  }
}

void sr_end(struct sr *sr) {
  sr_unlink(sr);
  if (sr->raw) redisFree(sr->raw);
  sr->raw = NULL;
  redis_remove(&sr->server);
}

/* --- Calls -------------------------------------------------------------- */

struct eval {
  struct wwri_redis_call call;
  struct sr *sr;
  int script;
  const struct wwr_view *argv;
  size_t argc;
  size_t key_count;
  wwr_err err;
  unsigned done;
};

static void on_done(struct wwri_redis_call *call,
                    const struct wwri_redis_result *result) {
  struct eval *eval = WWRI_CONTAINER(call, struct eval, call);
  struct sr *sr = eval->sr;
  pthread_mutex_lock(&sr->rig.lock);
  sr->answer.outcome = result->outcome;
  sr->answer.maybe_done = result->maybe_done;
  if (result->reply) {
    flatten(&sr->answer, result->reply);
  } else {
    snprintf(sr->answer.error, sizeof(sr->answer.error), "no reply");
  }
  eval->done = 1;
  pthread_cond_broadcast(&sr->rig.changed);
  pthread_mutex_unlock(&sr->rig.lock);
}

static void do_eval(struct rig *rig, void *arg) {
  struct eval *eval = arg;
  eval->call.done = on_done;
  eval->err = wwri_redis_eval(rig->link, &eval->call, eval->script, eval->argv,
                              eval->argc, eval->key_count, 0);
}

static void eval_by_link(struct sr *sr, const char *text,
                         const struct wwr_view *argv, size_t argc,
                         size_t key_count) {
  struct eval eval = {
      .sr = sr, .argv = argv, .argc = argc, .key_count = key_count};
  size_t i = 0;
  while (sr->texts[i] && sr->texts[i] != text) i++;
  if (!sr->texts[i]) abort();
  eval.script = sr->numbers[i];
  rig_on_loop(&sr->rig, do_eval, &eval);
  if (eval.err != WWR_OK) {
    snprintf(sr->answer.error, sizeof(sr->answer.error), "not called: %s",
             wwr_err_text(eval.err));
  } else if (!rig_wait(&sr->rig, &eval.done, 1)) {
    abort();
  }
}

static void take_raw(struct sr *sr, redisReply *reply) {
  redisContext *raw = sr->raw;
  if (reply) {
    flatten_raw(&sr->answer, reply);
    freeReplyObject(reply);
  } else {
    snprintf(sr->answer.error, sizeof(sr->answer.error), "%s", raw->errstr);
  }
  bool good = !sr->answer.error[0];
  sr->answer.outcome = good ? WWRI_CALL_OK : WWRI_CALL_ERROR;
}

static void eval_directly(struct sr *sr, const char *text,
                          const struct wwr_view *argv, size_t argc,
                          size_t key_count) {
  const char *words[MAX_ARGS + 3] = {"EVAL", text};
  size_t lens[MAX_ARGS + 3] = {4, strlen(text)};
  char keys[24];
  lens[2] = (size_t)snprintf(keys, sizeof(keys), "%zu", key_count);
  words[2] = keys;
  for (size_t i = 0; i < argc; i++) {
    words[3 + i] = (const char *)argv[i].data;
    lens[3 + i] = argv[i].len;
  }
  take_raw(sr, redisCommandArgv(sr->raw, (int)argc + 3, words, lens));
}

static void clear(struct sr_answer *answer) {
  answer->outcome = WWRI_CALL_ERROR;
  answer->maybe_done = false;
  answer->error[0] = '\0';
  answer->count = 0;
  answer->used = 0;
}

const struct sr_answer *sr_eval_views(struct sr *sr, const char *text,
                                      const struct wwr_view *argv, size_t argc,
                                      size_t key_count) {
  if (argc > MAX_ARGS) abort();
  clear(&sr->answer);
  if (sr->texts) {
    eval_by_link(sr, text, argv, argc, key_count);
  } else {
    eval_directly(sr, text, argv, argc, key_count);
  }
  return &sr->answer;
}

/* Returns the number of keys. */
static size_t gather(const char *const *keys, const char *const *argv,
                     struct wwr_view all[MAX_ARGS], size_t *count) {
  size_t key_count = 0;
  *count = 0;
  for (; keys[key_count]; key_count++) {
    all[(*count)++] = wwr_view_str(keys[key_count]);
  }
  for (size_t i = 0; argv[i]; i++) all[(*count)++] = wwr_view_str(argv[i]);
  return key_count;
}

const struct sr_answer *sr_eval(struct sr *sr, const char *text,
                                const char *const *keys,
                                const char *const *argv) {
  struct wwr_view all[MAX_ARGS];
  size_t count;
  size_t key_count = gather(keys, argv, all, &count);
  return sr_eval_views(sr, text, all, count, key_count);
}

const struct sr_answer *sr_eval_directly(struct sr *sr, const char *text,
                                         const char *const *keys,
                                         const char *const *argv) {
  struct wwr_view all[MAX_ARGS];
  size_t count;
  size_t key_count = gather(keys, argv, all, &count);
  clear(&sr->answer);
  eval_directly(sr, text, all, count, key_count);
  return &sr->answer;
}

const char *sr_ask(struct sr *sr, const char *format, ...) {
  static char out[8192];
  char line[512];
  const char *words[32];
  int count = 0;
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof(line), format, args);
  va_end(args);
  char *save = NULL;
  for (char *word = strtok_r(line, " ", &save); word && count < 32;
       word = strtok_r(NULL, " ", &save)) {
    words[count++] = word;
  }
  clear(&sr->answer);
  take_raw(sr, redisCommandArgv(sr->raw, count, words, NULL));
  if (sr->answer.error[0]) {
    snprintf(out, sizeof(out), "!%s", sr->answer.error);
  } else {
    join(&sr->answer, out, sizeof(out));
  }
  return out;
}
