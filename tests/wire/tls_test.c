/* Servers with TLS, and our clients against them. The certificates are made
 * here. */
#include "wire.h"

#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct wire_dir dir;
static struct wire_server server;
static const char *cert, *key, *other_cert, *other_key;
static char paths[6][128];

static bool make_certificate(const char *cert_file, const char *key_file) {
  const char *const argv[] = {
      "openssl",       "req",      "-x509",
      "-newkey",       "rsa:2048", "-nodes",
      "-days",         "2",        "-subj",
      "/CN=localhost", "-addext",  "subjectAltName=IP:127.0.0.1,DNS:localhost",
      "-out",          cert_file,  "-keyout",
      key_file,        NULL};
  struct proc *proc = proc_start(argv);
  bool good = proc && proc_wait_exit(proc, WIRE_MS) == 0;
  proc_free(proc);
  return good;
}

static const char *keep_path(int index, const char *name) {
  snprintf(paths[index], sizeof paths[0], "%s/%s", dir.path, name);
  return paths[index];
}

static int begin(void) {
  if (!wire_dir_make(&dir)) return 1;
  cert = keep_path(0, "cert.pem");
  key = keep_path(1, "key.pem");
  other_cert = keep_path(2, "other-cert.pem");
  other_key = keep_path(3, "other-key.pem");
  return make_certificate(cert, key) && make_certificate(other_cert, other_key)
             ? 0
             : 1;
}

static int end(void) {
  wire_dir_remove(&dir);
  return 0;
}

static bool start_tls(const char *option, const char *value) {
  const char *const args[] = {"--tls-cert", cert,          "--tls-key",
                              key,          "--log-level", "info",
                              option,       value,         NULL};
  return wire_start(&server, "echo-server", args);
}

/* Stop it if the test has not. */
static void tear_down(void) {
  if (server.proc) CU_ASSERT_EQUAL(wire_end(&server), 0);
}

static struct rawws *dial_tls(const char *ca, int tls_max) {
  return rawws_dial(&(struct rawws_opts){
      .port = server.port, .tls = true, .ca = ca, .tls_max = tls_max});
}

static bool talks(const char *ca, int tls_max) {
  struct rawws *ws = dial_tls(ca, tls_max);
  struct rawws_message got;
  bool good = ws && rawws_upgrade(ws, NULL) == 101 &&
              rawws_recv_message(ws, &got, WIRE_MS) == RAWWS_OK &&
              got.payload[0] == ACCEPT_CONF && wire_request(ws, "", "safe") &&
              wire_expect(ws, wire_with_id(REPLY_UTF8, "safe", 4));
  rawws_free(ws);
  return good;
}

static void talks_tls(void) {
  char line[128];
  CU_ASSERT_TRUE_FATAL(start_tls(NULL, NULL));
  CU_ASSERT_TRUE(proc_wait_line(server.proc, PROC_STDOUT,
                                "listening on wss://127.0.0.1:", WIRE_MS, line,
                                sizeof line));
  CU_ASSERT_TRUE(talks(cert, 0));
  CU_ASSERT_TRUE(talks(cert, TLS1_2_VERSION));
  CU_ASSERT_FALSE(talks(other_cert, 0));
}

static void minimum_version(void) {
  CU_ASSERT_TRUE_FATAL(start_tls("--tls-min-version", "1.3"));
  CU_ASSERT_TRUE(talks(cert, 0));
  CU_ASSERT_FALSE(talks(cert, TLS1_2_VERSION));
}

static void large_messages(void) {
  enum { LEN = 60000 };
  static uint8_t payload[LEN];
  struct rawws_message got;
  for (size_t i = 0; i < LEN; i++) payload[i] = (uint8_t)(i % 251);
  CU_ASSERT_TRUE_FATAL(start_tls("--message-buffer", "65536"));
  struct rawws *ws = dial_tls(cert, 0);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_EQUAL(rawws_upgrade(ws, NULL), 101);
  CU_ASSERT_EQUAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
  for (int i = 0; i < 20; i++)
    CU_ASSERT_TRUE(wire_send(ws, wire_named(REQUEST_BINARY, "", payload, LEN)));
  for (int i = 0; i < 20; i++)
    CU_ASSERT_TRUE(wire_expect(ws, wire_with_id(REPLY_BINARY, payload, LEN)));
  rawws_free(ws);
}

/* --- Our clients -------------------------------------------------------- */

/* echo-client's exit status; when it is 0 it printed the reply. */
static int client_status(const char *option, const char *value) {
  char url[64];
  snprintf(url, sizeof url, "wss://127.0.0.1:%u", server.port);
  const char *const args[] = {url, "hello", option, value, NULL};
  struct proc *client = wire_program("echo-client", args);
  CU_ASSERT_PTR_NOT_NULL_FATAL(client);
  int status = proc_wait_exit(client, WIRE_MS);
  char *out = proc_output(client, PROC_STDOUT);
  CU_ASSERT_STRING_EQUAL(out, status == 0 ? "hello\n" : "");
  free(out);
  proc_free(client);
  return status;
}

static void client_checks_the_certificate(void) {
  CU_ASSERT_TRUE_FATAL(start_tls(NULL, NULL));
  CU_ASSERT_EQUAL(client_status("--ca-file", cert), 0);
  CU_ASSERT_EQUAL(client_status("--ca-file", other_cert), 1);
  CU_ASSERT_EQUAL(client_status(NULL, NULL), 1);
  CU_ASSERT_EQUAL(client_status("--insecure", NULL), 0);
  CU_ASSERT_EQUAL(client_status("--ca-file", "/nonexistent"), 2);
}

