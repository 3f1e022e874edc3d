/* webwired.h - what the suites of webwired share: servers with a configuration
 * file, sessions without a sign-in, and numbers in replies. */
#ifndef WIRE_WEBWIRED_H
#define WIRE_WEBWIRED_H

#include "wire.h"

enum { REPLY_MAX = 65536 };

/** A webwired whose file is DIR/x.conf. */
struct node {
  struct wire_server server;
  char file[128];
};

/** Start it on a file with this text; `args` (may be NULL) are added. */
bool node_start(struct node *node, const char *config,
                const char *const args[]);
int node_end(struct node *node);

/** Change the file, send SIGHUP, and wait for the `count`-th line of the log
 * that has `said` in it. */
bool node_reload(struct node *node, const char *config, const char *said,
                 size_t count);

/** How often its log has this. */
size_t node_said(const struct node *node, const char *text);

struct rawws *node_open(const struct node *node);

/** Put a session with this info into the node's store, and restore it. */
bool node_restore(const struct node *node, struct rawws *ws, const char *key,
                  const char *info);

/** Ask, skipping signals; NULL when it fails or is an error. In a static
 * buffer, until the next call. */
const char *node_ask(struct rawws *ws, const char *name, const char *text);

/** The same, for an error: its code, "" when it was none. */
const char *node_refused(struct rawws *ws, const char *name, const char *text);

/** A number (or one as text) behind its first `key` in JSON; UINT64_MAX: there
 * is none. */
uint64_t number_of(const char *json, const char *key);

#endif
