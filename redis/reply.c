/* Happy path: one complete reply goes in, one object comes out. The structs are
 * hiredis' own behind names of ours, so that nothing is copied. Only what
 * hiredis 0.14 and 1.x have in common is used, RESP2's types. */
#include "reply.h"

#include <hiredis/hiredis.h>
#include <string.h>

static const redisReply *of(const struct wwri_redis_reply *reply) {
  return (const redisReply *)(const void *)reply;
}

static redisReader *reader_of(struct wwri_redis_parser *parser) {
  return (redisReader *)(void *)parser;
}

enum wwri_redis_type wwri_redis_reply_type(const struct wwri_redis_reply *it) {
  if (!it) return WWRI_REDIS_NIL;
  switch (of(it)->type) {
    case REDIS_REPLY_INTEGER:
      return WWRI_REDIS_INTEGER;
    case REDIS_REPLY_STRING:
      return WWRI_REDIS_STRING;
    case REDIS_REPLY_STATUS:
      return WWRI_REDIS_STATUS;
    case REDIS_REPLY_ERROR:
      return WWRI_REDIS_ERROR;
    case REDIS_REPLY_ARRAY:
      return WWRI_REDIS_ARRAY;
    default:
      return WWRI_REDIS_NIL;
  }
}

int64_t wwri_redis_reply_int(const struct wwri_redis_reply *reply) {
  return wwri_redis_reply_type(reply) == WWRI_REDIS_INTEGER
             ? (int64_t)of(reply)->integer
             : 0;
}

struct wwr_view wwri_redis_reply_text(const struct wwri_redis_reply *reply) {
  enum wwri_redis_type type = wwri_redis_reply_type(reply);
  struct wwr_view text = {NULL, 0};
  if (type == WWRI_REDIS_STRING || type == WWRI_REDIS_STATUS ||
      type == WWRI_REDIS_ERROR) {
    text.data = (const uint8_t *)of(reply)->str;
    text.len = (size_t)of(reply)->len; /* an int in 0.14 */
  }
  return text;
}

size_t wwri_redis_reply_count(const struct wwri_redis_reply *reply) {
  return wwri_redis_reply_type(reply) == WWRI_REDIS_ARRAY ? of(reply)->elements
                                                          : 0;
}

const struct wwri_redis_reply *wwri_redis_reply_at(
    const struct wwri_redis_reply *reply, size_t index) {
  if (index >= wwri_redis_reply_count(reply)) return NULL;
  return (const struct wwri_redis_reply *)(const void *)of(reply)
      ->element[index];
}

bool wwri_redis_reply_is(const struct wwri_redis_reply *reply,
                         const char *text) {
  return wwri_redis_reply_type(reply) != WWRI_REDIS_ERROR &&
         wwr_view_equal(wwri_redis_reply_text(reply), wwr_view_str(text)) &&
         wwri_redis_reply_text(reply).data;
}

wwr_err wwri_redis_parser_new(struct wwri_redis_parser **out) {
  redisReader *reader = redisReaderCreate();
  *out = (struct wwri_redis_parser *)(void *)reader;
  return reader ? WWR_OK : WWR_E_NOMEM;
}

void wwri_redis_parser_free(struct wwri_redis_parser *parser) {
  if (parser) redisReaderFree(reader_of(parser));
}

wwr_err wwri_redis_parser_take(struct wwri_redis_parser *parser,
                               struct wwr_view bytes,
                               struct wwri_redis_reply **out) {
  redisReader *reader = reader_of(parser);
  void *reply = NULL;
  *out = NULL;
  if (redisReaderFeed(reader, (const char *)bytes.data, bytes.len) ||
      redisReaderGetReply(reader, &reply)) {
    return reader->err == REDIS_ERR_OOM ? WWR_E_NOMEM : WWR_E_PROTOCOL;
  }
  if (!reply) return WWR_E_PROTOCOL;
  *out = reply;
  return WWR_OK;
}

void wwri_redis_reply_free(struct wwri_redis_reply *reply) {
  if (reply) freeReplyObject(reply);
}
