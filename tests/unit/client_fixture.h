/* client_fixture.h - a client over the memory transport and, at its other end,
 * a server that the test plays message by message, without server/.
 *
 * What happens at the client is written to a journal ("created:KEY",
 * "reply a:ok"), one word group a line end, so that a test states an order by
 * one string. All waits end after WAIT_MS. */
#ifndef CLIENT_FIXTURE_H
#define CLIENT_FIXTURE_H

#include <pthread.h>

#include "client.h"
#include "codec.h"
#include "loop.h"
#include "waiter.h"
#include "transport.h"
#include "wwr_client.h"
#include "wwr_memory.h"

enum { WAIT_MS = 10000, CALLS_MAX = 64 };

struct fix;

/** The other end. */
struct peer {
  struct wwr_memory_hub *hub;
  struct wwr_transport *transport;
  struct wwri_loop *loop;
  pthread_mutex_t mutex;
  pthread_cond_t cond;
  /* Under the mutex; set the first group before the client connects. */
  struct wwri_msg conf; /* what it sends first; type 0: nothing */
  int refuse;           /* HTTP status; 0: accept */
  void (*on_message)(struct peer *peer, struct wwri_pipe *pipe,
                     const struct wwri_msg *msg); /* on the loop; NULL: inbox */
  struct letter *inbox;
  struct letter *taken; /* the last one that peer_expect() gave out */
  unsigned opened;
  unsigned closed;
  unsigned heartbeats;
  struct wwri_pipe *pipe; /* the newest; NULL when it is closed */
};

/** The next message that is no heartbeat must be of this type; valid until the
 * next call. */
const struct wwri_msg *peer_expect(struct peer *peer, enum wwri_msg_type type);
/** True when the inbox is empty. */
bool peer_heard_nothing(struct peer *peer);
void peer_wait_opened(struct peer *peer, unsigned count);
void peer_wait_closed(struct peer *peer, unsigned count);
void peer_wait_heartbeats(struct peer *peer, unsigned count);

/** On the newest connection; no answer is waited for. */
void peer_send(struct peer *peer, const struct wwri_msg *msg);
void peer_send_bytes(struct peer *peer, const void *bytes, size_t len);
void peer_send_text(struct peer *peer, enum wwri_msg_type type,
                    const struct wwri_id *id, const char *text);
/** The next message must be a request named `name`: answer it by its name. */
void peer_answer(struct peer *peer, const char *name);
void peer_cut(struct peer *peer);
void peer_close(struct peer *peer);
void peer_pause(struct peer *peer);
/** From within on_message. */
void peer_send_now(struct wwri_pipe *pipe, const struct wwri_msg *msg);
/** Answers requests with their name and payload, session calls with success. */
void peer_echo(struct peer *peer, struct wwri_pipe *pipe,
               const struct wwri_msg *msg);

struct tagged {
  struct fix *fix;
  char name[16];
};

struct fix {
  struct peer peer;
  struct wwr_client_opts opts;
  struct wwr_client *client;
  pthread_mutex_t mutex;
  pthread_cond_t cond;
  char journal[4096];
  struct tagged calls[CALLS_MAX];
  unsigned call_count;
  unsigned waiting; /* for fix_wait_calls() */
  void (*in_hook)(struct fix *fix, const char *event); /* after the entry */
};

/** A running server, options with short times, no client yet. */
void fix_init(struct fix *fix);
/** The client; its status is disabled. */
void fix_start(struct fix *fix);
/** Init, start, connect. */
void fix_connect(struct fix *fix);
void fix_deinit(struct fix *fix);

/** Wait until the journal is as long as `expected`, compare, clear it. */
void fix_expect(struct fix *fix, const char *expected);
/** Run `fn` on the client's loop and wait until it is done. */
void fix_on_loop(struct fix *fix, void (*fn)(struct fix *fix));
void fix_note(struct fix *fix, const char *what, const char *more);
/** A request by callback; writes "reply NAME:ERROR;". */
wwr_call fix_request(struct fix *fix, const char *name, uint32_t timeout_ms);
/** Wait until so many calls are on the client's list of those who wait. */
void fix_wait_calls(struct fix *fix, unsigned count);
void fix_wait_status(struct fix *fix, enum wwr_client_status status);

/** Make the client have this session by a notice. */
void fix_give_session(struct fix *fix, const char *key);
/** Its JSON, static until the next call. */
const char *session_json(const char *key);

/** A dialer whose every dial fails. */
struct wwr_dialer *failing_dialer(wwr_err reason, int http_status);

#endif
