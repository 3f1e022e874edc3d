/* admin.h - an HTTP client for the admin listener: one request on a connection
 * of its own, or bytes as they are. */
#ifndef WIRE_ADMIN_H
#define WIRE_ADMIN_H

#include "wire.h"

#define ADMIN_TOKEN "a-token-of-the-tests"

enum { ADMIN_BODY_MAX = 1 << 18 };

/** The port of "admin on http://HOST:PORT" in a program's output. 0: none. */
uint16_t admin_port(struct proc *proc);

/** The same in a file that it is appended to; the last one. */
uint16_t admin_port_logged(const char *path);

/** One answer. */
struct admin_answer {
  int status; /* -1: none */
  char body[ADMIN_BODY_MAX];
};

/** Ask with the right token; `body` may be NULL. Its status, -1 without an
 * answer. The answer is borrowed until the next. */
int admin_ask(uint16_t port, const char *method, const char *path,
              const char *body, struct admin_answer *out);

/** GET without a token. */
int admin_probe(uint16_t port, const char *path, struct admin_answer *out);

/** A member that is a number, or one as text, from the first place where it
 * stands. */
long long admin_number(const struct admin_answer *answer, const char *key);

/** Wait until a probe answers with a status. */
bool admin_wait_probe(uint16_t port, const char *path, int status);

#endif
