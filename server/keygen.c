/* The default session keys: 48 bytes from the operating system as URL-safe
 * base64 (docs/protocol.md, "Sessions"). */
#include <errno.h>
#include <sys/random.h>

#include "internal.h"

enum { KEY_BYTES = 48, KEY_CHARS = 64 };

static bool random_bytes(uint8_t *out, size_t len) {
  for (size_t have = 0; have < len;) {
    ssize_t n = getrandom(out + have, len - have, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    have += (size_t)n;
  }
  return true;
}

bool wwri_keygen_random(char *out, size_t cap, void *user_data) {
  static const char alphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  (void)user_data;
  uint8_t raw[KEY_BYTES];
  if (cap <= KEY_CHARS || !random_bytes(raw, sizeof raw)) return false;
  for (size_t i = 0, o = 0; i < KEY_BYTES; i += 3) {
    uint32_t bits =
        (uint32_t)raw[i] << 16 | (uint32_t)raw[i + 1] << 8 | raw[i + 2];
    for (int shift = 18; shift >= 0; shift -= 6) {
      out[o++] = alphabet[bits >> shift & 63];
    }
  }
  out[KEY_CHARS] = '\0';
  return true;
}
