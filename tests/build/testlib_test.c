/* The test library itself: frames are encoded as asked, a peer's frames are
 * judged strictly, processes are watched and never left behind. */
#include "proc.h"
#include "rawws.h"
#include "test.h"

#include <arpa/inet.h>
#include <CUnit/CUnit.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- A peer that says what the test wrote down --------------------------- */

struct peer {
  int listener;
  int fd;
  struct rawws *ws;
};

static void peer_open(struct peer *peer) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  peer->listener = socket(AF_INET, SOCK_STREAM, 0);
  CU_ASSERT_EQUAL_FATAL(bind(peer->listener, (struct sockaddr *)&address, len),
                        0);
  CU_ASSERT_EQUAL_FATAL(listen(peer->listener, 1), 0);
  getsockname(peer->listener, (struct sockaddr *)&address, &len);
  peer->ws = rawws_dial(&(struct rawws_opts){.port = ntohs(address.sin_port)});
  CU_ASSERT_PTR_NOT_NULL_FATAL(peer->ws);
  peer->fd = accept(peer->listener, NULL, NULL);
}

static void peer_says(struct peer *peer, const void *bytes, size_t len) {
  CU_ASSERT_EQUAL(write(peer->fd, bytes, len), (ssize_t)len);
}

static void peer_close(struct peer *peer) {
  rawws_free(peer->ws);
  close(peer->fd);
  close(peer->listener);
}

/* --- Frames ------------------------------------------------------------- */

static void frames_are_encoded_as_asked(void) {
  static const uint8_t plain[] = {0x82, 0x82, 1, 2, 3, 4, 'a' ^ 1, 'b' ^ 2};
  static const uint8_t wrong[] = {0x22, 126, 0x12, 0x34, 'a', 'b'};
  uint8_t out[32];
  struct rawws_frame frame = {
      .opcode = RAWWS_BINARY, .mask = {1, 2, 3, 4}, .payload = "ab", .len = 2};
  CU_ASSERT_EQUAL_FATAL(rawws_encode(&frame, out, sizeof out), sizeof plain);
  CU_ASSERT_EQUAL(memcmp(out, plain, sizeof plain), 0);
  frame.more = frame.unmasked = frame.lie = true;
  frame.rsv = 2;
  frame.declared = 0x1234;
  CU_ASSERT_EQUAL_FATAL(rawws_encode(&frame, out, sizeof out), sizeof wrong);
  CU_ASSERT_EQUAL(memcmp(out, wrong, sizeof wrong), 0);
  frame.length_bytes = 8;
  CU_ASSERT_EQUAL(rawws_encode(&frame, out, sizeof out), 12);
}

static void fragments_become_a_message(void) {
  struct peer peer;
  peer_open(&peer);
  peer_says(&peer, "\x02\x01x\x89\x01p\x80\x02yz", 10);
  CU_ASSERT_TRUE(rawws_expect(peer.ws, "xyz", 3, 5000));
  uint8_t pong[7];
  CU_ASSERT_EQUAL(recv(peer.fd, pong, sizeof pong, MSG_WAITALL), 7);
  CU_ASSERT_EQUAL(pong[0], 0x8a);
  CU_ASSERT_EQUAL(pong[6], 'p' ^ pong[2]);
  peer_close(&peer);
}

static void half_a_frame_waits_for_the_rest(void) {
  struct peer peer;
  struct rawws_message got;
  peer_open(&peer);
  peer_says(&peer, "\x82\x7e\x00", 3);
  CU_ASSERT_EQUAL(rawws_recv(peer.ws, &got, 20), RAWWS_TIMEOUT);
  peer_says(&peer, "\x02h", 2);
  CU_ASSERT_EQUAL(rawws_recv(peer.ws, &got, 20), RAWWS_TIMEOUT);
  peer_says(&peer, "i", 1);
  CU_ASSERT_TRUE(rawws_expect(peer.ws, "hi", 2, 5000));
  peer_close(&peer);
}

static void forbidden_frames_are_found(void) {
  static const char *const bad[] = {"\x82\x81", "\xc2\x01", "\x83\x01",
                                    "\x09\x01", "\x89\x7e", "\x80\x01"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct peer peer;
    struct rawws_message got;
    peer_open(&peer);
    peer_says(&peer, bad[i], 2);
    peer_says(&peer, "abcdefgh", 8);
    CU_ASSERT_EQUAL(rawws_recv_message(peer.ws, &got, 5000), RAWWS_BROKEN);
    peer_close(&peer);
  }
}

