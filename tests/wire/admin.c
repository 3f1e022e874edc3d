#include "admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char said[] = "admin on http://";

uint16_t admin_port(struct proc *proc) {
  char line[128];
  if (!proc_wait_line(proc, PROC_STDERR, said, WIRE_MS, line, sizeof line)) {
    return 0;
  }
  return (uint16_t)strtoul(strrchr(line, ':') + 1, NULL, 10);
}

uint16_t admin_port_logged(const char *path) {
  FILE *file = fopen(path, "re");
  char line[512];
  unsigned long port = 0;
  if (!file) return 0;
  while (fgets(line, sizeof line, file)) {
    if (strncmp(line, said, sizeof said - 1) == 0) {
      port = strtoul(strrchr(line, ':') + 1, NULL, 10);
    }
  }
  fclose(file);
  return (uint16_t)port;
}

static int ask(uint16_t port, const char *method, const char *path,
               const char *headers, const char *body,
               struct admin_answer *out) {
  const struct rawws_opts opts = {.port = port};
  struct rawws *http = rawws_dial(&opts);
  char head[4096];
  out->status = -1;
  *out->body = '\0';
  if (!http) return -1;
  size_t len = body ? strlen(body) : 0;
  snprintf(head, sizeof head,
           "%s %s HTTP/1.1\r\nHost: test\r\n%sContent-Length: %zu\r\n\r\n",
           method, path, headers, len);
  if (rawws_write(http, head, strlen(head)) &&
      (!len || rawws_write(http, body, len))) {
    out->status = rawws_read_answer(http);
  }
  const char *text = out->status < 0 ? NULL : rawws_body(http, WIRE_MS);
  if (text) snprintf(out->body, sizeof out->body, "%s", text);
  rawws_free(http);
  return out->status;
}

int admin_ask(uint16_t port, const char *method, const char *path,
              const char *body, struct admin_answer *out) {
  return ask(port, method, path, "Authorization: Bearer " ADMIN_TOKEN "\r\n",
             body, out);
}

int admin_probe(uint16_t port, const char *path, struct admin_answer *out) {
  return ask(port, "GET", path, "", NULL, out);
}

long long admin_number(const struct admin_answer *answer, const char *key) {
  char member[64];
  snprintf(member, sizeof member, "\"%s\":", key);
  const char *at = strstr(answer->body, member);
  if (!at) return -1;
  at += strlen(member);
  return strtoll(at + (*at == '"'), NULL, 10);
}

bool admin_wait_probe(uint16_t port, const char *path, int status) {
  static struct admin_answer answer;
  const struct timespec step = {0, 20000000};
  for (int i = 0; i < WIRE_MS / 20; i++) {
    if (admin_probe(port, path, &answer) == status) return true;
    nanosleep(&step, NULL);
  }
  fprintf(stderr, "%s: not %d but %d: %s\n", path, status, answer.status,
          answer.body);
  return false;
}
