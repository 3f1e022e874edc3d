/* answer.h - what an answer of Redis means for whoever asked and for the link.
 * Pure. */
#ifndef WWRI_REDIS_ANSWER_H
#define WWRI_REDIS_ANSWER_H

#include "wwr_err.h"

/** Classes of error replies. */
enum wwri_redis_class {
  WWRI_REDIS_DEFINITE,    /**< An answer: the command is wrong or not wanted. */
  WWRI_REDIS_UNAVAILABLE, /**< Not now: LOADING, OOM, BUSY and their kin. */
  WWRI_REDIS_DEMOTED,  /**< Not here: READONLY, MASTERDOWN, MOVED. Unavailable
                            too, and the master must be looked for. */
  WWRI_REDIS_NOSCRIPT, /**< Scripts are gone: the server is not the one that
                            loaded them. Unavailable, and a link fault. */
  WWRI_REDIS_AUTH      /**< NOAUTH, WRONGPASS, NOPERM: an operator must act.
                            Never an answer to a client either. */
};

/** Class of an error reply's text (without the leading '-'). */
enum wwri_redis_class wwri_redis_classify(struct wwr_view error);

/** True when the error was raised by a line of a script, so that what came
 * before that line has been done. Errors that refuse a command whole have no
 * such mark (Redis 7 adds it). */
bool wwri_redis_from_script(struct wwr_view error);

enum { WWRI_REPLID_MAX = 41 };

/** The part of INFO replication that tells servers apart, and of INFO cluster.
 */
struct wwri_redis_info {
  bool master;
  bool cluster;                 /* a node of a Redis Cluster */
  char replid[WWRI_REPLID_MAX]; /* NUL-terminated, never empty */
};

/** Read the text of INFO replication cluster. False when role or master_replid
 * is missing or no such thing. */
bool wwri_redis_info_parse(struct wwr_view text, struct wwri_redis_info *out);

#endif