static void the_end_is_told_from_the_close(void) {
  struct peer peer;
  peer_open(&peer);
  peer_says(&peer, "\x88\x02\x03\xea", 4);
  CU_ASSERT_EQUAL(rawws_expect_end(peer.ws, 20), -1);
  shutdown(peer.fd, SHUT_WR);
  CU_ASSERT_EQUAL(rawws_close_code(peer.ws), 1002);
  peer_close(&peer);
  peer_open(&peer);
  shutdown(peer.fd, SHUT_WR);
  CU_ASSERT_EQUAL(rawws_expect_end(peer.ws, 5000), 1006);
  peer_close(&peer);
}

static void answers_are_read(void) {
  static const char answer[] =
      "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Test:  yes \r\n\r\nno";
  struct peer peer;
  peer_open(&peer);
  peer_says(&peer, answer, sizeof answer - 1);
  CU_ASSERT_EQUAL(rawws_upgrade(peer.ws, NULL), 403);
  CU_ASSERT_STRING_EQUAL(rawws_header(peer.ws, "x-test"), "yes ");
  CU_ASSERT_PTR_NULL(rawws_header(peer.ws, "Test"));
  CU_ASSERT_STRING_EQUAL(rawws_body(peer.ws, 5000), "no");
  peer_close(&peer);
}

/* --- Processes ---------------------------------------------------------- */

static struct proc *shell(const char *script) {
  struct proc *proc =
      proc_start((const char *const[]){"sh", "-c", script, NULL});
  CU_ASSERT_PTR_NOT_NULL_FATAL(proc);
  return proc;
}

static void the_port_is_read(void) {
  struct proc *proc =
      shell("echo hello; echo listening on ws://127.0.0.1:4711; cat");
  CU_ASSERT_EQUAL(proc_wait_listening(proc, 5000), 4711);
  CU_ASSERT_TRUE(proc_rss_bytes(proc_pid(proc)) > 0);
  CU_ASSERT_TRUE(proc_write(proc, "echoed\n"));
  CU_ASSERT_TRUE(proc_wait_line(proc, PROC_STDOUT, "echoed", 5000, NULL, 0));
  CU_ASSERT_EQUAL(proc_wait_exit(proc, 20), -1);
  proc_close_stdin(proc);
  CU_ASSERT_EQUAL(proc_wait_exit(proc, 5000), 0);
  proc_free(proc);
}

static void the_exit_is_told(void) {
  struct proc *proc = shell("echo oops >&2; exit 3");
  CU_ASSERT_EQUAL(proc_wait_exit(proc, 5000), 3);
  char *errors = proc_output(proc, PROC_STDERR);
  CU_ASSERT_STRING_EQUAL(errors, "oops\n");
  free(errors);
  proc_free(proc);
  proc = shell("exec cat");
  CU_ASSERT_TRUE(proc_signal(proc, SIGTERM));
  CU_ASSERT_EQUAL(proc_wait_exit(proc, 5000), 128 + SIGTERM);
  CU_ASSERT_FALSE(proc_signal(proc, SIGTERM));
  proc_free(proc);
}

static void nothing_is_left_behind(void) {
  struct proc *proc = shell("exec cat");
  pid_t pid = proc_pid(proc);
  proc_free(proc);
  CU_ASSERT_EQUAL(kill(pid, 0), -1);
  CU_ASSERT_EQUAL(errno, ESRCH);
  CU_ASSERT_PTR_NULL(proc_start((const char *const[]){"/nonexistent", NULL}));
}

static CU_TestInfo frame_tests[] = {
    {"frames_are_encoded_as_asked", frames_are_encoded_as_asked},
    {"fragments_become_a_message", fragments_become_a_message},
    {"half_a_frame_waits_for_the_rest", half_a_frame_waits_for_the_rest},
    {"forbidden_frames_are_found", forbidden_frames_are_found},
    {"the_end_is_told_from_the_close", the_end_is_told_from_the_close},
    {"answers_are_read", answers_are_read},
    CU_TEST_INFO_NULL};

static CU_TestInfo proc_tests[] = {
    {"the_port_is_read", the_port_is_read},
    {"the_exit_is_told", the_exit_is_told},
    {"nothing_is_left_behind", nothing_is_left_behind},
    CU_TEST_INFO_NULL};

static CU_SuiteInfo suites[] = {
    {"testlib/rawws", NULL, NULL, NULL, NULL, frame_tests},
    {"testlib/proc", NULL, NULL, NULL, NULL, proc_tests},
    CU_SUITE_INFO_NULL};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
