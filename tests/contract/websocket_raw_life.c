/* Slow readers, pings, TLS, and the transport's own life. */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "websocket_raw.h"

/* Sending */

/* Partial writes with lws' own pongs in between must not mix frames up. */
static void slow_round(struct rawws *ws) {
  enum { COUNT = 4000, LEN = 512, PINGS = 200, ROUND_MS = 30000 };
  uint64_t until = raw_now_ms() + ROUND_MS; /* a trickle is a failure too */
  CU_ASSERT_TRUE(raw_ask_flood(ws, COUNT, LEN));
  for (int i = 0; i < PINGS; i++) {
    CU_ASSERT_TRUE_FATAL(raw_now_ms() < until);
    struct rawws_frame ping = {.opcode = RAWWS_PING, .payload = "p", .len = 1};
    CU_ASSERT_TRUE(rawws_send_frame(ws, &ping));
    uint32_t part = COUNT / PINGS;
    for (uint32_t n = 0; n < part; n++) {
      struct rawws_message message;
      uint32_t number = 0;
      CU_ASSERT_EQUAL_FATAL(rawws_recv_message(ws, &message, WAIT_MS),
                            RAWWS_OK);
      CU_ASSERT_EQUAL_FATAL(message.len, LEN);
      memcpy(&number, message.payload, sizeof(number));
      CU_ASSERT_EQUAL_FATAL(number, (uint32_t)i * part + n);
      CU_ASSERT_EQUAL_FATAL(message.payload[LEN - 1], (uint8_t)number);
    }
  }
}

static void check_slow_reader(void) {
  struct rawws *ws = raw_client(4096);
  rawws_answer_pings(ws, false);
  for (int i = 0; i < 8; i++) slow_round(ws);
  CU_ASSERT_TRUE(raw_echo(ws, "end", 3));
  rawws_free(ws);
}

static void test_slow_reader(void) {
  raw_start();
  check_slow_reader();
}

static void test_slow_reader_callback(void) {
  raw_start_with(WWR_WRITE_CALLBACK, false);
  check_slow_reader();
}

static void test_slow_reader_tls(void) {
  raw_start_with(WWR_WRITE_DIRECT, true);
  check_slow_reader();
}

static void test_slow_reader_tls_callback(void) {
  raw_start_with(WWR_WRITE_CALLBACK, true);
  check_slow_reader();
}

/* Frames larger than a TLS record and than lws' write limit. */
static void check_large(void) {
  struct rawws *ws = raw_client(4096);
  CU_ASSERT_TRUE(raw_ask_flood(ws, 20, 20000));
  CU_ASSERT_TRUE(raw_read_flood(ws, 20, 20000));
  CU_ASSERT_TRUE(raw_ask_flood(ws, 3, 700000));
  struct rawws_frame ping = {.opcode = RAWWS_PING, .payload = "p", .len = 1};
  CU_ASSERT_TRUE(rawws_send_frame(ws, &ping));
  CU_ASSERT_TRUE(raw_read_flood(ws, 3, 700000));
  CU_ASSERT_TRUE(raw_echo(ws, "end", 3));
  rawws_free(ws);
}

static void test_large_frames(void) {
  raw_start();
  check_large();
  wwr_websocket_set_write_path(raw.transport, WWR_WRITE_CALLBACK);
  check_large();
}

static void test_large_frames_tls(void) {
  raw_start_with(WWR_WRITE_DIRECT, true);
  check_large();
  wwr_websocket_set_write_path(raw.transport, WWR_WRITE_CALLBACK);
  check_large();
}

static void check_slow_consumer(void) {
  struct rawws *ws = raw_client(4096);
  CU_ASSERT_TRUE(raw_ask_flood(ws, 20000, 1000));
  RAW_WAIT(raw.closed == 1);
  CU_ASSERT_EQUAL(raw.reason, WWR_E_SLOW_CONSUMER);
  struct wwri_transport_stats stats;
  raw.transport->ops->stats(raw.transport, &stats);
  CU_ASSERT_EQUAL(stats.slow_consumers, 1);
  CU_ASSERT_EQUAL(stats.connections, 0);
  rawws_free(ws);
}

static void test_slow_consumer(void) {
  raw_start();
  check_slow_consumer();
}

static void test_slow_consumer_tls(void) {
  raw_start_with(WWR_WRITE_DIRECT, true);
  check_slow_consumer();
}

