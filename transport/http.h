/* http.h - the request that hooks see before an upgrade, as the transports
 * fill it and the server reads it. */
#ifndef WWRI_HTTP_H
#define WWRI_HTTP_H

#include "wwr_transport.h"

enum { WWRI_HTTP_HEADERS_MAX = 16, WWRI_INFOS_MAX = 16 /* of the hook */ };

/** One piece of connection info; owned by whoever holds the struct. */
struct wwri_info {
  int key;
  void *value;
  void (*release)(void *value);
};

struct wwri_infos {
  struct wwri_info *items; /* NULL when there are none */
  size_t count;
};

/** Release every value and the array. */
void wwri_infos_deinit(struct wwri_infos *infos);

struct wwr_http {
  const char *method; /* borrowed from the transport */
  const char *path;
  const char *query;
  const char *remote;
  /* Find a header; NULL when absent. Set by the transport. */
  const char *(*find_header)(const struct wwr_http *http, const char *name);
  void *transport_data; /* for find_header */

  /* The answer; status 0: none chosen. */
  int status;
  char *content_type;
  uint8_t *body;
  size_t body_len;
  struct {
    char *name;
    char *value;
  } headers[WWRI_HTTP_HEADERS_MAX];
  size_t header_count;

  /* Options of the connection to be. */
  bool has_concurrency;
  int concurrency;
  struct wwri_infos infos; /* moved out by the server */
};

/** As wwr_http_set_info(), for the one that the server adds: the hook may have
 * used all of its own. */
wwr_err wwri_http_add_info(struct wwr_http *http, int key, void *value,
                           void (*release)(void *value));

/** Free what the setters copied (not the struct). */
void wwri_http_deinit(struct wwr_http *http);

#endif
