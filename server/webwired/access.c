#include "access.h"

#include <string.h>

#include "auth.h"

_Static_assert((int)ADDRESSES_REASON_MAX == (int)WWR_REASON_MAX,
               "the same buffer");
_Static_assert((int)TOKEN_REASON_MAX == (int)WWR_REASON_MAX, "the same buffer");

enum { MAX_RATE = 1000000000, MAX_LEEWAY_MS = 600000 };

/* --- Sign-in -------------------------------------------------------------- */

static void bind_key(void *item, struct wwr_option *rows) {
  struct token_key_settings *key = item;
  const struct wwr_option all[ACCESS_KEY_ROWS] = {
      {.value = "2026-11",
       .help = "the \"kid\" of the tokens that it is for; default: any",
       .kind = WWR_OPTION_TEXT,
       .target = &key->id,
       .key = "id"},
      {.value = "HS256|RS256|ES256",
       .help = "how tokens are signed",
       .kind = WWR_OPTION_CHOICE,
       .target = &key->algorithm,
       .key = "algorithm"},
      {.value = "TEXT",
       .help = "of HS256: at least 32 bytes",
       .kind = WWR_OPTION_SECRET,
       .target = &key->secret,
       .key = "secret"},
      {.value = "FILE",
       .help = "a file that holds it",
       .kind = WWR_OPTION_SECRET_FILE,
       .target = &key->secret,
       .key = "secret-file"},
      {.value = "FILE",
       .help = "of RS256 (at least 2048 bits) and ES256: a public key (PEM)",
       .kind = WWR_OPTION_TEXT,
       .target = &key->public_key_file,
       .key = "public-key-file"}};
  memcpy(rows, all, sizeof all);
}

static struct wwr_option *auth_rows(struct access_settings *access,
                                    struct wwr_option *rows) {
  const struct wwr_option all[] = {
      {.value = "none|jwt",
       .help = "how clients sign in",
       .kind = WWR_OPTION_CHOICE,
       .target = &access->mode,
       .key = "auth.mode",
       .live = true,
       .detail = "jwt: the request auth carries a JSON Web Token, which needs "
                 "an exp claim; a session with what it says is created."},
      {.value = "TEXT",
       .help = "whose tokens are taken (iss)",
       .kind = WWR_OPTION_TEXT,
       .target = &access->issuer,
       .key = "auth.issuer",
       .live = true},
      {.value = "TEXT",
       .help = "whom they must be for (aud)",
       .kind = WWR_OPTION_TEXT,
       .target = &access->audience,
       .key = "auth.audience",
       .live = true},
      {.value = "SECONDS",
       .help = "how far clocks may be apart",
       .kind = WWR_OPTION_SECONDS,
       .target = &access->leeway_ms,
       .max = MAX_LEEWAY_MS,
       .key = "auth.leeway",
       .live = true},
      {.value = "CLAIM",
       .help = "the claim that becomes the session's username",
       .kind = WWR_OPTION_TEXT,
       .target = &access->name_claim,
       .key = "auth.name-claim",
       .live = true},
      {.value = "CLAIM",
       .help = "claims that the session's info keeps, such as role",
       .kind = WWR_OPTION_LIST,
       .target = &access->info_claims,
       .key = "auth.info-claims",
       .live = true},
      {.value = "token|signout",
       .help = "when a session ends",
       .kind = WWR_OPTION_CHOICE,
       .target = &access->session_end,
       .key = "auth.session-end",
       .live = true,
       .detail = "token: with the token it was created with, unless the client "
                 "has sent a newer one by auth; its connections are closed "
                 "then. signout: a token only opens it; then it ends by "
                 "signout, or when it was not used for sessions.expiry. "
                 "Sessions that are there stay as they are."},
      {.help = "what tokens are checked with, up to 16",
       .kind = WWR_OPTION_GROUPS,
       .target = &access->keys,
       .key = "auth.keys",
       .live = true,
       .detail = "A token's kid chooses the key; without one all of its "
                 "algorithm are tried. To change a key add the new one, let "
                 "the old tokens expire, and remove the old one; SIGHUP each "
                 "time."},
  };
  memcpy(rows, all, sizeof all);
  return rows + sizeof all / sizeof *all;
}

/* --- Limits --------------------------------------------------------------- */

static struct wwr_option number(const char *key, uint32_t *target,
                                const char *help) {
  return (struct wwr_option){.value = "N",
                             .help = help,
                             .kind = WWR_OPTION_NUMBER,
                             .target = target,
                             .max = MAX_RATE,
                             .key = key,
                             .live = true};
}