static void check_pings(void) {
  struct rawws *ws = raw_client(0);
  for (int i = 0; i < 3; i++) {
    struct rawws_message message;
    CU_ASSERT_EQUAL_FATAL(rawws_recv(ws, &message, WAIT_MS), RAWWS_OK);
    CU_ASSERT_EQUAL(message.opcode, RAWWS_PING);
    CU_ASSERT_EQUAL(message.len, 1);
  }
  CU_ASSERT_TRUE(raw_echo(ws, "x", 1));
  rawws_free(ws);
}

static void test_server_pings(void) {
  raw.config.ping_interval_ms = 100;
  raw_start();
  check_pings();
  wwr_websocket_set_write_path(raw.transport, WWR_WRITE_CALLBACK);
  check_pings();
}

static void test_no_pings_when_busy(void) {
  raw.config.ping_interval_ms = 2000;
  raw_start();
  struct rawws *ws = raw_client(0);
  struct rawws_message message;
  for (int i = 0; i < 300; i++) { /* 3 s of traffic */
    CU_ASSERT_TRUE(rawws_send(ws, "x", 1));
    CU_ASSERT_EQUAL_FATAL(rawws_recv(ws, &message, WAIT_MS), RAWWS_OK);
    CU_ASSERT_EQUAL(message.opcode, RAWWS_BINARY);
    (void)rawws_expect_silence(ws, 10);
  }
  rawws_free(ws);
}

CU_TestInfo raw_sending[] = {
    {"slow reader", test_slow_reader},
    {"slow reader, callback", test_slow_reader_callback},
    {"slow reader, TLS", test_slow_reader_tls},
    {"slow reader, TLS, callback", test_slow_reader_tls_callback},
    {"large frames", test_large_frames},
    {"large frames, TLS", test_large_frames_tls},
    {"slow consumer", test_slow_consumer},
    {"slow consumer, TLS", test_slow_consumer_tls},
    {"server pings", test_server_pings},
    {"no pings when busy", test_no_pings_when_busy},
    CU_TEST_INFO_NULL};

/* TLS */

static void test_versions(void) {
  raw.tls.min_version = "1.3";
  raw.tls.curves = "X25519:P-256";
  raw.tls.ciphersuites = "TLS_AES_256_GCM_SHA384";
  raw_start_with(WWR_WRITE_DIRECT, true);
  CU_ASSERT_EQUAL(raw_status("/", NULL), 101);
  struct rawws_opts old = {
      .port = raw.port, .tls = true, .tls_max = TLS1_2_VERSION};
  CU_ASSERT_PTR_NULL(rawws_dial(&old));
  struct rawws_opts h2 = {.port = raw.port, .tls = true, .alpn = "http/1.1"};
  struct rawws *ws = rawws_dial(&h2);
  CU_ASSERT_PTR_NOT_NULL(ws);
  if (ws) CU_ASSERT_EQUAL(rawws_upgrade(ws, NULL), 101);
  rawws_free(ws);
  CU_ASSERT_EQUAL(raw.log_lines, 0); /* failed handshakes are no news */
}

static void test_bad_tls_options(void) {
  static const char *const bad[][4] = {{"/nonexistent", NULL, NULL, NULL},
                                       {NULL, "nonsense", NULL, NULL},
                                       {NULL, NULL, "nonsense", NULL},
                                       {NULL, NULL, NULL, "nonsense"}};
  for (int i = 0; i < 4; i++) {
    struct wwr_tls_server tls = raw.tls;
    if (bad[i][0]) tls.cert_file = bad[i][0];
    tls.ciphers = bad[i][1];
    tls.ciphersuites = bad[i][2];
    tls.curves = bad[i][3];
    raw.opts.tls = &tls;
    struct wwr_transport *transport;
    CU_ASSERT_EQUAL_FATAL(
        wwr_websocket_transport_new(&transport, &raw.opts, NULL), WWR_OK);
    CU_ASSERT_EQUAL(transport->ops->start(transport, &raw.config), WWR_E_TLS);
    CU_ASSERT_TRUE(raw.log_lines > 0);
    wwr_transport_free(transport);
  }
}

static bool copy_file(const char *to, const char *from) {
  char bytes[8192];
  FILE *in = fopen(from, "r");
  FILE *out = fopen(to, "w");
  size_t len = in ? fread(bytes, 1, sizeof(bytes), in) : 0;
  bool good = out && len > 0 && fwrite(bytes, 1, len, out) == len;
  if (in) (void)fclose(in);
  if (out && fclose(out)) good = false;
  return good;
}

