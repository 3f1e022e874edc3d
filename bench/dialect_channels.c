/* What webwired speaks, webwire-channels/1: a request's name says what it is
 * and to which channel, and a message comes as a signal that is named so. */
#include "dialect.h"

#include <stdio.h>
#include <string.h>

enum { SIGNAL_BINARY = 63, REQUEST_BINARY = 127, ID_BYTES = 8 };

size_t channels_request(uint8_t *to, uint64_t id, const char *verb,
                        uint32_t channel, const uint8_t *payload, size_t len) {
  char name[CHANNEL_NAME_MAX + 8];
  int name_len = snprintf(name, sizeof name, "%s:bench:%u", verb, channel);
  size_t head = 2 + ID_BYTES + (size_t)name_len;
  to[0] = REQUEST_BINARY;
  memcpy(to + 1, &id, ID_BYTES);
  to[1 + ID_BYTES] = (uint8_t)name_len;
  memcpy(to + 2 + ID_BYTES, name, (size_t)name_len);
  if (len) memcpy(to + head, payload, len);
  return head + len;
}

/* A signal: type, length of the name, name, payload. The name is told as `id`,
 * the channel's number. */
static void hear(const uint8_t *message, size_t len, struct heard *out) {
  char name[CHANNEL_NAME_MAX];
  unsigned channel;
  if (message[0] != SIGNAL_BINARY) {
    dialect_webwire.hear(message, len, out);
    return;
  }
  *out = (struct heard){.kind = HEARD_ODD};
  size_t name_len = len > 1 ? message[1] : 0;
  if (name_len >= sizeof name || len < 2 + name_len) return;
  memcpy(name, message + 2, name_len);
  name[name_len] = '\0';
  if (sscanf(name, "bench:%u", &channel) != 1) return;
  *out = (struct heard){.kind = HEARD_SIGNAL,
                        .id = channel,
                        .payload = message + 2 + name_len,
                        .len = len - 2 - name_len};
}

static enum greeted greet(const uint8_t *message, size_t len,
                          const char *sub_protocol, struct greeting *out) {
  return dialect_webwire.greet(
      message, len, sub_protocol ? sub_protocol : "webwire-channels/1", out);
}

const struct dialect dialect_channels = {
    .opcode = 2,
    .greets = true,
    .acknowledges = true,
    .overhead = 2 + ID_BYTES + CHANNEL_NAME_MAX + 8,
    .heartbeat = {1, 33},
    .greet = greet,
    .hear = hear,
};
