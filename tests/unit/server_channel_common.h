/* server_channel_common.h - what the suites about channels share: calls whose
 * callbacks are waited for, and clients that ask by signals. */
#ifndef SERVER_CHANNEL_COMMON_H
#define SERVER_CHANNEL_COMMON_H

#include "server_bus.h"
#include "server_fixture.h"

enum { TEXTS_MAX = 1024 };

/** For test_bus_hold(). */
#define ON(kind) (1u << TEST_##kind)

/** What a callback said. Zero it before; under fix.lock. */
struct answer {
  int calls;
  wwr_err err;
  bool certain;
  struct wwr_channel_id id;
  uint64_t count;
  char texts[TEXTS_MAX]; /* payloads, names of members, ...: "a b c" */
  bool on_io_thread;
  struct wwr_conn *signal; /* is sent "done" from inside (subscribe) */
};

/** main() of these suites: as fixture_main(), on the server's own bus; or, with
 * the argument --threaded, on one with a thread, or with --turns, walking over
 * two readers in a turn. */
int channel_main(int argc, char **argv, CU_TestInfo *tests);

/** Start the server on the bus of the running suite. */
void channel_start(void);

/** Start it on the bus with a thread, whatever the suite. */
void start_on_bus(void);

/** True on the bus with a thread. */
bool is_threaded(void);

void on_subscribed(struct wwr_conn *conn, wwr_err err,
                   const struct wwr_channel_message *history, size_t count,
                   void *user_data);
void on_published(const struct wwr_publish_result *result, void *user_data);
void on_history(wwr_err err, const struct wwr_channel_message *messages,
                size_t count, void *user_data);
void on_members(wwr_err err, const struct wwr_member *members, size_t count,
                void *user_data);
void on_count(wwr_err err, uint64_t count, void *user_data);

/** It was called, once, with this error. */
void expect_answer(struct answer *answer, wwr_err err);

/** The call, from the test's thread, and its answer. */
struct answer subscribe(struct wwr_conn *conn, const char *channel,
                        uint32_t history);
struct answer publish(const char *channel, const char *text);
struct answer publish_except(const char *channel, const char *text,
                             const struct wwr_conn *except);
struct answer ask_history(const char *channel, uint32_t count);
struct answer ask_members(const char *channel);
uint64_t ask_subscribers(const char *channel);

/** The name of the usual channel. */
struct wwr_view room(void);

/** Begin to subscribe to it; the answer is the test's. */
void begin_subscribe(struct wwr_conn *conn, struct answer *answer);

/** Wait until that many are subscribed. */
void wait_subscribers(const char *channel, uint64_t count);

/** The next message is a signal "m" with this text. */
void expect_message(struct peer *peer, const char *text);

/** Connect, and be subscribed. */
struct peer *connect_to(const char *channel);

#endif
