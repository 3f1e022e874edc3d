/* Socket.IO 4 (Engine.IO 4) over WebSocket alone. Packets are text: "0{...}"
 * opens the transport, "40" the namespace, "2" pings, and events are
 * 42["msg","TEXT"], with a number before the bracket when an acknowledgement is
 * wanted, 43ID["TEXT"]. */
#include "dialect.h"

#include <stdio.h>
#include <string.h>

enum { HEAD_BYTES = 40 };

static enum greeted greet(const uint8_t *message, size_t len,
                          const char *sub_protocol, struct greeting *out) {
  (void)sub_protocol, (void)out;
  if (len > 0 && message[0] == '0') return GREETED_WAIT;
  return len > 1 && memcmp(message, "40", 2) == 0 ? GREETED_OPEN
                                                  : GREETED_WRONG;
}

static size_t event(uint8_t *to, const char *head, const uint8_t *payload,
                    size_t len) {
  size_t head_len = strlen(head);
  memcpy(to, head, head_len);
  memcpy(to + head_len, payload, len);
  memcpy(to + head_len + len, "\"]", 2);
  return head_len + len + 2;
}

static size_t ask(uint8_t *to, uint64_t id, const uint8_t *payload,
                  size_t len) {
  char head[HEAD_BYTES];
  snprintf(head, sizeof head, "42%llu[\"echo\",\"", (unsigned long long)id);
  return event(to, head, payload, len);
}

static size_t say(uint8_t *to, uint64_t id, const uint8_t *payload,
                  size_t len) {
  (void)id;
  return event(to, "42[\"msg\",\"", payload, len);
}

/* What stands between this beginning and the end of the packet. */
static bool text_after(const char *beginning, const uint8_t *message,
                       size_t len, struct heard *out) {
  size_t skip = strlen(beginning);
  if (len < skip + 2 || memcmp(message, beginning, skip) != 0) return false;
  out->payload = message + skip;
  out->len = len - skip - 2;
  return true;
}

static void hear(const uint8_t *message, size_t len, struct heard *out) {
  static const uint8_t pong[] = {'3'};
  *out = (struct heard){.kind = HEARD_ODD};
  if (len == 1 && message[0] == '2') {
    *out = (struct heard){.kind = HEARD_PING, .payload = pong, .len = 1};
  } else if (text_after("42[\"msg\",\"", message, len, out)) {
    out->kind = HEARD_SIGNAL;
  } else if (len > 2 && memcmp(message, "43", 2) == 0) {
    size_t at = 2;
    for (; at < len && message[at] >= '0' && message[at] <= '9'; at++)
      out->id = out->id * 10 + (uint64_t)(message[at] - '0');
    if (text_after("[\"", message + at, len - at, out)) out->kind = HEARD_REPLY;
  }
}

const struct dialect dialect_socketio = {
    .opcode = 1,
    .greets = true,
    .overhead = HEAD_BYTES,
    .path = "/socket.io/?EIO=4&transport=websocket",
    .hello = "40",
    .greet = greet,
    .ask = ask,
    .say = say,
    .hear = hear,
};