static bool trusts(const struct test_cert *cert) {
  struct rawws_opts opts = {
      .port = raw.port, .tls = true, .ca = cert->cert_file};
  struct rawws *ws = rawws_dial(&opts);
  bool good = ws && rawws_upgrade(ws, NULL) == 101;
  rawws_free(ws);
  return good;
}

static void test_reload(void) {
  struct test_cert live;
  struct test_cert next;
  CU_ASSERT_TRUE_FATAL(test_cert_make(&live) && test_cert_make(&next));
  struct test_cert first = live;
  raw.tls.cert_file = live.cert_file;
  raw.tls.key_file = live.key_file;
  raw_start_with(WWR_WRITE_DIRECT, true);
  struct rawws *ws = raw_client(0);
  CU_ASSERT_TRUE(trusts(&first));
  CU_ASSERT_TRUE(copy_file(live.cert_file, next.cert_file));
  /* Not a pair yet: nothing changes. */
  CU_ASSERT_EQUAL(wwr_websocket_reload_certificate(raw.transport), WWR_E_TLS);
  CU_ASSERT_FALSE(trusts(&next));
  CU_ASSERT_TRUE(copy_file(live.key_file, next.key_file));
  CU_ASSERT_EQUAL(wwr_websocket_reload_certificate(raw.transport), WWR_OK);
  CU_ASSERT_TRUE(trusts(&next));
  CU_ASSERT_TRUE(raw_echo(ws, "old connections live on", 23));
  rawws_free(ws);
  test_cert_remove(&live);
  test_cert_remove(&next);
}

static void test_reload_without_tls(void) {
  raw_start();
  CU_ASSERT_EQUAL(wwr_websocket_reload_certificate(raw.transport),
                  WWR_E_INVALID);
}

static void test_plain_to_tls(void) {
  raw_start_with(WWR_WRITE_DIRECT, true);
  struct rawws_opts plain = {.port = raw.port};
  for (int i = 0; i < 20; i++) {
    struct rawws *ws = rawws_dial(&plain);
    CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
    CU_ASSERT_EQUAL(rawws_upgrade(ws, NULL), -1);
    rawws_free(ws);
  }
  CU_ASSERT_EQUAL(raw_status("/", NULL), 101);
  CU_ASSERT_EQUAL(raw.log_lines, 0);
}

CU_TestInfo raw_tls[] = {{"versions", test_versions},
                         {"bad options", test_bad_tls_options},
                         {"reload", test_reload},
                         {"reload without TLS", test_reload_without_tls},
                         {"plain to TLS", test_plain_to_tls},
                         CU_TEST_INFO_NULL};

/* Life */

static void cycle(bool tls) {
  raw_start_with(WWR_WRITE_DIRECT, tls);
  struct rawws *ws = raw_client(0);
  CU_ASSERT_TRUE(raw_echo(ws, "x", 1));
  struct rawws *idle = raw_dial(); /* stays in the HTTP phase */
  raw.transport->ops->stop(raw.transport);
  wwr_transport_free(raw.transport);
  raw.transport = NULL;
  rawws_free(ws);
  rawws_free(idle);
}

static void test_cycles(void) {
  for (int i = 0; i < 200; i++) cycle(false);
  CU_ASSERT_EQUAL(raw.opened, 200);
  CU_ASSERT_EQUAL(raw.closed, 200);
}

static void test_cycles_tls(void) {
  for (int i = 0; i < 50; i++) cycle(true);
  CU_ASSERT_EQUAL(raw.closed, 50);
}

static void test_addresses(void) {
  static const char *const good[] = {"127.0.0.1:0", "[::1]:0", ":0",
                                     "localhost:0"};
  static const char *const bad[] = {
      "", "127.0.0.1", "127.0.0.1:x", "::1:0", "[::1]", "h:70000", "a b:1"};
  for (int i = 0; i < 4; i++) {
    raw.opts.listen = good[i];
    raw_start();
    if (i != 1) CU_ASSERT_EQUAL(raw_status("/", NULL), 101);
    raw.transport->ops->stop(raw.transport);
    wwr_transport_free(raw.transport);
    raw.transport = NULL;
  }
  for (int i = 0; i < 7; i++) {
    struct wwr_transport *transport;
    const char *field = NULL;
    raw.opts.listen = bad[i];
    CU_ASSERT_EQUAL(wwr_websocket_transport_new(&transport, &raw.opts, &field),
                    WWR_E_INVALID);
    CU_ASSERT_TRUE(field && strcmp(field, "listen") == 0);
  }
}

