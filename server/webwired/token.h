/* token.h - JSON Web Tokens (RFC 7519) that say who a client is: their keys,
 * whether one is valid, and what of it goes into the session's info. Signatures
 * are libjwt's work. No clock, no I/O but the key files. */
#ifndef WEBWIRED_TOKEN_H
#define WEBWIRED_TOKEN_H

#include <webwire/wwr_base.h>

enum {
  TOKEN_KEYS_MAX = 16,
  TOKEN_MAX = 8192, /* bytes of a token */
  TOKEN_REASON_MAX = 256
};

enum token_algorithm { TOKEN_HS256, TOKEN_RS256, TOKEN_ES256 };

/** A key as it is configured; one of the texts is set. Borrowed. */
struct token_key_settings {
  const char *id; /* the tokens' "kid"; NULL: any */
  int algorithm;  /* enum token_algorithm */
  const char *secret;
  const char *public_key_file; /* PEM */
};

/** What a token must say, and what of it is kept. Borrowed. */
struct token_settings {
  const struct token_key_settings *keys;
  size_t key_count;
  const char *issuer;     /* NULL: any */
  const char *audience;   /* NULL: any */
  uint32_t leeway_ms;     /* clocks may differ by so much */
  const char *name_claim; /* becomes "username" */
  const char *const *info_claims;
  size_t info_claim_count;
  bool ends; /* the info says when the session ends: with the token */
};

/** The info's field for that: Unix time in seconds. No claim may have it. */
#define TOKEN_ENDS "expires"

struct tokens; /* opaque; immutable, any thread */

/** True when a key can be used; else what is wrong with it. Reads its file. */
bool token_key_check(const struct token_key_settings *key,
                     char reason[TOKEN_REASON_MAX]);

/** Make it; copies `settings` and reads the key files. NULL without memory, or
 * when a key can't be used (token_key_check() tells why). */
struct tokens *tokens_new(const struct token_settings *settings);

/** NULL does nothing. */
void tokens_free(struct tokens *tokens);

enum token_verdict {
  TOKEN_OK,
  TOKEN_BAD,     /* malformed, not signed by any key, or not for us */
  TOKEN_EXPIRED, /* its time is over */
  TOKEN_NO_MEMORY
};

/** Check a token at a time in seconds since 1970. TOKEN_OK: *info is a JSON
 * object for the session, to be freed with free(). Else `reason` is one line
 * for the log, and harmless to tell the client. */
enum token_verdict tokens_check(const struct tokens *tokens,
                                struct wwr_view text, int64_t now_s,
                                char **info, char reason[TOKEN_REASON_MAX]);

#endif
