/* id.c - the name of a session's key in Redis. Hashed, so that MONITOR, SLOWLOG
 * and dumps hold no live credentials. */
#include <openssl/sha.h>

#include "keeper.h"

static bool is_key_char(uint8_t c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool wwri_session_key_ok(struct wwr_view key) {
  if (key.len < 1 || key.len > WWRI_SESSION_KEY_MAX) return false;
  for (size_t i = 0; i < key.len; i++) {
    if (!is_key_char(key.data[i])) return false;
  }
  return true;
}

bool wwri_session_id(struct wwr_view key, char id[WWRI_SESSION_ID_LEN + 1]) {
  static const char digits[] = "0123456789abcdef";
  uint8_t hash[SHA256_DIGEST_LENGTH];
  if (!wwri_session_key_ok(key)) return false;
  SHA256(key.data, key.len, hash);
  for (size_t i = 0; i < sizeof hash; i++) {
    id[2 * i] = digits[hash[i] >> 4];
    id[2 * i + 1] = digits[hash[i] & 15];
  }
  id[WWRI_SESSION_ID_LEN] = '\0';
  return true;
}
