#include "token_key.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RFC 7518, 3.2 and 3.3: a secret as long as the hash, RSA from 2048 bits. */
enum { MIN_SECRET = 32, MIN_RSA_BITS = 2048, MAX_FILE = 65536 };

__attribute__((format(printf, 2, 3))) static bool fails(
    char reason[TOKEN_REASON_MAX], const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(reason, TOKEN_REASON_MAX, format, args);
  va_end(args);
  return false;
}

/* --- Secrets -------------------------------------------------------------- */

static bool load_secret(struct token_key *key, const char *secret,
                        char reason[TOKEN_REASON_MAX]) {
  size_t len = strlen(secret);
  if (len < MIN_SECRET)
    return fails(reason, "the secret has %zu bytes; HS256 needs at least %d",
                 len, MIN_SECRET);
  key->bytes = (unsigned char *)strdup(secret);
  key->len = len;
  return key->bytes || fails(reason, "out of memory");
}

/* --- Public keys ---------------------------------------------------------- */

static bool is_p256(const EVP_PKEY *pkey) {
  char group[64];
  size_t len = 0;
  return EVP_PKEY_get_group_name(pkey, group, sizeof group, &len) == 1 &&
         (strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0);
}

static bool check_pkey(const EVP_PKEY *pkey, int algorithm, const char *path,
                       char reason[TOKEN_REASON_MAX]) {
  int kind = EVP_PKEY_get_base_id(pkey), bits = EVP_PKEY_get_bits(pkey);
  if (algorithm == TOKEN_RS256 && kind != EVP_PKEY_RSA)
    return fails(reason, "%.128s holds no RSA key, which RS256 needs", path);
  if (algorithm == TOKEN_RS256 && bits < MIN_RSA_BITS)
    return fails(reason, "%.128s: %d bits; RS256 needs at least %d", path, bits,
                 MIN_RSA_BITS);
  if (algorithm == TOKEN_ES256 && (kind != EVP_PKEY_EC || !is_p256(pkey)))
    return fails(reason, "%.128s holds no P-256 key, which ES256 needs", path);
  return true;
}

/* Public keys only: who configures a private one has it in a place where it
 * does not belong. */
static bool parse_pem(const struct token_key *key, int algorithm,
                      const char *path, char reason[TOKEN_REASON_MAX]) {
  BIO *bio = BIO_new_mem_buf(key->bytes, (int)key->len);
  EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
  bool ok = pkey ? check_pkey(pkey, algorithm, path, reason)
                 : fails(reason, "%.128s holds no public key (PEM)", path);
  EVP_PKEY_free(pkey);
  BIO_free(bio);
  ERR_clear_error();
  return ok;
}

static bool read_file(struct token_key *key, const char *path,
                      char reason[TOKEN_REASON_MAX]) {
  FILE *file = fopen(path, "re");
  if (!file)
    return fails(reason, "%.128s can't be read: %s", path, strerror(errno));
  key->bytes = calloc(1, MAX_FILE + 1);
  key->len = key->bytes ? fread(key->bytes, 1, MAX_FILE + 1, file) : 0;
  bool ok = ferror(file) == 0;
  fclose(file);
  if (!key->bytes) return fails(reason, "out of memory");
  if (!ok) return fails(reason, "%.128s can't be read", path);
  if (key->len > MAX_FILE)
    return fails(reason, "%.128s is too large for a key", path);
  return true;
}

/* --- Both ----------------------------------------------------------------- */

static bool load(struct token_key *key,
                 const struct token_key_settings *settings,
                 char reason[TOKEN_REASON_MAX]) {
  const char *path = settings->public_key_file;
  bool secret = settings->algorithm == TOKEN_HS256;
  if (settings->id && *settings->id) {
    key->id = strdup(settings->id);
    if (!key->id) return fails(reason, "out of memory");
  }
  if (secret && path) return fails(reason, "public-key-file is not for HS256");
  if (!secret && settings->secret)
    return fails(reason, "secret is for HS256 only");
  if (secret)
    return settings->secret ? load_secret(key, settings->secret, reason)
                            : fails(reason, "needs secret or secret-file");
  if (!path) return fails(reason, "needs public-key-file");
  return read_file(key, path, reason) &&
         parse_pem(key, settings->algorithm, path, reason);
}

bool token_key_load(struct token_key *out,
                    const struct token_key_settings *settings,
                    char reason[TOKEN_REASON_MAX]) {
  static const jwt_alg_t algorithms[] = {JWT_ALG_HS256, JWT_ALG_RS256,
                                         JWT_ALG_ES256};
  *out = (struct token_key){.algorithm = algorithms[settings->algorithm]};
  if (load(out, settings, reason)) return true;
  token_key_deinit(out);
  return false;
}

void token_key_deinit(struct token_key *key) {
  if (key->bytes) OPENSSL_cleanse(key->bytes, key->len);
  free(key->bytes);
  free(key->id);
  *key = (struct token_key){0};
}

bool token_key_check(const struct token_key_settings *key,
                     char reason[TOKEN_REASON_MAX]) {
  struct token_key loaded;
  if (!token_key_load(&loaded, key, reason)) return false;
  token_key_deinit(&loaded);
  return true;
}
