/* server_fixture.h - a server on the memory transport and raw clients that
 * speak bytes, each on the transport's own ops.
 *
 * The server runs a small application (see on_request in server_fixture.c)
 * whose hooks a test may replace. What must always hold is checked for every
 * connection of every test: on_connected is the first hook and has returned
 * before any other, on_disconnected is the last and comes once, and then the
 * connection is not active any more. */
#ifndef SERVER_FIXTURE_H
#define SERVER_FIXTURE_H

#include <pthread.h>

#include "internal.h"
#include "test.h"
#include "wwr_memory.h"

enum { PEERS_MAX = 64, HELD_MAX = 16384, CONNS_MAX = 1 << 17, KEEP_MAX = 64 };

/** A client. Under fix.lock, except `pipe`, which is the client loop's. */
struct peer {
  struct wwr_dialer *dialer;
  struct wwri_pipe *pipe;
  int opened;
  int closed;
  wwr_err reason;
  int failed;
  wwr_err fail_reason;
  int status;
  struct wwri_frame **rx; /* everything received, kept until teardown */
  size_t rx_count;
  size_t rx_cap;
  size_t rx_next;             /* the next one peer_next() gives */
  struct wwri_frame **staged; /* to send, see peer_flush() */
  size_t staged_count;
  size_t staged_cap;
  wwr_err sent; /* what the last flush said */
};

/** The store: keeps sessions in an array; can fail, and can hold every
 * operation back until the test releases it from its own thread. */
struct test_store {
  struct wwr_sessionstore base;
  struct wwr_session *kept[KEEP_MAX];
  size_t kept_count;
  int created;
  int lookups;
  int closed;
  wwr_err created_err;
  wwr_err lookup_err;
  wwr_err closed_err;
  bool hold;
  struct {
    struct wwr_store_op *op;
    wwr_err err;
    struct wwr_session *session;
  } held[KEEP_MAX];
  size_t held_count;
  int takes_not; /* of the next keys */
  bool freed;
};

extern const struct wwr_sessionstore_ops test_store_ops[2]; /* [blocking] */

struct test_bus; /* server_bus.h */

struct fixture {
  pthread_mutex_t lock;
  pthread_cond_t changed; /* after every event */
  struct wwr_memory_hub *hub;
  struct wwri_loop *client_loop;
  struct wwr_server *server;
  struct wwr_server_opts opts; /* change it before fixture_start() */
  struct test_store store;
  bool with_store; /* default true */
  bool store_blocks;
  struct test_bus *bus; /* NULL: the server's own */
  bool tolerant;        /* allocations fail: peers may fail without a word */

  struct peer peers[PEERS_MAX];
  int peer_count;

  /* What the hooks do instead of the application, and what they saw. */
  struct wwr_server_hooks override;
  uint8_t conns[CONNS_MAX]; /* 1: on_connected runs, 2: returned, 3: gone */
  int connected;
  int disconnected;
  wwr_err reason; /* of the last on_disconnected */
  int signals;
  int requests;
  struct wwr_conn *last_conn; /* the last connected; a reference */
  int broken;                 /* promises that did not hold */
  struct wwr_request *held[HELD_MAX];
  size_t held_count;
  size_t held_next;
  char log[64]; /* the last message of level warn and above */
  int errors_logged;
};

extern struct fixture fix;

/** Run the tests in every combination of handler mode and 1 or 2 I/O threads;
 * main()'s status. */
int fixture_main(int argc, char **argv, CU_TestInfo *tests);

/** The mode of the running suite. */
bool is_blocking(void);

/** Make fix.server with fix.opts and start it; asserts. */
void fixture_start(void);
/** The same without asserting. */
wwr_err fixture_new(void);

/** Teardown and setup, for a test that needs many fixtures. */
void fixture_reset(void);

/** End peers and server and check the promises; the teardown does it too. */
void fixture_stop_peers(void);

/** Run `scenario` once for each of its allocations, which then fails. `prepare`
 * fills in `fix` before each. */
void fixture_fail_each(void (*prepare)(void), void (*scenario)(bool in_traffic),
                       bool in_traffic);

/** Frees what a suite has added to `fix`, after the server's end. */
extern void (*fixture_end)(void);
void fixture_free_server(void);

