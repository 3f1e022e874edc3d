/* scripts_rig.h - runs the cluster's Lua scripts on a redis-server of the
 * test's own: by the link, as the cluster does, or directly where no link can
 * be live (on a replica). */
#ifndef SCRIPTS_RIG_H
#define SCRIPTS_RIG_H

#include "redis_fixture.h"
#include "redis_rig.h"
#include "scripts.h"

#define BOOT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BOOT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define BOOT_C "cccccccccccccccccccccccccccccccc"

/** A list of texts for keys and arguments. */
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

enum { SR_VALUES = 1 << 14, SR_BYTES = 1 << 20, SR_LEASE_MS = 30000 };

/** An answer, flat: the elements of nested arrays in order, integers as
 * decimal text, "(nil)". */
struct sr_answer {
  enum wwri_redis_outcome outcome; /* ERROR when not by the link */
  bool maybe_done;
  char error[256]; /* empty: none */
  size_t count;
  struct wwr_view values[SR_VALUES]; /* a NUL follows each */
  char bytes[SR_BYTES];
  size_t used;
};

struct sr {
  struct redis_server server;
  struct rig rig;
  const char *const *texts; /* registered with the link; NULL: no link */
  int numbers[WWRI_REDIS_MAX_SCRIPTS];
  void *raw; /* direct connection */
  struct sr_answer answer;
};

/** All scripts of scripts.h. */
extern const char *const sr_cluster_scripts[];

/** Make and start a server (redis_init() says what `args` may be). */
void sr_start(struct sr *sr, const char *const *args);

/** Connect a link with these scripts registered (ended by NULL, borrowed). */
void sr_link(struct sr *sr, const char *const *texts);

/** Link it unless that has happened, and delete what it holds: one server is
 * enough for all tests that only need an empty one. */
void sr_fresh(struct sr *sr, const char *const *texts);

/** The server's clock. */
int64_t sr_server_ms(struct sr *sr);

/** Make the last beat of a boot (or "!grace") so old; negative: to come. */
void sr_age(struct sr *sr, const char *member, int64_t ms);
void sr_unlink(struct sr *sr);

/** The server starts again with what is on its disk; a link reconnects. */
void sr_restart(struct sr *sr);
void sr_end(struct sr *sr);

/** Run a script. The answer is valid until the next call. */
const struct sr_answer *sr_eval(struct sr *sr, const char *text,
                                const char *const *keys,
                                const char *const *argv);
const struct sr_answer *sr_eval_views(struct sr *sr, const char *text,
                                      const struct wwr_view *argv, size_t argc,
                                      size_t key_count);

/** The same, but not by the link: any script. */
const struct sr_answer *sr_eval_directly(struct sr *sr, const char *text,
                                         const char *const *keys,
                                         const char *const *argv);

/** Any command, directly, as one line. Its answer as one text with spaces, an
 * error's with '!' before it; valid until the next call. */
const char *sr_ask(struct sr *sr, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Value `i`; empty text when there is none. */
const char *sr_text(const struct sr_answer *answer, size_t i);
int64_t sr_number(const struct sr_answer *answer, size_t i);

/** True when the answer is no error and its values, with spaces between, are
 * exactly this text. Prints it otherwise. */
bool sr_is(const struct sr_answer *answer, const char *text);

/** True when it is a definite error that begins with this text. */
bool sr_refused(const struct sr_answer *answer, const char *text);

/* --- Scripts with the keys "w:{0}:..." ---------------------------------- */

const struct sr_answer *sr_beat(struct sr *sr, const char *boot, unsigned n);

/** With its settings. */
struct sr_beat {
  const char *boot;
  unsigned n;
  unsigned lease;          /* ms; 0: SR_LEASE_MS */
  const char *layout;      /* NULL: 1 */
  const char *fingerprint; /* NULL: two lines */
  const char *connection;  /* NULL: 1 */
};
const struct sr_answer *sr_beat_as(struct sr *sr, const struct sr_beat *beat);

struct sr_publish {
  const char *channel;
  const char *author;
  unsigned seq;
  const char *node;       /* NULL: BOOT_A */
  const char *connection; /* NULL: 1 */
  const char *data;       /* NULL: "d" and seq */
  const char *flags;      /* NULL: none */
  const char *hint;       /* NULL: 0-0 */
  unsigned tried_ms;      /* ago */
  int64_t since_ms;       /* or then, by the server's clock; 0: not given */
  unsigned limit;         /* 0: 1000 */
  unsigned age;           /* 0: 60000 */
  unsigned expiry;        /* 0: 120000 */
};
const struct sr_answer *sr_publish_as(struct sr *sr,
                                      const struct sr_publish *publish);
const struct sr_answer *sr_publish(struct sr *sr, const char *channel,
                                   const char *author, unsigned seq);
const struct sr_answer *sr_open(struct sr *sr, const char *channel,
                                unsigned count);

/** Publish that author's first to last to "ch"; `limit` as above. */
void sr_fill(struct sr *sr, const char *author, unsigned first, unsigned last,
             unsigned limit);

/** "ok" or "dup" and an id with this offset. */
bool sr_answered(const struct sr_answer *answer, const char *kind,
                 const char *offset);

/** How long a key has to live; and whether that is `ms`, or up to half a minute
 * less on a slow machine. */
int64_t sr_ttl(struct sr *sr, const char *key);
bool sr_lives(struct sr *sr, const char *key, int64_t ms);

/** The log as "OFFSET:DATA" or "!WHY" of fork records, with spaces. */
const char *sr_log(struct sr *sr, const char *channel);

/** Id of the log's entry `index`; empty: there is none. */
const char *sr_entry_id(struct sr *sr, const char *channel, size_t index,
                        char out[48]);

/* --- Listening ---------------------------------------------------------- */

/** Subscribe on a connection of its own. */
void *sr_listen(struct sr *sr, const char *channel);

/** The next message; empty text after 10 s without any. */
struct wwr_view sr_heard(void *listener);

/** True when no message is waiting. */
bool sr_heard_nothing(struct sr *sr, void *listener, const char *channel);
void sr_listen_end(void *listener);

#endif
