/* The limit of new connections per second. The rule is checked on the clock of
 * the loop, by which the limit goes, so a slow machine does not matter. */
#include <arpa/inet.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "websocket_raw.h"

enum {
  CROWD = 60,
  RATE = 120,
  BURST = RATE / 10,
  SLOW_TIMEOUT_MS = 2000,
  STATUS_SWITCHING = 101,
  STATUS_UNAVAILABLE = 503
};

static const char request[] =
    "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static struct rawws *crowd[CROWD];

/* --- Everybody at once ---------------------------------------------------- */

/* While the loop stands still, so that it finds all of them in one pass. */
struct standstill {
  struct wwri_mail mail;
  sem_t over;
};

static void stand_still(struct wwri_mail *mail) {
  struct standstill *still = WWRI_CONTAINER(mail, struct standstill, mail);
  while (sem_wait(&still->over)) continue;
}

static void nothing(void *arg) {
  (void)arg;
}

static void come_all(int count) {
  struct standstill still = {.mail.fn = stand_still};
  sem_init(&still.over, 0, 0);
  wwri_loop_post(raw.loop, &still.mail);
  for (int i = 0; i < count; i++) {
    crowd[i] = raw_dial();
    CU_ASSERT_TRUE(rawws_write(crowd[i], request, strlen(request)));
  }
  sem_post(&still.over);
  raw_on_loop(nothing, NULL); /* the semaphore is used no more */
  sem_destroy(&still.over);
}

static void go_all(int count) {
  for (int i = 0; i < count; i++) rawws_free(crowd[i]);
}

static void stats(struct wwri_transport_stats *out) {
  *out = (struct wwri_transport_stats){0};
  raw.transport->ops->stats(raw.transport, out);
}

/* --- The rule ------------------------------------------------------------- */

/* How many may be in after so many milliseconds. */
static int most_after(uint64_t ms) {
  return (int)(BURST + 1 + ms * RATE / 1000);
}

/* Whichever moment one begins to count at, and in the order they came. */
static void check_rate(void) {
  for (int from = 0; from < CROWD; from++) {
    for (int to = from; to < CROWD; to++) {
      uint64_t ms = raw.opened_ms[to] - raw.opened_ms[from];
      CU_ASSERT_TRUE(to - from + 1 <= most_after(ms) + 1);
    }
  }
}

static void test_rate(void) {
  struct wwri_transport_stats after;
  raw.opts.accepts_per_second = RATE;
  raw_start();
  come_all(CROWD);
  for (int i = 0; i < CROWD; i++) {
    CU_ASSERT_EQUAL(rawws_read_answer(crowd[i]), STATUS_SWITCHING);
  }
  RAW_WAIT(raw.opened == CROWD);
  check_rate();
  stats(&after);
  CU_ASSERT_EQUAL(after.refused, 0);
  CU_ASSERT_TRUE(after.delayed >= CROWD - BURST - 1);
  CU_ASSERT_TRUE(after.delayed < CROWD);
  go_all(CROWD);
}

/* The connected don't wait: this is heard and answered long before the last of
 * the crowd is in. Without a limit all of them are. */
static void test_connected_do_not_wait(void) {
  enum { WAITING = 30 };
  raw.opts.accepts_per_second = 1;
  raw.opts.handshake_timeout_ms = 100000;
  raw_start();
  struct rawws *connected = raw_client(0);
  come_all(WAITING);
  for (int i = 0; i < 20; i++) {
    CU_ASSERT_TRUE(raw_echo(connected, raw_pattern(500), 500));
  }
  pthread_mutex_lock(&raw.lock);
  int opened = raw.opened;
  pthread_mutex_unlock(&raw.lock);
  CU_ASSERT_TRUE(opened < WAITING);
  wwr_websocket_set_accepts_per_second(raw.transport, 0);
  RAW_WAIT(raw.opened == WAITING + 1);
  rawws_free(connected);
  go_all(WAITING);
}

