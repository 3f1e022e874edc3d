#include "token.h"

#include <jansson.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "token_key.h"

struct tokens {
  struct token_key keys[TOKEN_KEYS_MAX];
  size_t key_count;
  char *issuer; /* NULL: any, as the next */
  char *audience;
  int64_t leeway_s;
  char *name_claim;
  char **info_claims;
  size_t info_claim_count;
  bool ends;
};

/* What JSON's numbers can say exactly. */
static const double latest_s = 9007199254740992.0;

static enum token_verdict bad(char reason[TOKEN_REASON_MAX], const char *why) {
  snprintf(reason, TOKEN_REASON_MAX, "%s", why);
  return TOKEN_BAD;
}

/* --- Making --------------------------------------------------------------- */

static bool copy_text(char **out, const char *text) {
  if (!text || !*text) return true;
  *out = strdup(text);
  return *out != NULL;
}

static bool copy_claims(struct tokens *tokens,
                        const struct token_settings *settings) {
  if (settings->info_claim_count == 0) return true;
  tokens->info_claims =
      calloc(settings->info_claim_count, sizeof *tokens->info_claims);
  if (!tokens->info_claims) return false;
  for (size_t i = 0; i < settings->info_claim_count; i++) {
    tokens->info_claims[i] = strdup(settings->info_claims[i]);
    if (!tokens->info_claims[i]) return false;
    tokens->info_claim_count++;
  }
  return true;
}

static bool load_keys(struct tokens *tokens,
                      const struct token_settings *settings) {
  char reason[TOKEN_REASON_MAX];
  for (size_t i = 0; i < settings->key_count; i++) {
    if (!token_key_load(&tokens->keys[i], &settings->keys[i], reason))
      return false;
    tokens->key_count++;
  }
  return true;
}

struct tokens *tokens_new(const struct token_settings *settings) {
  if (settings->key_count > TOKEN_KEYS_MAX) return NULL;
  struct tokens *tokens = calloc(1, sizeof *tokens);
  if (!tokens) return NULL;
  tokens->leeway_s = (settings->leeway_ms + 999) / 1000;
  tokens->ends = settings->ends;
  if (copy_text(&tokens->issuer, settings->issuer) &&
      copy_text(&tokens->audience, settings->audience) &&
      copy_text(&tokens->name_claim, settings->name_claim) &&
      copy_claims(tokens, settings) && load_keys(tokens, settings))
    return tokens;
  tokens_free(tokens);
  return NULL;
}

void tokens_free(struct tokens *tokens) {
  if (!tokens) return;
  for (size_t i = 0; i < tokens->key_count; i++)
    token_key_deinit(&tokens->keys[i]);
  for (size_t i = 0; i < tokens->info_claim_count; i++)
    free(tokens->info_claims[i]);
  free(tokens->info_claims);
  free(tokens->issuer);
  free(tokens->audience);
  free(tokens->name_claim);
  free(tokens);
}

/* --- The signature -------------------------------------------------------- */

/* What the header says, which is not to be believed yet. */
struct claimed {
  jwt_alg_t algorithm;
  char *id; /* "kid", or NULL */
};

static bool read_header(struct claimed *out, const char *text) {
  jwt_t *jwt = NULL;
  *out = (struct claimed){.algorithm = JWT_ALG_NONE};
  if (jwt_decode(&jwt, text, NULL, 0) != 0) return false;
  const char *id = jwt_get_header(jwt, "kid");
  const char *algorithm = jwt_get_header(jwt, "alg");
  char *critical = jwt_get_headers_json(jwt, "crit");
  /* Not jwt_get_alg(): without a key that forgets it. */
  if (algorithm) out->algorithm = jwt_str_alg(algorithm);
  out->id = id ? strdup(id) : NULL;
  /* RFC 7515, 4.1.11: what is critical must be understood; we know nothing of
   * the kind. */
  bool ok = !critical && (!id || out->id);
  free(critical);
  jwt_free(jwt);
  return ok;
}

/* The key decides about the algorithm: a token that says HS256 must not be
 * checked with the text of a public key as its secret. */
static bool suits(const struct token_key *key, const struct claimed *claimed) {
  return key->algorithm == claimed->algorithm &&
         (!key->id || !claimed->id || strcmp(key->id, claimed->id) == 0);
}

/* The claims as JSON, to be freed with free(); NULL when no key has
 * signed them. */
static char *verify(const struct tokens *tokens, const char *text,
                    const struct claimed *claimed) {
  char *claims = NULL;
  for (size_t i = 0; i < tokens->key_count && !claims; i++) {
    const struct token_key *key = &tokens->keys[i];
    jwt_t *jwt = NULL;
    if (!suits(key, claimed) ||
        jwt_decode(&jwt, text, key->bytes, (int)key->len) != 0)
      continue;
    if (jwt_get_alg(jwt) == key->algorithm)
      claims = jwt_get_grants_json(jwt, NULL);
    jwt_free(jwt);
  }
  return claims;
}

/* --- The claims ----------------------------------------------------------- */

/* A time in seconds; false when it is there but is none. */
static bool read_time(const json_t *claims, const char *name, bool *there,
                      double *out) {
  const json_t *value = json_object_get(claims, name);
  *there = value != NULL;
  if (!value) return true;
  *out = json_number_value(value);
  return json_is_number(value);
}