static bool copy_file(const char *from, const char *to) {
  const char *const argv[] = {"cp", from, to, NULL};
  struct proc *proc = proc_start(argv);
  bool good = proc && proc_wait_exit(proc, WIRE_MS) == 0;
  proc_free(proc);
  return good;
}

/* SIGHUP: new handshakes get the new certificate, old connections live on. */
static void certificate_is_read_again(void) {
  const char *saved_cert = wire_path(&dir, "saved-cert.pem");
  const char *saved_key = wire_path(&dir, "saved-key.pem");
  CU_ASSERT_TRUE(copy_file(cert, saved_cert) && copy_file(key, saved_key));
  CU_ASSERT_TRUE_FATAL(start_tls(NULL, NULL));
  CU_ASSERT_TRUE(talks(cert, 0));
  CU_ASSERT_TRUE(copy_file(other_cert, cert) && copy_file(other_key, key));
  CU_ASSERT_TRUE(proc_signal(server.proc, SIGHUP));
  bool again = false;
  for (int64_t deadline = wire_now_ms() + WIRE_MS;
       !again && wire_now_ms() < deadline;) {
    again = talks(other_cert, 0);
  }
  CU_ASSERT_TRUE(again);
  CU_ASSERT_FALSE(talks(saved_cert, 0));
  CU_ASSERT_TRUE(copy_file(saved_cert, cert) && copy_file(saved_key, key));
}

/* Whether the server's log comes to have this. */
static bool said(const char *text) {
  bool good = false;
  for (int i = 0; i < WIRE_MS / 5 && !good; i++) {
    char *err = proc_output(server.proc, PROC_STDERR);
    good = strstr(err, text) != NULL;
    free(err);
    if (!good) (void)proc_wait_exit(server.proc, 5);
  }
  return good;
}

/* When the files do not fit the old pair stays, and the log says why. */
static void wrong_pair_is_not_read(void) {
  const char *saved_key = keep_path(4, "saved-key.pem");
  CU_ASSERT_TRUE(copy_file(key, saved_key));
  CU_ASSERT_TRUE_FATAL(start_tls(NULL, NULL));
  CU_ASSERT_TRUE(copy_file(other_key, key));
  CU_ASSERT_TRUE(proc_signal(server.proc, SIGHUP));
  CU_ASSERT_TRUE(said("key.pem: is not the key of the certificate"));
  CU_ASSERT_TRUE(talks(cert, 0));
  CU_ASSERT_TRUE(copy_file(saved_key, key));
}

/* A program that ends with this status, and says this. */
static void ends_with(const char *program, const char *const args[], int status,
                      const char *text) {
  struct proc *proc = wire_program(program, args);
  CU_ASSERT_PTR_NOT_NULL_FATAL(proc);
  CU_ASSERT_EQUAL(proc_wait_exit(proc, WIRE_MS), status);
  char *err = proc_output(proc, PROC_STDERR);
  CU_ASSERT_PTR_NOT_NULL(strstr(err, text));
  if (!strstr(err, text)) fprintf(stderr, "no \"%s\" in:\n%s", text, err);
  free(err);
  proc_free(proc);
}

static void start_with(const char *cert_file, const char *key_file,
                       const char *text) {
  const char *const args[] = {
      "--listen",  "127.0.0.1:0", "--tls-cert", cert_file,
      "--tls-key", key_file,      "--sessions", wire_path(&dir, "sessions"),
      NULL};
  ends_with("echo-server", args, 1, text);
  const char *const check[] = {"--tls-cert", cert_file,        "--tls-key",
                               key_file,     "--check-config", NULL};
  ends_with("webwired", check, 2, text);
}

static bool encrypt_key(const char *to) {
  const char *const argv[] = {"openssl", "pkey", "-in", key,
                              "-aes128", "-out", to,    "-passout",
                              "pass:x",  NULL};
  struct proc *proc = proc_start(argv);
  bool good = proc && proc_wait_exit(proc, WIRE_MS) == 0;
  proc_free(proc);
  return good;
}

static void unusable_files(void) {
  const char *encrypted = keep_path(5, "encrypted.pem");
  CU_ASSERT_TRUE_FATAL(encrypt_key(encrypted));
  start_with(cert, other_key, "other-key.pem: is not the key");
  start_with(key, key, "key.pem: holds no certificate");
  start_with(cert, cert, "cert.pem: holds no private key");
  start_with(dir.path, key, "holds no certificate");
  start_with(cert, encrypted, "encrypted.pem: has a passphrase");
}

static void good_files_are_good(void) {
  const char *const check[] = {"--tls-cert",     cert, "--tls-key", key,
                               "--check-config", NULL};
  ends_with("webwired", check, 0, "");
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"talks TLS", talks_tls},
      {"minimum version", minimum_version},
      {"large messages", large_messages},
      {"client checks the certificate", client_checks_the_certificate},
      {"certificate is read again", certificate_is_read_again},
      {"wrong pair is not read again", wrong_pair_is_not_read},
      {"unusable files", unusable_files},
      {"good files are good", good_files_are_good},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"TLS", begin, end, NULL, tear_down, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