static void limit_rows(struct access_settings *access,
                       struct wwr_option *rows) {
  static const char burst[] = "so many at once; 0: those of a second";
  *rows++ = number("limits.requests-per-second", &access->requests,
                   "requests and signals of a connection; 0: no limit");
  *rows++ = number("limits.request-burst", &access->request_burst, burst);
  *rows++ = number("limits.bytes-per-second", &access->bytes,
                   "bytes of their names and payloads; 0: no limit");
  *rows++ = number("limits.byte-burst", &access->byte_burst, burst);
  *rows++ = number("limits.sign-ins-per-second", &access->sign_ins,
                   "requests auth of a connection, each of which costs a check "
                   "of a signature; 0: no limit");
  *rows++ = number("limits.sign-in-burst", &access->sign_in_burst, burst);
  *rows++ =
      number("limits.connects-per-address-per-second", &access->connects,
             "new connections of an address (IPv6: of a /64); 0: no limit");
  *rows++ = number("limits.connect-burst", &access->connect_burst, burst);
  *rows++ = number("limits.connections-per-address", &access->connections,
                   "connections of an address; 0: no limit");
  *rows = (struct wwr_option){
      .value = "NETWORK",
      .help = "proxies whose X-Forwarded-For is believed",
      .kind = WWR_OPTION_LIST,
      .target = &access->proxies,
      .key = "limits.trusted-proxies",
      .live = true,
      .check = address_network_check,
      .detail =
          "Networks such as 10.0.0.0/8 or fd00::/8. Behind a proxy that "
          "is not among them all clients have its address."};
}

void access_init(struct access_settings *access) {
  static const struct token_key_settings no_key = {.algorithm = TOKEN_HS256};
  *access = (struct access_settings){
      .leeway_ms = 30000,
      .sign_ins = 1,
      .sign_in_burst = 10,
      .name_claim = "sub",
      .keys = {.item_size = sizeof(struct token_key_settings),
               .row_count = ACCESS_KEY_ROWS,
               .max = TOKEN_KEYS_MAX,
               .initial = &no_key,
               .bind = bind_key}};
}

void access_rows(struct access_settings *access, struct wwr_option *rows) {
  limit_rows(access, auth_rows(access, rows));
}

/* --- What is wrong -------------------------------------------------------- */

static const struct token_key_settings *key_at(
    const struct access_settings *access, size_t index) {
  return (const struct token_key_settings *)access->keys.items + index;
}

static void check_key(const struct access_settings *access,
                      struct wwr_options *options, size_t index) {
  const struct token_key_settings *key = key_at(access, index);
  char reason[TOKEN_REASON_MAX];
  if (token_key_check(key, reason)) return;
  wwr_options_reject_item(options, "auth.keys", index,
                          key->public_key_file            ? "public-key-file"
                          : key->algorithm == TOKEN_HS256 ? "secret"
                                                          : "algorithm",
                          reason);
}

static void check_claims(const struct access_settings *access,
                         struct wwr_options *options) {
  for (size_t i = 0; i < access->info_claims.count; i++) {
    if (strcmp(access->info_claims.items[i], TOKEN_ENDS) != 0) continue;
    wwr_options_reject(options, "auth.info-claims",
                       TOKEN_ENDS " is the server's: when a session ends");
  }
}

void access_settle(const struct access_settings *access,
                   struct wwr_options *options) {
  check_claims(access, options);
  for (size_t i = 0; i < access->keys.count; i++) check_key(access, options, i);
  if (access->mode == AUTH_JWT && access->keys.count == 0)
    wwr_options_reject(options, "auth.mode", "jwt needs auth.keys");
  if (access->proxies.count > ADDRESSES_PROXIES_MAX)
    wwr_options_reject(options, "limits.trusted-proxies", "more than 64");
}

/* --- For others ----------------------------------------------------------- */

struct token_settings access_tokens(const struct access_settings *access) {
  return (struct token_settings){
      .keys = access->keys.items,
      .key_count = access->keys.count,
      .issuer = access->issuer,
      .audience = access->audience,
      .leeway_ms = access->leeway_ms,
      .name_claim = access->name_claim,
      .info_claims = access->info_claims.items,
      .info_claim_count = access->info_claims.count,
      .ends = access->session_end == AUTH_ENDS_WITH_TOKEN};
}

static struct rate_limit rate_of(uint32_t per_second, uint32_t burst) {
  return (struct rate_limit){per_second, burst > 0 ? burst : per_second};
}

struct guard_limits access_limits(const struct access_settings *access) {
  return (struct guard_limits){
      .requests = rate_of(access->requests, access->request_burst),
      .bytes = rate_of(access->bytes, access->byte_burst),
      .sign_ins = rate_of(access->sign_ins, access->sign_in_burst),
      .addresses = {
          .connections = access->connections,
          .connects = rate_of(access->connects, access->connect_burst),
          .proxies = access->proxies.items,
          .proxy_count = access->proxies.count}};
}