static enum token_verdict check_times(const struct tokens *tokens,
                                      const json_t *claims, int64_t now_s,
                                      char reason[TOKEN_REASON_MAX]) {
  bool expires, begins;
  double end = 0, begin = 0;
  if (!read_time(claims, "exp", &expires, &end) || !expires)
    return bad(reason, "no time of expiry (exp)");
  if (!read_time(claims, "nbf", &begins, &begin))
    return bad(reason, "nbf is no number");
  if (end + (double)tokens->leeway_s <= (double)now_s) {
    snprintf(reason, TOKEN_REASON_MAX, "the token has expired");
    return TOKEN_EXPIRED;
  }
  if (begins && begin > (double)(now_s + tokens->leeway_s))
    return bad(reason, "the token is not valid yet (nbf)");
  return TOKEN_OK;
}

static bool text_is(const json_t *value, const char *wanted) {
  const char *text = json_string_value(value);
  return text && json_string_length(value) == strlen(wanted) &&
         strcmp(text, wanted) == 0;
}

/* RFC 7519, 4.1.3: one text or a list of them. */
static bool is_for(const json_t *audience, const char *wanted) {
  size_t index;
  json_t *one;
  if (!json_is_array(audience)) return text_is(audience, wanted);
  json_array_foreach(audience, index, one) {
    if (text_is(one, wanted)) return true;
  }
  return false;
}

static enum token_verdict check_claims(const struct tokens *tokens,
                                       const json_t *claims, int64_t now_s,
                                       char reason[TOKEN_REASON_MAX]) {
  if (tokens->issuer &&
      !text_is(json_object_get(claims, "iss"), tokens->issuer))
    return bad(reason, "another issuer (iss)");
  if (tokens->audience &&
      !is_for(json_object_get(claims, "aud"), tokens->audience))
    return bad(reason, "for another audience (aud)");
  return check_times(tokens, claims, now_s, reason);
}

/* --- The session's info --------------------------------------------------- */

/* When the token would not be taken any more. */
static bool add_end(const struct tokens *tokens, const json_t *claims,
                    json_t *info) {
  double end = json_number_value(json_object_get(claims, "exp")) +
               (double)tokens->leeway_s;
  if (!tokens->ends || end >= latest_s) return true;
  json_int_t whole = (json_int_t)end;
  if ((double)whole < end) whole++;
  return json_object_set_new(info, TOKEN_ENDS, json_integer(whole)) == 0;
}

static enum token_verdict make_info(const struct tokens *tokens,
                                    const json_t *claims, char **out,
                                    char reason[TOKEN_REASON_MAX]) {
  const json_t *name = json_object_get(claims, tokens->name_claim);
  if (!json_is_string(name) || json_string_length(name) == 0) {
    snprintf(reason, TOKEN_REASON_MAX, "no name (%.64s)", tokens->name_claim);
    return TOKEN_BAD;
  }
  json_t *info = json_object();
  bool ok = info != NULL;
  for (size_t i = 0; ok && i < tokens->info_claim_count; i++) {
    json_t *value = json_object_get(claims, tokens->info_claims[i]);
    ok = !value || json_object_set(info, tokens->info_claims[i], value) == 0;
  }
  /* Last: no claim may pass for the name. */
  ok = ok && json_object_set_new(info, "username", json_deep_copy(name)) == 0;
  ok = ok && add_end(tokens, claims, info);
  *out = ok ? json_dumps(info, JSON_COMPACT) : NULL;
  json_decref(info);
  return *out ? TOKEN_OK : TOKEN_NO_MEMORY;
}

/* --- Checking ------------------------------------------------------------- */

static enum token_verdict check_text(const struct tokens *tokens,
                                     const char *text, int64_t now_s,
                                     char **info,
                                     char reason[TOKEN_REASON_MAX]) {
  struct claimed claimed;
  if (!read_header(&claimed, text)) {
    free(claimed.id);
    return bad(reason, "no JSON Web Token");
  }
  char *signed_text = verify(tokens, text, &claimed);
  free(claimed.id);
  if (!signed_text) return bad(reason, "not signed by a key that is known");
  json_t *claims = json_loads(signed_text, 0, NULL);
  free(signed_text);
  enum token_verdict verdict = claims
                                   ? check_claims(tokens, claims, now_s, reason)
                                   : bad(reason, "claims that can't be read");
  if (verdict == TOKEN_OK) verdict = make_info(tokens, claims, info, reason);
  json_decref(claims);
  return verdict;
}

enum token_verdict tokens_check(const struct tokens *tokens,
                                struct wwr_view text, int64_t now_s,
                                char **info, char reason[TOKEN_REASON_MAX]) {
  *info = NULL;
  *reason = '\0';
  if (text.len == 0 || text.len > TOKEN_MAX ||
      memchr(text.data, '\0', text.len))
    return bad(reason, "no JSON Web Token");
  char *copy = strndup((const char *)text.data, text.len);
  if (!copy) return TOKEN_NO_MEMORY;
  enum token_verdict verdict = check_text(tokens, copy, now_s, info, reason);
  free(copy);
  return verdict;
}
