/* adminapi.h - ask an admin listener (docs/admin.md), by libcurl. */
#ifndef WEBWIRE_ADMINAPI_H
#define WEBWIRE_ADMINAPI_H

#include "cli.h"

struct http_answer {
  long status;
  char *text;    /**< The body, NUL-terminated; never NULL after HTTP_OK. */
  char why[256]; /**< When there was no answer: why not. */
  long date;     /**< The Date header in Unix seconds; -1: none. */
};

/** Ask `base` (http://HOST:PORT) for `path`, which is appended as it is; with
 * `body` (may be NULL) as JSON. True when an answer came, whatever its status;
 * in any case to be given to http_deinit(). */
bool http_ask(const struct cli *cli, const char *base, const char *method,
              const char *path, const json_t *body, struct http_answer *out);

void http_deinit(struct http_answer *answer);

/** Ask the API of the first admin listener. The answer's JSON, to be given
 * back with json_decref(); NULL after a line on stderr. */
json_t *http_api(const struct cli *cli, const char *method, const char *path,
                 const json_t *body);

/** Percent-encode a part of a path, to free(); NULL without memory. */
char *http_escape(const char *text);

#endif
