#include "auth.h"

#include <stdlib.h>

struct auth {
  struct tokens *tokens; /* NULL: nobody signs in */
};

struct auth *auth_new(const struct access_settings *access) {
  struct auth *auth = calloc(1, sizeof *auth);
  if (!auth || access->mode == AUTH_NONE) return auth;
  const struct token_settings settings = access_tokens(access);
  auth->tokens = tokens_new(&settings);
  if (auth->tokens) return auth;
  free(auth);
  return NULL;
}

void auth_free(struct auth *auth) {
  if (!auth) return;
  tokens_free(auth->tokens);
  free(auth);
}

enum auth_verdict auth_check(const struct auth *auth, struct wwr_view token,
                             int64_t now_s, char **info_json,
                             char why[AUTH_REASON_MAX]) {
  static const enum auth_verdict verdicts[] = {[TOKEN_OK] = AUTH_GOOD,
                                               [TOKEN_BAD] = AUTH_BAD,
                                               [TOKEN_EXPIRED] = AUTH_EXPIRED,
                                               [TOKEN_NO_MEMORY] = AUTH_FAILED};
  *info_json = NULL;
  *why = '\0';
  if (!auth->tokens) return AUTH_OFF;
  return verdicts[tokens_check(auth->tokens, token, now_s, info_json, why)];
}
