/* chatroom-server with its file store, docs/protocol.md "Sessions". */
#include "room.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct wire_server server;

/* Raw clients are silent for longer than the chat room's three seconds. */
static const char *const patient[] = {"--read-timeout", "60", NULL};

static int begin(void) {
  return wire_start(&server, "chatroom-server", patient) ? 0 : 1;
}

static int end(void) {
  return wire_end(&server);
}

/* A client that has logged in. */
static struct rawws *member(char key[65]) {
  struct rawws *ws = wire_open(server.port);
  if (ws && wire_log_in(ws, "Frodo", "frodo1234", key)) return ws;
  rawws_free(ws);
  return NULL;
}

static bool restores(struct rawws *ws, const char *key) {
  struct rawws_message got;
  if (!wire_send(ws, wire_with_id(RESTORE_SESSION, key, strlen(key))) ||
      rawws_recv_message(ws, &got, WIRE_MS) != RAWWS_OK)
    return false;
  return got.payload[0] == REPLY_UTF8 && got.len > 11 &&
         memmem(got.payload, got.len, key, strlen(key)) &&
         memmem(got.payload, got.len, "\"username\":\"Frodo\"", 18);
}

static bool misses(struct rawws *ws, const char *key) {
  return wire_send(ws, wire_with_id(RESTORE_SESSION, key, strlen(key))) &&
         wire_expect(ws, wire_with_id(REPLY_SESSION_NOT_FOUND, NULL, 0));
}

static bool closes(struct rawws *ws) {
  return wire_send(ws, wire_with_id(CLOSE_SESSION, NULL, 0)) &&
         wire_expect_empty(ws);
}

static bool speaks_as(struct rawws *ws, const char *name) {
  char json[128];
  snprintf(json, sizeof json, "{\"user\":\"%s\",\"msg\":\"me\"}", name);
  return wire_request(ws, "msg", "me") && wire_expect_signal(ws, json) &&
         wire_expect_empty(ws);
}

static int session_files(void) {
  int count = 0;
  DIR *list = opendir(wire_path(&server.dir, "sessions"));
  const struct dirent *entry;
  while (list && (entry = readdir(list)))
    count += strstr(entry->d_name, ".wwrsess") != NULL;
  if (list) closedir(list);
  return count;
}

static void restored_after_reconnect(void) {
  char key[65];
  struct rawws *ws = member(key);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  rawws_reset(ws);
  ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(speaks_as(ws, "Anonymous"));
  CU_ASSERT_TRUE(restores(ws, key));
  CU_ASSERT_TRUE(speaks_as(ws, "Frodo"));
  CU_ASSERT_TRUE(closes(ws));
  CU_ASSERT_TRUE(speaks_as(ws, "Anonymous"));
  CU_ASSERT_TRUE(misses(ws, key));
  rawws_free(ws);
}

static void restored_after_restart(void) {
  char key[65];
  struct rawws *ws = member(key);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(wire_stop(&server));
  rawws_free(ws);
  CU_ASSERT_TRUE_FATAL(wire_restart(&server, "chatroom-server", patient));
  ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(restores(ws, key));
  CU_ASSERT_TRUE(speaks_as(ws, "Frodo"));
  CU_ASSERT_TRUE(closes(ws));
  rawws_free(ws);
}

static void last_connection_destroys(void) {
  char key[65];
  struct rawws *first = member(key), *second = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(first);
  CU_ASSERT_PTR_NOT_NULL_FATAL(second);
  CU_ASSERT_TRUE(restores(second, key));
  CU_ASSERT_TRUE(closes(first));
  CU_ASSERT_TRUE(speaks_as(second, "Frodo"));
  CU_ASSERT_TRUE(
      wire_expect_signal(first, "{\"user\":\"Frodo\",\"msg\":\"me\"}"));
  CU_ASSERT_TRUE(restores(first, key)); /* not the last one: still there */
  CU_ASSERT_TRUE(closes(first));
  CU_ASSERT_TRUE(closes(second));
  CU_ASSERT_TRUE(misses(first, key));
  CU_ASSERT_EQUAL(session_files(), 0);
  rawws_free(first);
  rawws_free(second);
}

static void one_private_file_each(void) {
  char key[65], name[128];
  struct stat info;
  struct rawws *ws = member(key);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  snprintf(name, sizeof name, "sessions/%s.wwrsess", key);
  CU_ASSERT_EQUAL(session_files(), 1);
  CU_ASSERT_EQUAL(stat(wire_path(&server.dir, name), &info), 0);
  CU_ASSERT_EQUAL(info.st_mode & 0777, 0600);
  CU_ASSERT_EQUAL(stat(wire_path(&server.dir, "sessions"), &info), 0);
  CU_ASSERT_EQUAL(info.st_mode & 0777, 0700);
  CU_ASSERT_TRUE(closes(ws));
  CU_ASSERT_EQUAL(session_files(), 0);
  rawws_free(ws);
}

