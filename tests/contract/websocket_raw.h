/* websocket_raw.h - a small echo server on the WebSocket transport, and raw
 * clients against it. What it does with a message is said by its first byte:
 *
 *   'C' u16  close with that code        'F' u32 n u32 len  send n numbered
 *   'P' u16  pause for so many ms                           messages of len
 *   others   echo
 *
 * A violation is answered with the message "violated" and the close code. */
#ifndef WEBSOCKET_RAW_H
#define WEBSOCKET_RAW_H

#include <pthread.h>

#include "http.h"
#include "rawws.h"
#include "test.h"
#include "transport.h"
#include "cert.h"
#include "wwr_websocket.h"

enum {
  WAIT_MS = 10000,
  LINGER_MS = 1000, /* config.close_linger_ms */
  PIPES_MAX = 256,
  MAX_MESSAGE = 200000,
  PAGE_BYTES = 100000 /* of GET /page */
};

struct raw_server {
  struct wwri_loop *loop;
  struct wwr_transport *transport;
  struct wwr_websocket_opts opts;
  struct wwr_tls_server tls;
  struct wwri_transport_config config;
  struct wwr_log log;
  uint16_t port;
  bool started;

  pthread_mutex_t lock; /* guards what follows */
  pthread_cond_t changed;
  struct wwri_pipe *pipes[PIPES_MAX];
  uint64_t opened_ms[PIPES_MAX]; /* by the loop's clock, the first ones */
  int opened;
  int closed;
  int abandoned;
  int messages;
  wwr_err reason; /* of the last one that closed */
  int log_lines;
  char last_origin[64];
};

extern struct raw_server raw;
extern struct test_cert raw_cert;

/** Per suite: the write path of the tests that choose none. */
int raw_use_direct(void);
int raw_use_callback(void);

/** Per test: fill in the defaults; then the test changes opts or config. */
void raw_setup(void);
void raw_teardown(void);

/** Start; asserts. */
void raw_start(void);

/** Start with a write path, with TLS or without; asserts. */
void raw_start_with(enum wwr_write_path path, bool tls);

/** A client that has upgraded; asserts. `receive_buffer` 0: default. */
struct rawws *raw_client(int receive_buffer);

/** Dial without upgrading; asserts. */
struct rawws *raw_dial(void);

/** The status of an upgrade with these header lines on this path. */
int raw_status(const char *path, const char *headers);

/** Run fn on the server's loop and wait. */
void raw_on_loop(void (*fn)(void *arg), void *arg);

/** Wait until `expr` holds (under raw.lock); assert that it does. */
#define RAW_WAIT(expr)                                                    \
  do {                                                                    \
    struct timespec until_ = raw_deadline();                              \
    pthread_mutex_lock(&raw.lock);                                        \
    int status_ = 0;                                                      \
    while (!(expr) && status_ == 0) {                                     \
      status_ = pthread_cond_timedwait(&raw.changed, &raw.lock, &until_); \
    }                                                                     \
    bool good_ = (expr);                                                  \
    pthread_mutex_unlock(&raw.lock);                                      \
    CU_ASSERT_TRUE_FATAL(good_);                                          \
  } while (0)

struct timespec raw_deadline(void);
uint64_t raw_now_ms(void);

/** Ask the server for `count` numbered messages of `len` bytes; and check that
 * they arrive in order, intact. */
bool raw_ask_flood(struct rawws *ws, uint32_t count, uint32_t len);
bool raw_read_flood(struct rawws *ws, uint32_t count, uint32_t len);

bool raw_echo(struct rawws *ws, const void *data, size_t len);
bool raw_send_command(struct rawws *ws, char command, uint16_t value);

/** The pause of the first connection is over now. */
void raw_resume(void);

/** A pattern of `len` bytes that does not begin with a command. Static. */
const uint8_t *raw_pattern(size_t len);

extern CU_TestInfo raw_receiving[];
extern CU_TestInfo raw_ending[];
extern CU_TestInfo raw_http[];
extern CU_TestInfo raw_sending[];
extern CU_TestInfo raw_tls[];
extern CU_TestInfo raw_life[];
extern CU_TestInfo raw_native[];
extern CU_TestInfo raw_turns[];
extern CU_TestInfo raw_rate[];

#endif
