/* Follows the room's log in Redis, to know where each message is. It asks with
 * hiredis, which shares nothing with the link under test, and reads from the
 * last place it saw; a server that does not answer is asked again later. */
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cluster_run.h"

enum { TURN_MS = 200, TIMEOUT_MS = 500, CHUNK = 500, TEXT_MAX = 64 };

struct source {
  uint16_t port;
  redisContext *redis;
  char last[48]; /* id */
};

struct log_reader {
  struct ledger *ledger;
  char key[32];
  struct source sources[RUN_REDIS_MAX];
  size_t count;
  pthread_t thread;
  atomic_bool stop;
};

/* The message that an entry holds, by its text in the JSON. */
static size_t message_in(struct ledger *ledger, const char *data, size_t len) {
  static const char key[] = "\"msg\":\"";
  char text[TEXT_MAX];
  const char *at = memmem(data, len, key, sizeof key - 1);
  if (!at) return SIZE_MAX;
  at += sizeof key - 1;
  size_t n = 0;
  while (at + n < data + len && n < TEXT_MAX - 1 && at[n] != '"' &&
         at[n] != ' ') {
    n++;
  }
  memcpy(text, at, n);
  text[n] = '\0';
  return ledger_parse(ledger, text);
}

static void note(struct log_reader *reader, struct source *source,
                 const redisReply *entry) {
  struct ledger_id id;
  unsigned long long epoch, offset;
  if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2) return;
  const redisReply *fields = entry->element[1];
  if (sscanf(entry->element[0]->str, "%llu-%llu", &epoch, &offset) != 2) return;
  id = (struct ledger_id){epoch, offset};
  snprintf(source->last, sizeof source->last, "(%s", entry->element[0]->str);
  for (size_t i = 0; i + 1 < fields->elements; i += 2) {
    const redisReply *value = fields->element[i + 1];
    size_t message = message_in(reader->ledger, value->str, value->len);
    if (message != SIZE_MAX) ledger_logged(reader->ledger, message, id);
  }
}

/* True when there may be more. */
static bool read_chunk(struct log_reader *reader, struct source *source) {
  if (!source->redis) {
    struct timeval limit = {0, TIMEOUT_MS * 1000};
    source->redis = redisConnectWithTimeout("127.0.0.1", source->port, limit);
    if (source->redis && !source->redis->err) {
      redisSetTimeout(source->redis, limit);
    }
  }
  redisReply *reply = NULL;
  if (source->redis && !source->redis->err) {
    reply = redisCommand(source->redis, "XRANGE %s %s + COUNT %d", reader->key,
                         source->last, CHUNK);
  }
  if (!reply) {
    redisFree(source->redis);
    source->redis = NULL;
    return false;
  }
  size_t count = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
  for (size_t i = 0; i < count; i++) note(reader, source, reply->element[i]);
  freeReplyObject(reply);
  return count == CHUNK;
}

static void read_all(struct log_reader *reader) {
  for (size_t i = 0; i < reader->count; i++) {
    for (int n = 0; n < 100 && read_chunk(reader, &reader->sources[i]); n++) {
      continue;
    }
  }
}

static void *follow(void *arg) {
  struct log_reader *reader = arg;
  const struct timespec turn = {0, TURN_MS * 1000000};
  while (!atomic_load(&reader->stop)) {
    read_all(reader);
    nanosleep(&turn, NULL);
  }
  read_all(reader);
  return NULL;
}

struct log_reader *log_reader_start(struct ledger *ledger, const char *key,
                                    const uint16_t *ports, size_t count) {
  struct log_reader *reader = calloc(1, sizeof *reader);
  if (!reader) return NULL;
  reader->ledger = ledger;
  snprintf(reader->key, sizeof reader->key, "%s", key);
  for (; reader->count < count && reader->count < RUN_REDIS_MAX;
       reader->count++) {
    struct source *source = &reader->sources[reader->count];
    source->port = ports[reader->count];
    memcpy(source->last, "-", 2);
  }
  if (pthread_create(&reader->thread, NULL, follow, reader) == 0) return reader;
  free(reader);
  return NULL;
}

void log_reader_stop(struct log_reader *reader) {
  if (!reader) return;
  atomic_store(&reader->stop, true);
  pthread_join(reader->thread, NULL);
  for (size_t i = 0; i < reader->count; i++) {
    redisFree(reader->sources[i].redis);
  }
  free(reader);
}
