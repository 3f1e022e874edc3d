/* Servers without a protocol of their own (ws for Node, Nchan): a message is
 * its payload, which begins with its number. The same bytes come back to the
 * sender (echo) or to all (broadcast); the modes know what they expect. */
#include "dialect.h"

#include <string.h>

static size_t put(uint8_t *to, uint64_t id, const uint8_t *payload,
                  size_t len) {
  (void)id;
  memcpy(to, payload, len);
  return len;
}

static void hear(const uint8_t *message, size_t len, struct heard *out) {
  *out = (struct heard){.kind = HEARD_ODD, .payload = message, .len = len};
  if (len < NUMBER_DIGITS || !payload_read(message, &out->id)) return;
  out->kind = HEARD_SIGNAL;
}

const struct dialect dialect_plain = {
    .opcode = 2,
    .ask = put,
    .say = put,
    .hear = hear,
};