static void test_address_in_use(void) {
  raw_start();
  char listen[32];
  struct wwr_transport *second;
  snprintf(listen, sizeof(listen), "127.0.0.1:%u", raw.port);
  raw.opts.listen = listen;
  CU_ASSERT_EQUAL_FATAL(wwr_websocket_transport_new(&second, &raw.opts, NULL),
                        WWR_OK);
  CU_ASSERT_EQUAL(second->ops->start(second, &raw.config), WWR_E_IO);
  CU_ASSERT_STRING_EQUAL(second->ops->address(second), "");
  CU_ASSERT_EQUAL(raw.log_lines, 1);
  wwr_transport_free(second);
}

/* Out of descriptors: connections are dropped, and the server recovers. */
static void test_no_descriptors(void) {
  struct rlimit before;
  raw_start();
  struct rawws *first = raw_client(0);
  int next = dup(rawws_fd(first));
  close(next);
  getrlimit(RLIMIT_NOFILE, &before);
  struct rlimit tight = before;
  tight.rlim_cur = (rlim_t)next + 1; /* room for the client's end alone */
  CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &tight), 0);
  struct rawws_opts opts = {.port = raw.port};
  struct rawws *second = rawws_dial(&opts);
  int status = second ? rawws_upgrade(second, NULL) : 0;
  CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
  CU_ASSERT_NOT_EQUAL(status, 101);
  rawws_free(second);
  CU_ASSERT_TRUE(raw_echo(first, "x", 1));
  CU_ASSERT_EQUAL(raw_status("/", NULL), 101);
  CU_ASSERT_TRUE(raw.log_lines >= 1);
  rawws_free(first);
}

static void test_storm(void) {
  enum { COUNT = 300 };
  raw_start();
  for (int i = 0; i < COUNT; i++) {
    struct rawws *ws = raw_dial();
    if (i % 3) (void)rawws_write(ws, "GET / HTTP/1.1\r\nHo", 18);
    if (i % 2) {
      rawws_reset(ws);
    } else {
      rawws_free(ws);
    }
  }
  CU_ASSERT_EQUAL(raw_status("/", NULL), 101);
  RAW_WAIT(raw.closed == 1);
  struct wwri_transport_stats stats;
  raw.transport->ops->stats(raw.transport, &stats);
  CU_ASSERT_EQUAL(stats.connections, 0);
}

static void test_handshake_timeout(void) {
  raw.opts.handshake_timeout_ms = 1000;
  raw_start();
  struct rawws *ws = raw_dial();
  time_t before = time(NULL);
  CU_ASSERT_TRUE(rawws_write(ws, "GET / HTTP/1.1\r\nHo", 18));
  CU_ASSERT_EQUAL(rawws_expect_end(ws, WAIT_MS), 1006);
  CU_ASSERT_TRUE(time(NULL) - before < WAIT_MS / 2000);
  rawws_free(ws);
}

/* A client that does nothing but answer our pings is there. */

static void read_last_rx(void *arg) {
  *(uint64_t *)arg = raw.pipes[0]->last_rx_ms;
}

static void check_pongs_count(bool tls) {
  uint64_t first, last;
  raw.config.ping_interval_ms = 40;
  raw_start_with(WWR_WRITE_DIRECT, tls);
  struct rawws *ws = raw_client(0);
  RAW_WAIT(raw.opened == 1);
  raw_on_loop(read_last_rx, &first);
  uint64_t until = raw_now_ms() + WAIT_MS;
  do {
    CU_ASSERT_TRUE(rawws_expect_silence(ws, 50)); /* answers meanwhile */
    raw_on_loop(read_last_rx, &last);
  } while (last == first && raw_now_ms() < until);
  CU_ASSERT_TRUE(last > first);
  rawws_free(ws);
}

static void test_pongs_count(void) {
  check_pongs_count(false);
}

static void test_pongs_count_tls(void) {
  check_pongs_count(true);
}

CU_TestInfo raw_life[] = {{"pongs count", test_pongs_count},
                          {"pongs count, TLS", test_pongs_count_tls},
                          {"200 cycles", test_cycles},
                          {"50 cycles, TLS", test_cycles_tls},
                          {"addresses", test_addresses},
                          {"address in use", test_address_in_use},
                          {"no descriptors", test_no_descriptors},
                          {"storm", test_storm},
                          {"handshake time-out", test_handshake_timeout},
                          CU_TEST_INFO_NULL};
