/* transport_fixture.h - one server transport on one or two loops and any
 * number of clients on a loop of their own, each side recording what happens
 * to it. What must always hold (events on the right thread, never inside a
 * call, never after closed; every accepted upgrade opened and closed or
 * abandoned) is checked for every case. */
#ifndef TRANSPORT_FIXTURE_H
#define TRANSPORT_FIXTURE_H

#include <pthread.h>

#include "http.h"
#include "test.h"
#include "transport.h"

enum { ENDS_MAX = 160, LOOPS_MAX = 2, WAIT_SECONDS = 90 };

/** What is tested: how to make both sides. */
struct subject {
  const char *name;
  /* `*data` is the subject's, one per fixture. */
  wwr_err (*make_transport)(struct wwr_transport **out, void **data);
  /* `address` is the started transport's. */
  wwr_err (*make_dialer)(struct wwr_dialer **out, const char *address,
                         void *data);
  void (*free_data)(void *data); /* may be NULL */
};

/** One side of a connection. All of it under fix.lock. */
struct end {
  struct wwri_pipe *pipe; /* NULL before opened and after closed */
  struct wwri_loop *loop;
  bool taken; /* a server's: its upgrade was accepted */
  bool abandoned;
  int opened;
  int closed;
  wwr_err reason;
  int violations;
  uint16_t violation_code;
  uint32_t received;
  uint64_t bytes;
  uint32_t bad;        /* broken promises */
  bool hold;           /* do not release when opened */
  uint32_t pause_at;   /* pause itself in every n-th message; 0: never */
  uint32_t close_at;   /* close in that message event; 0: never */
  uint64_t last_rx_ms; /* at the last message */
};

struct client {
  struct wwr_dialer *dialer;
  struct end end;
  int failed;
  wwr_err fail_reason;
  int status;
};

struct fixture {
  const struct subject *subject;
  pthread_mutex_t lock;
  pthread_cond_t changed; /* after every event */
  struct wwri_loop *loops[LOOPS_MAX];
  size_t loop_count;
  struct wwri_loop *client_loop;
  struct wwr_transport *transport;
  bool started;
  void *data;
  struct wwri_transport_config config; /* change it before fixture_start() */
  struct wwri_dialer_config dialer_config;

  struct end server_ends[ENDS_MAX];
  int taken;
  int opened;
  struct client clients[ENDS_MAX];
  int client_count;
  uint32_t bad;

  /* What the next upgrades do. */
  bool hold_servers;
  bool (*upgrade)(struct wwr_http *http); /* NULL: accept */
};

extern struct fixture fix;

/** Which subject the next fixtures use, and on how many server loops. */
void fixture_select(const struct subject *subject, size_t loop_count);

/** Loops, transport and data, nothing started. Per test, like teardown. */
void fixture_setup(void);
void fixture_teardown(void);

/** The same without asserting: false when something failed. */
bool fixture_try_setup(void);

/** Start the transport with fix.config. */
wwr_err fixture_start(void);

/** Wait until `expr` (over what fix.lock guards) holds; assert that it does. */
#define WAIT(expr)                                    \
  do {                                                \
    struct timespec wait_until_ = fixture_deadline(); \
    pthread_mutex_lock(&fix.lock);                    \
    int wait_status_ = 0;                             \
    while (!(expr) && wait_status_ == 0) {            \
      wait_status_ = fixture_wait(&wait_until_);      \
    }                                                 \
    bool wait_good_ = (expr);                         \
    pthread_mutex_unlock(&fix.lock);                  \
    CU_ASSERT_TRUE_FATAL(wait_good_);                 \
  } while (0)

struct timespec fixture_deadline(void);
int fixture_wait(const struct timespec *until);

/** Run fn on a loop's thread and wait for it. */
void run_on(struct wwri_loop *loop, void (*fn)(void *arg), void *arg);

/** Let every loop make a few passes, so that what could happen has. */
void settle(void);

/** A client with its dialer started; NULL when making it failed. */
struct client *client_new(void);

/** dial(); its result. */
wwr_err client_dial(struct client *client, uint32_t timeout_ms);

/** Make a client, dial, wait for both sides; asserts. The server's end. */
struct end *connect_client(struct client **out);

/** Dial and expect failed(); asserts. */
struct client *dial_refused(wwr_err reason, int status);

/* On the end's own loop. Each returns what the pipe said; after closed
 * WWR_E_DISCONNECTED. */

/** Send messages number `first` to `first + count - 1` of `len` bytes, until
 * one fails. */
wwr_err end_send(struct end *end, uint32_t first, uint32_t count, size_t len);
/** The same and close(1000) in the same call. */
wwr_err end_send_and_close(struct end *end, uint32_t count, size_t len);
/** Send one more reference to this frame. */
wwr_err end_send_frame(struct end *end, struct wwri_frame *frame);
/** Message number 0 of `len` bytes, for end_send_frame(). */
struct wwri_frame *message_frame(size_t len);
void end_release(struct end *end);
void end_pause(struct end *end, bool paused);
void end_close(struct end *end, uint16_t code);
void end_abort(struct end *end);
void end_set_max_message(struct end *end, uint32_t bytes);
uint32_t end_queued_bytes(struct end *end);
/** Loop time now, and the pipe's last_rx_ms. */
void end_times(struct end *end, uint64_t *now_ms, uint64_t *last_rx_ms);

struct wwri_transport_stats server_stats(void);

/** Wait until the transport counts `count` open connections (it may count one
 * for a moment after its closed event); false when it never does. */
bool connections_become(uint64_t count);

#endif
