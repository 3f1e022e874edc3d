#include "auth.h"

#include <stdlib.h>

enum { SECOND_NS = 1000000000 };

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

int64_t auth_session_end(const struct wwr_session *session) {
  char *text;
  if (wwr_session_field(session, TOKEN_ENDS, &text) != WWR_OK) return 0;
  int64_t end_s = strtoll(text, NULL, 10);
  wwr_free(text);
  return end_s > 0 && end_s < INT64_MAX / SECOND_NS ? end_s * SECOND_NS : 0;
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
