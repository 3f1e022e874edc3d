#include "network.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 64, V4_BITS = 96 };
static const uint8_t V4_PREFIX[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool parse_plain(struct network_address *out, const char *text) {
  if (inet_pton(AF_INET6, text, out->bytes) == 1) return true;
  memcpy(out->bytes, V4_PREFIX, sizeof V4_PREFIX);
  return inet_pton(AF_INET, text, out->bytes + sizeof V4_PREFIX) == 1;
}

static bool is_port(const char *text) {
  size_t len = strspn(text, "0123456789");
  return len >= 1 && len <= 5 && text[len] == '\0';
}

bool network_parse_address(struct network_address *out, const char *text,
                           size_t len) {
  char copy[TEXT_MAX], *start = copy;
  if (len == 0 || len >= sizeof copy || memchr(text, '\0', len)) return false;
  memcpy(copy, text, len);
  copy[len] = '\0';
  if (*copy == '[') {
    char *end = strchr(copy, ']');
    if (!end || (end[1] && (end[1] != ':' || !is_port(end + 2)))) return false;
    *end = '\0';
    start++;
  } else {
    char *colon = strchr(copy, ':');
    if (colon && !strchr(colon + 1, ':')) { /* IPv6 has at least two */
      if (!is_port(colon + 1)) return false;
      *colon = '\0';
    }
  }
  return parse_plain(out, start);
}

bool network_parse(struct network *out, const char *text) {
  char copy[TEXT_MAX];
  const char *slash = strchr(text, '/');
  size_t len = slash ? (size_t)(slash - text) : strlen(text);
  if (len >= sizeof copy) return false;
  memcpy(copy, text, len);
  copy[len] = '\0';
  if (!parse_plain(&out->address, copy)) return false;
  out->bits = 128;
  if (!slash) return true;
  unsigned base = strchr(copy, ':') ? 0 : V4_BITS;
  if (strlen(slash + 1) > 3 || !is_port(slash + 1)) return false;
  out->bits = base + (unsigned)strtoul(slash + 1, NULL, 10);
  return out->bits <= 128;
}

bool network_contains(const struct network *network,
                      const struct network_address *address) {
  size_t whole = network->bits / 8;
  unsigned rest = network->bits % 8;
  if (memcmp(network->address.bytes, address->bytes, whole) != 0) return false;
  if (rest == 0) return true;
  unsigned differ = network->address.bytes[whole] ^ address->bytes[whole];
  return (differ >> (8 - rest)) == 0;
}

bool network_is_v4(const struct network_address *address) {
  return memcmp(address->bytes, V4_PREFIX, sizeof V4_PREFIX) == 0;
}