/* Half a handshake time limit's worth of them, and the rest is told so. */
static void test_too_many(void) {
  enum { SLOW_RATE = 10, MOST = SLOW_RATE * SLOW_TIMEOUT_MS / 2000 + 3 };
  struct wwri_transport_stats after;
  int in = 0, refused = 0;
  raw.opts.accepts_per_second = SLOW_RATE;
  raw.opts.handshake_timeout_ms = SLOW_TIMEOUT_MS;
  raw_start();
  come_all(CROWD);
  for (int i = 0; i < CROWD; i++) {
    int status = rawws_read_answer(crowd[i]);
    in += status == STATUS_SWITCHING;
    refused += status == STATUS_UNAVAILABLE;
  }
  CU_ASSERT_EQUAL(in + refused, CROWD);
  CU_ASSERT_TRUE(in >= SLOW_RATE * SLOW_TIMEOUT_MS / 2000);
  CU_ASSERT_TRUE(in <= MOST);
  RAW_WAIT(raw.opened >= in);
  stats(&after);
  CU_ASSERT_EQUAL(after.refused, (uint64_t)refused);
  CU_ASSERT_EQUAL(after.accepted, (uint64_t)in);
  go_all(CROWD);
  CU_ASSERT_TRUE(raw_status("/", NULL) == STATUS_SWITCHING);
}

static int say_a_byte(void) {
  const struct sockaddr_in address = {
      .sin_family = AF_INET,
      .sin_port = htons(raw.port),
      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const char hello = 0x16; /* how a handshake of TLS begins */
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  CU_ASSERT_EQUAL_FATAL(
      connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
  CU_ASSERT_EQUAL(send(fd, &hello, 1, MSG_NOSIGNAL), 1);
  return fd;
}

/* With TLS the rest is dropped without a handshake. */
static void test_too_many_with_tls(void) {
  enum { TIMEOUT_S = 20, MOST = TIMEOUT_S / 2 + 3 };
  struct wwri_transport_stats after;
  int fds[CROWD];
  char byte;
  raw.opts.accepts_per_second = 1;
  raw.opts.handshake_timeout_ms = TIMEOUT_S * 1000;
  raw_start_with(WWR_WRITE_DIRECT, true);
  for (int i = 0; i < CROWD; i++) fds[i] = say_a_byte();
  CU_ASSERT_TRUE(recv(fds[CROWD - 1], &byte, 1, 0) <= 0);
  stats(&after);
  CU_ASSERT_TRUE(after.refused + MOST >= CROWD);
  CU_ASSERT_EQUAL(after.accepted, 0);
  for (int i = 0; i < CROWD; i++) close(fds[i]);
}

/* Who leaves gives the place to those behind. */
static void test_leave_the_queue(void) {
  enum { WAITING = 20 };
  raw.opts.accepts_per_second = 1;
  raw_start();
  come_all(4);
  go_all(4);
  wwr_websocket_set_accepts_per_second(raw.transport, RATE);
  come_all(WAITING);
  for (int i = 0; i < WAITING; i++) {
    CU_ASSERT_EQUAL(rawws_read_answer(crowd[i]), STATUS_SWITCHING);
  }
  go_all(WAITING);
}

static void test_stop_with_a_queue(void) {
  enum { WAITING = 20, LATE = WAITING / 2 }; /* seconds, too */
  raw.opts.accepts_per_second = 1;
  raw.opts.handshake_timeout_ms = 100000;
  raw_start();
  come_all(WAITING);
  raw.transport->ops->stop(raw.transport);
  for (int i = LATE; i < WAITING; i++) {
    CU_ASSERT_NOT_EQUAL(rawws_read_answer(crowd[i]), STATUS_SWITCHING);
  }
  go_all(WAITING);
}

CU_TestInfo raw_rate[] = {
    {"rate", test_rate},
    {"the connected do not wait", test_connected_do_not_wait},
    {"too many", test_too_many},
    {"too many, TLS", test_too_many_with_tls},
    {"leave the queue", test_leave_the_queue},
    {"stop with a queue", test_stop_with_a_queue},
    CU_TEST_INFO_NULL};
