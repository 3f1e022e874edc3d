#include "wire.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ID_BYTES = 8, KEY_CHARS = 64 };

int64_t wire_now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- Directories -------------------------------------------------------- */

bool wire_dir_make(struct wire_dir *dir) {
  snprintf(dir->path, sizeof dir->path, "/tmp/wwr-wire-XXXXXX");
  return mkdtemp(dir->path) != NULL;
}

static int remove_entry(const char *path, const struct stat *info, int type,
                        struct FTW *walk) {
  (void)info, (void)type, (void)walk;
  return remove(path);
}

void wire_dir_remove(struct wire_dir *dir) {
  if (!*dir->path) return;
  nftw(dir->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  *dir->path = '\0';
}

const char *wire_path(const struct wire_dir *dir, const char *name) {
  static char paths[4][128];
  static unsigned next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", dir->path, name);
  return path;
}

bool wire_write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "we");
  if (!file) return false;
  bool good = fputs(text, file) >= 0;
  return fclose(file) == 0 && good;
}

/* --- Programs ----------------------------------------------------------- */

static size_t append(const char **argv, size_t count,
                     const char *const args[]) {
  while (args && *args && count < WIRE_MAX_ARGS - 1) argv[count++] = *args++;
  argv[count] = NULL;
  return count;
}

struct proc *wire_program(const char *name, const char *const args[]) {
  char path[512];
  const char *argv[WIRE_MAX_ARGS] = {path};
  snprintf(path, sizeof path, "%s/%s", PROGRAMS, name);
  append(argv, 1, args);
  return proc_start(argv);
}

