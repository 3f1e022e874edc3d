/* redis_fixture.h - a redis-server of the test's own: free port, temporary
 * directory, gone when the test is. Talks to it by hiredis, which shares no
 * code with the link under test. */
#ifndef REDIS_FIXTURE_H
#define REDIS_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proc;

enum { REDIS_MAX_ARGS = 40 };

struct redis_server {
  struct proc *proc; /* NULL: does not run */
  char dir[64];
  char port_text[8];
  uint16_t port;
  int reserved; /* keeps the port for it, also while it is down */
  const char *args[REDIS_MAX_ARGS]; /* besides the fixture's own; borrowed */
  bool sentinel;                    /* args[0] is the file to start with */
};

/** True when there is a redis-server; else says that it skips. */
bool redis_available(void);

/** A port that nobody gets but who asks for it, until the socket is closed,
 * which is bound and never listens. */
uint16_t redis_reserve_port(int *reserved);

/** Make the directory and choose the port; redis_start() starts it. `args` as
 * on the command line, ended by NULL, copied (not the text). */
void redis_init(struct redis_server *server, const char *const *args);

/** The same, with the directory in `parent` instead of /tmp. */
void redis_init_in(struct redis_server *server, const char *parent,
                   const char *const *args);

/** Start and wait until it answers (an error is an answer). Again after
 * redis_kill(), with what is in its directory. False when it doesn't. */
bool redis_start(struct redis_server *server);

/** SIGKILL, and wait for its end. Harmless when it does not run. */
void redis_kill(struct redis_server *server);

/** Send a signal (SIGSTOP, SIGCONT). */
void redis_signal(struct redis_server *server, int signal);

/** Kill it and remove its directory. */
void redis_remove(struct redis_server *server);

/** Run a command given as one line (words without spaces) and copy what it
 * answers to `out` (may be NULL): text of a string, status or error, decimal of
 * an integer, elements of an array with spaces between. False when there was no
 * answer, or an error. */
bool redis_run(const struct redis_server *server, const char *line, char *out,
               size_t cap);

/** Repeat a command until its answer contains `text`. False after 30 s. */
bool redis_until(const struct redis_server *server, const char *line,
                 const char *text);

#endif
