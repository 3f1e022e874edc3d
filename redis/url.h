/* url.h - where Redis is, as one line of configuration. Pure.
 *
 *   redis://[[USER]:PASSWORD@]HOST[:PORT][/DB][?OPTION=VALUE&...]
 *   rediss://...                                       the same over TLS
 *   unix://[[USER]:PASSWORD@]/PATH[?db=DB]
 *   redis+sentinel://[[USER]:PASSWORD@]H1[:P1],H2,.../NAME[/DB][?...]
 *   rediss+sentinel://...                  TLS to the sentinels and the master
 *   redis+cluster://[[USER]:PASSWORD@]H1[:P1],H2,...[?...]
 *   rediss+cluster://...                               the same over TLS
 *
 * Everything between the punctuation may be percent-encoded. PASSWORD alone
 * (redis://secret@host) is taken for a mistake, as user names without a
 * password are. Options: ca_file, cert_file, key_file, tls_name (the name in
 * the server's certificate, when it is not HOST) for TLS; sentinel_user and
 * sentinel_password, because sentinels have users of their own. */
#ifndef WWRI_REDIS_URL_H
#define WWRI_REDIS_URL_H

#include "wwr_err.h"

enum {
  WWRI_REDIS_PORT = 6379,
  WWRI_REDIS_SENTINEL_PORT = 26379,
  WWRI_REDIS_MAX_HOSTS = 16,
  WWRI_REDIS_MAX_TEXT = 256 /* any one part, its NUL included */
};

struct wwri_redis_host {
  char name[WWRI_REDIS_MAX_TEXT]; /* a name or address; IPv6 without brackets */
  uint16_t port;
};

/** A parsed URL; plain data, no pointers. Empty text: not given. */
struct wwri_redis_url {
  bool tls;
  bool sentinel; /* hosts are sentinels and `master` is the name they know */
  bool cluster;  /* hosts are some nodes of a Redis Cluster */
  struct wwri_redis_host hosts[WWRI_REDIS_MAX_HOSTS];
  size_t host_count;              /* 0 with a Unix socket */
  char path[WWRI_REDIS_MAX_TEXT]; /* of the Unix socket */
  char user[WWRI_REDIS_MAX_TEXT];
  char password[WWRI_REDIS_MAX_TEXT];
  char master[WWRI_REDIS_MAX_TEXT];
  uint32_t db;
  char ca_file[WWRI_REDIS_MAX_TEXT];
  char cert_file[WWRI_REDIS_MAX_TEXT];
  char key_file[WWRI_REDIS_MAX_TEXT];
  char tls_name[WWRI_REDIS_MAX_TEXT];
  char sentinel_user[WWRI_REDIS_MAX_TEXT];
  char sentinel_password[WWRI_REDIS_MAX_TEXT];
};

/** Parse `text`. WWR_E_INVALID: *why is one static sentence without the URL
 * (it may hold a password), and *out is undefined. */
WWR_MUST_CHECK wwr_err wwri_redis_url_parse(struct wwri_redis_url *out,
                                            const char *text, const char **why);

#endif