int wire_hold_port(uint16_t port) {
  const struct sockaddr_in address = {
      .sin_family = AF_INET,
      .sin_port = htons(port),
      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int on = 1;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      bind(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
    return fd;
  }
  close(fd);
  return -1;
}

bool wire_restart(struct wire_server *server, const char *name,
                  const char *const args[]) {
  const char *argv[WIRE_MAX_ARGS];
  const char *const own[] = {"--listen",    "127.0.0.1:0",
                             "--sessions",  wire_path(&server->dir, "sessions"),
                             "--log-level", "warn",
                             NULL};
  append(argv, append(argv, 0, own), args);
  server->proc = wire_program(name, argv);
  if (!server->proc) return false;
  server->port = proc_wait_listening(server->proc, WIRE_MS);
  return server->port != 0;
}

bool wire_start(struct wire_server *server, const char *name,
                const char *const args[]) {
  *server = (struct wire_server){.proc = NULL};
  return wire_dir_make(&server->dir) && wire_restart(server, name, args);
}

bool wire_stop(struct wire_server *server) {
  if (!server->proc) return false;
  proc_signal(server->proc, SIGTERM);
  int status = proc_wait_exit(server->proc, WIRE_MS);
  char *log = status == 0 ? NULL : proc_output(server->proc, PROC_STDERR);
  if (status != 0) fprintf(stderr, "server: status %d: %s\n", status, log);
  free(log);
  proc_free(server->proc);
  server->proc = NULL;
  return status == 0;
}

int wire_end(struct wire_server *server) {
  bool good = wire_stop(server);
  wire_dir_remove(&server->dir);
  return good ? 0 : 1;
}

struct rawws *wire_open(uint16_t port) {
  struct rawws_message first;
  struct rawws *ws = rawws_open(port);
  if (!ws) return NULL;
  if (rawws_recv_message(ws, &first, WIRE_MS) == RAWWS_OK &&
      first.opcode == RAWWS_BINARY && first.len >= 11 &&
      first.payload[0] == ACCEPT_CONF)
    return ws;
  fprintf(stderr, "wire: no accept-conf\n");
  rawws_free(ws);
  return NULL;
}

/* --- Messages ----------------------------------------------------------- */

/* Four are in use at once, so that a test can build what it sends and what it
 * expects in one expression. */
static struct wire_message *fresh(void) {
  static struct wire_message messages[4];
  static unsigned next;
  struct wire_message *message = &messages[next++ % 4];
  message->len = 0;
  return message;
}

static void put(struct wire_message *message, const void *bytes, size_t len) {
  if (len == 0 || len > sizeof message->bytes - message->len) return;
  memcpy(message->bytes + message->len, bytes, len);
  message->len += len;
}

static void put_byte(struct wire_message *message, size_t byte) {
  uint8_t value = (uint8_t)byte;
  put(message, &value, 1);
}

const struct wire_message *wire_named(int type, const char *name,
                                      const void *payload, size_t len) {
  struct wire_message *message = fresh();
  size_t name_len = strlen(name);
  put_byte(message, (size_t)type);
  if (type >= REQUEST_BINARY) put(message, WIRE_ID, ID_BYTES);
  put_byte(message, name_len);
  put(message, name, name_len);
  if ((type == SIGNAL_UTF16 || type == REQUEST_UTF16) && name_len % 2 == 1)
    put_byte(message, 0);
  put(message, payload, len);
  return message;
}

const struct wire_message *wire_with_id(int type, const void *rest,
                                        size_t len) {
  struct wire_message *message = fresh();
  put_byte(message, (size_t)type);
  put(message, WIRE_ID, ID_BYTES);
  if (type == REPLY_UTF16) put_byte(message, 0);
  put(message, rest, len);
  return message;
}

bool wire_send(struct rawws *ws, const struct wire_message *message) {
  return rawws_send(ws, message->bytes, message->len);
}

bool wire_expect(struct rawws *ws, const struct wire_message *message) {
  return rawws_expect(ws, message->bytes, message->len, WIRE_MS);
}

bool wire_request(struct rawws *ws, const char *name, const char *text) {
  return wire_send(
      ws, wire_named(REQUEST_UTF8, name, text, text ? strlen(text) : 0));
}

bool wire_expect_error(struct rawws *ws, const char *code) {
  struct rawws_message got;
  if (rawws_recv_message(ws, &got, WIRE_MS) != RAWWS_OK) return false;
  size_t len = strlen(code);
  bool good = got.len >= 10 + len && got.payload[0] == REPLY_ERROR &&
              memcmp(got.payload + 1, WIRE_ID, ID_BYTES) == 0 &&
              got.payload[9] == len && memcmp(got.payload + 10, code, len) == 0;
  if (!good) {
    fprintf(stderr, "wire: expected error %s, got type %d: %.*s\n", code,
            got.len ? got.payload[0] : -1, got.len > 10 ? (int)got.len - 10 : 0,
            (const char *)got.payload + 10);
  }
  return good;
}

bool wire_expect_signal(struct rawws *ws, const char *text) {
  return wire_expect(ws, wire_named(SIGNAL_UTF8, "", text, strlen(text)));
}

bool wire_expect_empty(struct rawws *ws) {
  return wire_expect(ws, wire_with_id(REPLY_BINARY, NULL, 0));
}

static bool is_signal(const struct rawws_message *got) {
  return got->len > 0 && got->payload[0] >= SIGNAL_BINARY &&
         got->payload[0] <= SIGNAL_UTF16;
}

bool wire_await_signal(struct rawws *ws, const char *text) {
  struct rawws_message got;
  size_t len = strlen(text);
  do {
    if (rawws_recv_message(ws, &got, WIRE_MS) != RAWWS_OK || !is_signal(&got))
      return false;
  } while (got.len < len || memcmp(got.payload + got.len - len, text, len));
  return true;
}

bool wire_hears_himself(struct rawws *ws, const char *text) {
  struct rawws_message got;
  size_t len = strlen(text);
  if (rawws_recv_message(ws, &got, WIRE_MS) != RAWWS_OK) return false;
  if (!is_signal(&got)) {
    return got.len == 1 + ID_BYTES && got.payload[0] == REPLY_BINARY &&
           wire_expect_signal(ws, text);
  }
  return got.len == 2 + len && memcmp(got.payload + 2, text, len) == 0 &&
         wire_expect_empty(ws);
}

bool wire_recv_answer(struct rawws *ws, struct rawws_message *out) {
  do {
    if (rawws_recv_message(ws, out, WIRE_MS) != RAWWS_OK) return false;
  } while (is_signal(out));
  return true;
}

bool wire_ask(struct rawws *ws, const char *name, const char *text, char *out,
              size_t cap) {
  struct rawws_message got;
  snprintf(out, cap, "no reply");
  if (!wire_request(ws, name, text) || !wire_recv_answer(ws, &got))
    return false;
  if (got.len < 1 + ID_BYTES || memcmp(got.payload + 1, WIRE_ID, ID_BYTES) != 0)
    return false;
  const char *rest = (const char *)got.payload + 1 + ID_BYTES;
  size_t len = got.len - 1 - ID_BYTES;
  bool good = got.payload[0] == REPLY_UTF8 || got.payload[0] == REPLY_BINARY;
  if (!good && got.payload[0] == REPLY_ERROR && len > 0) {
    len = (uint8_t)rest[0] < len ? (uint8_t)rest[0] : len - 1;
    rest++;
  }
  snprintf(out, cap, "%.*s", (int)len, rest);
  return good;
}

/* A member's text in JSON that we know the shape of. */
static bool has_text(const uint8_t *json, size_t len, const char *text) {
  return memmem(json, len, text, strlen(text)) != NULL;
}

static bool is_created(const struct rawws_message *message, const char *name) {
  char info[128];
  snprintf(info, sizeof info, "\"i\":{\"username\":\"%s\"}", name);
  return message->len > 2 && message->payload[0] == SESSION_CREATED &&
         message->payload[1] == '{' &&
         has_text(message->payload, message->len, "\"k\":\"") &&
         has_text(message->payload, message->len, "\"c\":\"") &&
         has_text(message->payload, message->len, "\"l\":\"") &&
         has_text(message->payload, message->len, info);
}

bool wire_log_in(struct rawws *ws, const char *name, const char *pass,
                 char key[65]) {
  char json[256];
  struct rawws_message got;
  snprintf(json, sizeof json, "{\"name\":\"%s\",\"pass\":\"%s\"}", name, pass);
  if (!wire_request(ws, "auth", json) || !wire_recv_answer(ws, &got) ||
      !is_created(&got, name))
    return false;
  char created[512];
  size_t created_len = got.len < sizeof created ? got.len : sizeof created;
  memcpy(created, got.payload, created_len);
  if (!wire_recv_answer(ws, &got) || got.len != 1 + ID_BYTES + KEY_CHARS ||
      got.payload[0] != REPLY_BINARY)
    return false;
  memcpy(key, got.payload + 1 + ID_BYTES, KEY_CHARS);
  key[KEY_CHARS] = '\0';
  return has_text((const uint8_t *)created, created_len, key);
}