/* The reply is "internal error", never "not found". */
static void damaged_file(void) {
  char key[65], name[128];
  struct rawws *ws = member(key);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  rawws_free(ws);
  ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(room_lists(ws, "Frodo", 0)); /* nobody has it in memory */
  snprintf(name, sizeof name, "sessions/%s.wwrsess", key);
  CU_ASSERT_TRUE(wire_write_file(wire_path(&server.dir, name), "{\"c\":"));
  CU_ASSERT_TRUE(wire_send(ws, wire_with_id(RESTORE_SESSION, key, 64)));
  CU_ASSERT_TRUE(wire_expect(ws, wire_with_id(REPLY_INTERNAL_ERROR, NULL, 0)));
  CU_ASSERT_TRUE(
      proc_wait_line(server.proc, PROC_STDERR, "time=", WIRE_MS, NULL, 0));
  char *log = proc_output(server.proc, PROC_STDERR);
  CU_ASSERT_PTR_NOT_NULL(strstr(log, key));
  free(log);
  unlink(wire_path(&server.dir, name));
  rawws_free(ws);
}

/* A session that is left for another one stays in the store, and so does the
 * one that a restore would have replaced, had it succeeded. */
static void left_for_another(void) {
  char own[65], other[65];
  struct rawws *ws = member(own), *second = member(other);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_PTR_NOT_NULL_FATAL(second);
  CU_ASSERT_TRUE(misses(ws, "unknown"));
  CU_ASSERT_TRUE(speaks_as(ws, "Frodo"));
  CU_ASSERT_TRUE(
      wire_expect_signal(second, "{\"user\":\"Frodo\",\"msg\":\"me\"}"));
  CU_ASSERT_TRUE(restores(ws, own)); /* the one that it has */
  CU_ASSERT_TRUE(restores(ws, other));
  CU_ASSERT_TRUE(closes(second)); /* not the last one */
  CU_ASSERT_TRUE(restores(second, own));
  CU_ASSERT_TRUE(closes(ws));
  CU_ASSERT_TRUE(misses(ws, other));
  CU_ASSERT_TRUE(closes(second));
  CU_ASSERT_TRUE(misses(ws, own));
  CU_ASSERT_EQUAL(session_files(), 0);
  rawws_free(ws);
  rawws_free(second);
}

static bool is_full(struct rawws *ws, const char *key) {
  return wire_send(ws, wire_with_id(RESTORE_SESSION, key, strlen(key))) &&
         wire_expect(ws, wire_with_id(REPLY_MAX_SESSION_CONNS, NULL, 0));
}

/* Whoever has seen its close answered has given its place back. */
static void limited_connections(void) {
  const char *const args[] = {"--max-session-connections", "2",
                              "--read-timeout", "60", NULL};
  struct wire_server limited, usual = server;
  char key[65];
  CU_ASSERT_TRUE_FATAL(wire_start(&limited, "chatroom-server", args));
  server = limited;
  struct rawws *first = member(key), *second = wire_open(server.port);
  struct rawws *third = wire_open(server.port);
  CU_ASSERT_TRUE_FATAL(first && second && third);
  CU_ASSERT_TRUE(restores(second, key));
  for (int i = 0; i < 20; i++) {
    CU_ASSERT_TRUE(is_full(third, key));
    CU_ASSERT_TRUE(speaks_as(third, "Anonymous"));
    CU_ASSERT_TRUE(rawws_send_close(second, 1000));
    CU_ASSERT_EQUAL(rawws_expect_end(second, WIRE_MS), 1000);
    CU_ASSERT_TRUE(restores(third, key));
    rawws_free(second);
    second = third;
    third = wire_open(server.port);
    CU_ASSERT_PTR_NOT_NULL_FATAL(third);
  }
  CU_ASSERT_TRUE(closes(second));
  CU_ASSERT_TRUE(restores(third, key));
  rawws_free(first);
  rawws_free(second);
  rawws_free(third);
  server = usual;
  CU_ASSERT_EQUAL(wire_end(&limited), 0);
}

/* Messages behind a restore wait until it is done. */
static void restore_holds_back_what_follows(void) {
  char key[65];
  struct rawws *ws = member(key);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  rawws_free(ws);
  ws = wire_open(server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  CU_ASSERT_TRUE(wire_send(ws, wire_with_id(RESTORE_SESSION, key, 64)));
  CU_ASSERT_TRUE(wire_request(ws, "msg", "me"));
  CU_ASSERT_TRUE(wire_send(ws, wire_with_id(CLOSE_SESSION, NULL, 0)));
  CU_ASSERT_TRUE(wire_request(ws, "msg", "me"));
  struct rawws_message got;
  CU_ASSERT_EQUAL(rawws_recv_message(ws, &got, WIRE_MS), RAWWS_OK);
  CU_ASSERT_EQUAL(got.payload[0], REPLY_UTF8);
  CU_ASSERT_TRUE(wire_hears_himself(ws, "{\"user\":\"Frodo\",\"msg\":\"me\"}"));
  CU_ASSERT_TRUE(wire_expect_empty(ws));
  CU_ASSERT_TRUE(
      wire_hears_himself(ws, "{\"user\":\"Anonymous\",\"msg\":\"me\"}"));
  rawws_free(ws);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"restored after reconnect", restored_after_reconnect},
      {"restored after restart", restored_after_restart},
      {"last connection destroys", last_connection_destroys},
      {"one private file each", one_private_file_each},
      {"damaged file", damaged_file},
      {"left for another", left_for_another},
      {"limited connections", limited_connections},
      {"restore holds back what follows", restore_holds_back_what_follows},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"session", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