/** Wait until `expr` (over what fix.lock guards) holds; assert that it does. */
#define WAIT(expr)                            \
  do {                                        \
    struct timespec until_ = wait_deadline(); \
    pthread_mutex_lock(&fix.lock);            \
    int status_ = 0;                          \
    while (!(expr) && status_ == 0) {         \
      status_ = wait_changed(&until_);        \
    }                                         \
    bool good_ = (expr);                      \
    pthread_mutex_unlock(&fix.lock);          \
    CU_ASSERT_TRUE_FATAL(good_);              \
  } while (0)

struct timespec wait_deadline(void);
int wait_changed(const struct timespec *until);

/** Read something under fix.lock. */
#define LOCKED(expr)                  \
  __extension__({                     \
    pthread_mutex_lock(&fix.lock);    \
    __typeof__(expr) value_ = (expr); \
    pthread_mutex_unlock(&fix.lock);  \
    value_;                           \
  })

/** Announce a change of what a test keeps under fix.lock. */
void note(int *counter);

/** Milliseconds, monotonic. */
uint64_t now_ms(void);

/** Run fn on a loop's thread and wait for it. */
void run_on(struct wwri_loop *loop, void (*fn)(void *arg), void *arg);

/** Let all loops make a few passes, so that what could happen has. */
void settle(void);

/** From now on every loop of the server has mail waiting at all times, so that
 * everything takes the way by mail; until traffic_stop(). */
void traffic_start(void);
void traffic_stop(void);

/* --- Peers ---------------------------------------------------------------- */

/** Dial; returns when it is decided. NULL (tolerant only): no memory. */
struct peer *peer_dial(void);
/** Dial, expect to be let in, take accept-conf. */
struct peer *peer_connect(void);
/** The same, and tell its wwr_conn (a reference that the fixture keeps until
 * the next one connects). Not with others connecting meanwhile. */
struct peer *peer_connect_conn(struct wwr_conn **conn);
/** Dial, expect an HTTP status instead. */
void peer_refused(int status);

struct wwri_id id_of(uint64_t n);

/** Collect messages; peer_flush() sends them in one go. */
void stage(struct peer *peer, const struct wwri_msg *msg);
void stage_raw(struct peer *peer, const void *bytes, size_t len);
void stage_request(struct peer *peer, uint64_t id, const char *name,
                   const char *payload);
void stage_signal(struct peer *peer, const char *name, const char *payload);
void stage_restore(struct peer *peer, uint64_t id, const char *key);
void stage_close_session(struct peer *peer, uint64_t id);
/** Errors: the pipe's. */
wwr_err peer_flush(struct peer *peer);

/** Stage and flush. */
void peer_request(struct peer *peer, uint64_t id, const char *name,
                  const char *payload);
void peer_signal(struct peer *peer, const char *name, const char *payload);
void peer_restore(struct peer *peer, uint64_t id, const char *key);
void peer_close_session(struct peer *peer, uint64_t id);
void peer_raw(struct peer *peer, const void *bytes, size_t len);

/** Close, or cut, the connection; do not wait. */
void peer_close(struct peer *peer);
void peer_abort(struct peer *peer);
void peer_pause(struct peer *peer, bool paused);

/** The next message; asserts that there is one. Its views live until the
 * teardown. */
struct wwri_msg peer_next(struct peer *peer);
/** The next message, and that it has this type (and id). */
struct wwri_msg peer_expect(struct peer *peer, enum wwri_msg_type type);
struct wwri_msg peer_expect_id(struct peer *peer, enum wwri_msg_type type,
                               uint64_t id);
/** A UTF-8 reply with this text. */
void peer_expect_text(struct peer *peer, uint64_t id, const char *text);
/** False: closed, or nothing came in time. */
bool peer_try_next(struct peer *peer, struct wwri_msg *msg);
/** Nothing has come that was not taken (after settle()). */
void peer_expect_nothing(struct peer *peer);
void peer_wait_closed(struct peer *peer);
/** The same, and that nothing came before it. */
void peer_expect_closed(struct peer *peer);

bool view_is(struct wwr_view view, const char *text);

/* --- The application ------------------------------------------------------ */

/** Wait for the next request that the application holds ("hold"). */
struct wwr_request *next_held(void);
/** Answer it from a thread of its own, and wait for that. */
void answer_held(struct wwr_request *request, const char *text);
void reply_text(struct wwr_request *request, const char *text);

/** The session that the peer creates by the request "create": its key, as long
 * as the store has it. */
const char *peer_create(struct peer *peer);
/** Complete the operations that the store holds, from another thread. */
void store_release(void);
/** Keep a session as if it had been created long ago. */
void store_put(const char *key, const char *info);
bool store_has(const char *key);

#endif
