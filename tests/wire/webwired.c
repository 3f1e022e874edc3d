#include "webwired.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

bool node_start(struct node *node, const char *config,
                const char *const args[]) {
  const char *argv[WIRE_MAX_ARGS] = {"--config", node->file, "--log-level",
                                     "info",     "--admin",  "off"};
  size_t count = 6;
  *node = (struct node){.file = ""};
  if (!wire_dir_make(&node->server.dir)) return false;
  snprintf(node->file, sizeof node->file, "%s/x.conf", node->server.dir.path);
  for (; args && *args; args++) argv[count++] = *args;
  return wire_write_file(node->file, config) &&
         wire_restart(&node->server, "webwired", argv);
}

int node_end(struct node *node) {
  return wire_end(&node->server);
}

size_t node_said(const struct node *node, const char *text) {
  char *log = proc_output(node->server.proc, PROC_STDERR);
  size_t count = 0;
  for (const char *at = log; at && (at = strstr(at, text)); at++) count++;
  free(log);
  return count;
}

bool node_reload(struct node *node, const char *config, const char *said,
                 size_t count) {
  if (!wire_write_file(node->file, config)) return false;
  proc_signal(node->server.proc, SIGHUP);
  for (int waited = 0; waited < WIRE_MS; waited += 5) {
    if (node_said(node, said) >= count) return true;
    (void)proc_wait_exit(node->server.proc, 5);
  }
  fprintf(stderr, "webwired: never said %s\n", said);
  return false;
}

struct rawws *node_open(const struct node *node) {
  struct rawws *ws = wire_open(node->server.port);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ws);
  return ws;
}

bool node_restore(const struct node *node, struct rawws *ws, const char *key,
                  const char *info) {
  char name[64], json[512];
  struct rawws_message got;
  snprintf(name, sizeof name, "sessions/%s.wwrsess", key);
  snprintf(json, sizeof json,
           "{\"c\":\"2026-11-22T09:00:00Z\",\"l\":\"2026-11-22T09:00:00Z\","
           "\"i\":%s}",
           info);
  return wire_write_file(wire_path(&node->server.dir, name), json) &&
         wire_send(ws, wire_with_id(RESTORE_SESSION, key, strlen(key))) &&
         rawws_recv_message(ws, &got, WIRE_MS) == RAWWS_OK &&
         got.payload[0] == REPLY_UTF8;
}

const char *node_ask(struct rawws *ws, const char *name, const char *text) {
  static char reply[REPLY_MAX];
  if (wire_ask(ws, name, text, reply, sizeof reply) && *reply == '{')
    return reply;
  fprintf(stderr, "webwired: %s: %s\n", name, reply);
  return NULL;
}

const char *node_refused(struct rawws *ws, const char *name, const char *text) {
  static char code[REPLY_MAX];
  bool good = wire_ask(ws, name, text, code, sizeof code);
  if (good) fprintf(stderr, "webwired: %s was not refused\n", name);
  return good || *code == '{' ? "" : code;
}

uint64_t number_of(const char *json, const char *key) {
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\":", key);
  const char *at = json ? strstr(json, quoted) : NULL;
  if (!at) return UINT64_MAX;
  at += strlen(quoted);
  return strtoull(at + (*at == '"'), NULL, 10);
}
