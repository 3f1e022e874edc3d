/* reply.h - a reply of Redis, parsed by hiredis and read without knowing it.
 *
 * Every accessor takes NULL and the wrong type: nothing then, 0, an empty view.
 * So a reply of an unexpected shape is read safely and judged once. */
#ifndef WWRI_REDIS_REPLY_H
#define WWRI_REDIS_REPLY_H

#include "wwr_err.h"

struct wwri_redis_reply; /* opaque; borrowed from whoever hands it out */

enum wwri_redis_type {
  WWRI_REDIS_NIL,
  WWRI_REDIS_INTEGER,
  WWRI_REDIS_STRING,
  WWRI_REDIS_STATUS,
  WWRI_REDIS_ERROR,
  WWRI_REDIS_ARRAY
};

/** What it is; WWRI_REDIS_NIL for NULL. */
enum wwri_redis_type wwri_redis_reply_type(const struct wwri_redis_reply *it);

/** An integer's value, else 0. */
int64_t wwri_redis_reply_int(const struct wwri_redis_reply *reply);

/** The bytes of a string, status or error, valid as long as the reply. */
struct wwr_view wwri_redis_reply_text(const struct wwri_redis_reply *reply);

/** The number of an array's elements, else 0. */
size_t wwri_redis_reply_count(const struct wwri_redis_reply *reply);

/** Element `index` of an array, valid as long as the array; else NULL. */
const struct wwri_redis_reply *wwri_redis_reply_at(
    const struct wwri_redis_reply *reply, size_t index);

/** True for a string or status of exactly this text. */
bool wwri_redis_reply_is(const struct wwri_redis_reply *reply,
                         const char *text);

/* --- For the connections ------------------------------------------------ */

/** hiredis' parser. Opaque. */
struct wwri_redis_parser;

/** Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_redis_parser_new(struct wwri_redis_parser **out);
void wwri_redis_parser_free(struct wwri_redis_parser *parser);

/** Parse exactly one complete reply (see resp.h); the caller frees *out.
 * WWR_E_PROTOCOL: these bytes are none after all. WWR_E_NOMEM. The parser is
 * of no use after an error. */
WWR_MUST_CHECK wwr_err wwri_redis_parser_take(struct wwri_redis_parser *parser,
                                              struct wwr_view bytes,
                                              struct wwri_redis_reply **out);

void wwri_redis_reply_free(struct wwri_redis_reply *reply);

#endif
