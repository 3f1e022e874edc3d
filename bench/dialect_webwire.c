/* The webwire protocol 2.0, written down here independently of the library. */
#include "dialect.h"

#include <string.h>

enum {
  SESSION_CREATED = 21,
  SESSION_CLOSED = 22,
  ACCEPT_CONF = 23,
  SIGNAL_BINARY = 63,
  SIGNAL_UTF16 = 65,
  REQUEST_BINARY = 127,
  REQUEST_UTF8 = 128,
  REPLY_BINARY = 191,
  REPLY_UTF8 = 192,
  LAST_REFUSAL = 5,
  ID_BYTES = 8,
  ACCEPT_CONF_BYTES = 11
};

static uint32_t little_endian(const uint8_t *bytes) {
  return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
         (uint32_t)bytes[3] << 24;
}

static enum greeted greet(const uint8_t *message, size_t len,
                          const char *sub_protocol, struct greeting *out) {
  if (len < ACCEPT_CONF_BYTES || message[0] != ACCEPT_CONF || message[1] != 2)
    return GREETED_WRONG;
  size_t name_len = len - ACCEPT_CONF_BYTES;
  if (sub_protocol &&
      (name_len != strlen(sub_protocol) ||
       memcmp(message + ACCEPT_CONF_BYTES, sub_protocol, name_len) != 0))
    return GREETED_OTHER_SUB_PROTOCOL;
  out->read_timeout_ms = little_endian(message + 3);
  out->message_bytes = little_endian(message + 7);
  return GREETED_OPEN;
}

static size_t request(uint8_t *to, uint8_t type, uint64_t id, const char *name,
                      const uint8_t *payload, size_t len) {
  size_t name_len = strlen(name), head = 2 + ID_BYTES + name_len;
  to[0] = type;
  memcpy(to + 1, &id, ID_BYTES);
  to[1 + ID_BYTES] = (uint8_t)name_len;
  memcpy(to + 2 + ID_BYTES, name, name_len);
  memcpy(to + head, payload, len);
  return head + len;
}

static size_t ask(uint8_t *to, uint64_t id, const uint8_t *payload,
                  size_t len) {
  return request(to, REQUEST_BINARY, id, "", payload, len);
}

static size_t say(uint8_t *to, uint64_t id, const uint8_t *payload,
                  size_t len) {
  return request(to, REQUEST_UTF8, id, "msg", payload, len);
}

static const char msg_key[] = "\"msg\":\"";
enum { MSG_KEY_LEN = sizeof msg_key - 1 };

/* Where the chat room's {"user":NAME,"msg":TEXT} has its second member: right
 * behind the name, and to look there first is most of what is saved here. */
static const uint8_t *find_msg(const uint8_t *json, size_t len) {
  static const char user[] = "{\"user\":\"";
  enum { USER_LEN = sizeof user - 1 };
  if (len > USER_LEN && memcmp(json, user, USER_LEN) == 0) {
    const uint8_t *end = memchr(json + USER_LEN, '"', len - USER_LEN);
    if (end && json + len - end > 2 + MSG_KEY_LEN && end[1] == ',' &&
        memcmp(end + 2, msg_key, MSG_KEY_LEN) == 0)
      return end + 2;
  }
  return memmem(json, len, msg_key, MSG_KEY_LEN);
}

static void hear_signal(const uint8_t *message, size_t len, struct heard *out) {
  const uint8_t *end = message + len;
  if (len < 3 || message[1] != 0) return;
  const uint8_t *at = find_msg(message + 2, len - 2);
  if (!at || end - at < MSG_KEY_LEN + 2) return;
  out->kind = HEARD_SIGNAL;
  out->payload = at + MSG_KEY_LEN;
  out->len = (size_t)(end - out->payload) - 2;
}

static void hear(const uint8_t *message, size_t len, struct heard *out) {
  uint8_t type = message[0];
  *out = (struct heard){.kind = HEARD_ODD};
  if (type >= SIGNAL_BINARY && type <= SIGNAL_UTF16) {
    hear_signal(message, len, out);
  } else if (type == SESSION_CREATED || type == SESSION_CLOSED) {
    out->kind = type == SESSION_CREATED ? HEARD_SESSION : HEARD_NOTHING;
    out->payload = message + 1;
    out->len = len - 1;
  } else if (len > ID_BYTES && (type <= LAST_REFUSAL || type == REPLY_BINARY ||
                                type == REPLY_UTF8)) {
    out->kind = type <= LAST_REFUSAL ? HEARD_REFUSAL : HEARD_REPLY;
    memcpy(&out->id, message + 1, ID_BYTES);
    out->payload = message + 1 + ID_BYTES;
    out->len = len - 1 - ID_BYTES;
  }
}

const struct dialect dialect_webwire = {
    .opcode = 2,
    .greets = true,
    .acknowledges = true,
    .overhead = 13, /* of "msg", the longer one */
    .heartbeat = {1, 33},
    .greet = greet,
    .ask = ask,
    .say = say,
    .hear = hear,
};
