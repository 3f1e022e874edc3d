/* token_key.h - a key that tokens are checked with. */
#ifndef WEBWIRED_TOKEN_KEY_H
#define WEBWIRED_TOKEN_KEY_H

#include <jwt.h>

#include "token.h"

struct token_key {
  char *id; /* NULL: any */
  jwt_alg_t algorithm;
  unsigned char *bytes; /* a secret, or a public key as PEM */
  size_t len;
};

/** Load it; false without memory, or with what is wrong with it, and then
 * *out needs no deinit. */
bool token_key_load(struct token_key *out,
                    const struct token_key_settings *settings,
                    char reason[TOKEN_REASON_MAX]);

/** Wipes what is secret. */
void token_key_deinit(struct token_key *key);

#endif
