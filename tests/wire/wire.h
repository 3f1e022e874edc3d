/* wire.h - what the wire suites share: servers under test, and the bytes of
 * messages, written down here independently of the library's codec. */
#ifndef WIRE_H
#define WIRE_H

#include "proc.h"
#include "rawws.h"
#include "test.h"

enum {
  WIRE_MS = 20000, /* ends what hangs; generous for sanitizers */
  WIRE_QUIET_MS = 100,
  WIRE_MAX_ARGS = 24,
  WIRE_MAX_MESSAGE = 65536
};

/** The monotonic clock. */
int64_t wire_now_ms(void);

/* A string literal as bytes: may hold NULs. */
#define WIRE_BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

/** A temporary directory, removed with what is in it by wire_dir_remove(). */
struct wire_dir {
  char path[64];
};
bool wire_dir_make(struct wire_dir *dir);
void wire_dir_remove(struct wire_dir *dir);
/** "DIR/name", in a static buffer of which four are in use at once. */
const char *wire_path(const struct wire_dir *dir, const char *name);
bool wire_write_file(const char *path, const char *text);

/** Start PROGRAMS/name with these arguments, ended by NULL. */
struct proc *wire_program(const char *name, const char *const args[]);

/** A socket that is bound to a port of 127.0.0.1 where nobody listens any more,
 * so that nobody else does while the test expects to be refused there. -1:
 * somebody was quicker. To close(). */
int wire_hold_port(uint16_t port);

/** A server that listens: port 0, sessions in its own directory. */
struct wire_server {
  struct proc *proc;
  uint16_t port;
  struct wire_dir dir;
};

/** Start a server; `args` (may be NULL) are added. */
bool wire_start(struct wire_server *server, const char *name,
                const char *const args[]);

/** End it by SIGTERM: true when the exit status is 0. Its directory stays. */
bool wire_stop(struct wire_server *server);

/** Start it again on the same directory. */
bool wire_restart(struct wire_server *server, const char *name,
                  const char *const args[]);

/** Stop it and remove its directory. Returns a suite's status: 0 is good. */
int wire_end(struct wire_server *server);

/** Connect, and read accept-conf, which must come first. */
struct rawws *wire_open(uint16_t port);

/** Types of messages, docs/protocol.md "Bytes". */
enum {
  REPLY_ERROR = 0,
  REPLY_INTERNAL_ERROR = 2,
  REPLY_SESSION_NOT_FOUND = 3,
  REPLY_MAX_SESSION_CONNS = 4,
  SESSION_CREATED = 21,
  SESSION_CLOSED = 22,
  ACCEPT_CONF = 23,
  CLOSE_SESSION = 31,
  RESTORE_SESSION = 32,
  HEARTBEAT = 33,
  SIGNAL_BINARY = 63,
  SIGNAL_UTF8 = 64,
  SIGNAL_UTF16 = 65,
  REQUEST_BINARY = 127,
  REQUEST_UTF8 = 128,
  REQUEST_UTF16 = 129,
  REPLY_BINARY = 191,
  REPLY_UTF8 = 192,
  REPLY_UTF16 = 193
};

/** The id of every request below, unless it is said. */
#define WIRE_ID "12345678"

struct wire_message {
  uint8_t bytes[WIRE_MAX_MESSAGE];
  size_t len;
};

/** A request or signal with a name, padded as its type wants it. */
const struct wire_message *wire_named(int type, const char *name,
                                      const void *payload, size_t len);

/** A message of a type, the id, and a rest. */
const struct wire_message *wire_with_id(int type, const void *rest, size_t len);

bool wire_send(struct rawws *ws, const struct wire_message *message);
bool wire_expect(struct rawws *ws, const struct wire_message *message);

/** Send a named request with a text (NULL: none) as UTF-8. */
bool wire_request(struct rawws *ws, const char *name, const char *text);

/** The next message is a reply-error with this code. */
bool wire_expect_error(struct rawws *ws, const char *code);

/** The next message is a nameless UTF-8 signal with this text. */
bool wire_expect_signal(struct rawws *ws, const char *text);

/** The same, after signals of which it does not matter what they say. */
bool wire_await_signal(struct rawws *ws, const char *text);

/** What somebody says himself he hears before the empty reply, but the server
 * waits only a second for that: both, in either order. */
bool wire_hears_himself(struct rawws *ws, const char *text);

/** The next message that is no signal. */
bool wire_recv_answer(struct rawws *ws, struct rawws_message *out);

/** The next message is an empty binary reply. */
bool wire_expect_empty(struct rawws *ws);

/** Send a named request and wait for its reply, skipping signals; its text to
 * `out`. False when it is an error, which then is `out`: the code. */
bool wire_ask(struct rawws *ws, const char *name, const char *text, char *out,
              size_t cap);

/** Log in to the chat room; the session key (64 characters) to `key`. */
bool wire_log_in(struct rawws *ws, const char *name, const char *pass,
                 char key[65]);

#endif
