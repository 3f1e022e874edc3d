/* Tokens: who may sign them, what they must say, and what a session keeps. */
#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth.h"
#include "test.h"
#include "token.h"

enum { NOW = 1800000000, PEM_MAX = 8192 };

static const char SECRET[] = "0123456789abcdef0123456789abcdef";
static const char OTHER_SECRET[] = "another secret, as long as it must be";

/* --- Keys ----------------------------------------------------------------- */

struct pair {
  char private_pem[PEM_MAX];
  char public_pem[PEM_MAX];
  char public_file[64];
};
static struct pair rsa, weak_rsa, p256, p384;
static char dir[32];

static bool take(BIO *bio, char *out) {
  int len = BIO_read(bio, out, PEM_MAX - 1);
  out[len > 0 ? len : 0] = '\0';
  BIO_free(bio);
  return len > 0;
}

static bool write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  return file && fputs(text, file) >= 0 && fclose(file) == 0;
}

static bool keep_pair(struct pair *pair, EVP_PKEY *key, const char *name) {
  BIO *private_bio = BIO_new(BIO_s_mem()), *public_bio = BIO_new(BIO_s_mem());
  if (!key || !private_bio || !public_bio) return false;
  PEM_write_bio_PrivateKey(private_bio, key, NULL, NULL, 0, NULL, NULL);
  PEM_write_bio_PUBKEY(public_bio, key);
  EVP_PKEY_free(key);
  snprintf(pair->public_file, sizeof pair->public_file, "%s/%s", dir, name);
  bool taken = take(private_bio, pair->private_pem);
  taken = take(public_bio, pair->public_pem) && taken;
  return taken && write_file(pair->public_file, pair->public_pem);
}

static int begin(void) {
  snprintf(dir, sizeof dir, "/tmp/token.XXXXXX");
  return mkdtemp(dir) && keep_pair(&rsa, EVP_RSA_gen(2048U), "rsa") &&
                 keep_pair(&weak_rsa, EVP_RSA_gen(1024U), "weak") &&
                 keep_pair(&p256, EVP_EC_gen("P-256"), "p256") &&
                 keep_pair(&p384, EVP_EC_gen("P-384"), "p384")
             ? 0
             : 1;
}

static int end(void) {
  const struct pair *all[] = {&rsa, &weak_rsa, &p256, &p384};
  for (int i = 0; i < 4; i++) unlink(all[i]->public_file);
  return rmdir(dir);
}

/* --- Tokens --------------------------------------------------------------- */

static const char CLAIMS[] =
    "{\"sub\":\"Frodo\",\"exp\":1800000060,\"iss\":\"shire\","
    "\"aud\":\"mordor\",\"role\":[\"bearer\"],\"age\":50}";

static char *sign(const char *claims, jwt_alg_t algorithm, const char *key,
                  const char *id) {
  jwt_t *jwt = NULL;
  CU_ASSERT_EQUAL_FATAL(jwt_new(&jwt), 0);
  CU_ASSERT_EQUAL_FATAL(jwt_add_grants_json(jwt, claims), 0);
  if (id) CU_ASSERT_EQUAL_FATAL(jwt_add_header(jwt, "kid", id), 0);
  CU_ASSERT_EQUAL_FATAL(jwt_set_alg(jwt, algorithm, (const unsigned char *)key,
                                    key ? (int)strlen(key) : 0),
                        0);
  char *text = jwt_encode_str(jwt);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  jwt_free(jwt);
  return text;
}

static struct tokens *make(const struct token_key_settings *keys,
                           size_t count) {
  struct tokens *tokens = tokens_new(
      &(struct token_settings){.keys = keys,
                               .key_count = count,
                               .issuer = "shire",
                               .audience = "mordor",
                               .leeway_ms = 5000,
                               .name_claim = "sub",
                               .info_claims = (const char *const[]){"role"},
                               .info_claim_count = 1});
  CU_ASSERT_PTR_NOT_NULL_FATAL(tokens);
  return tokens;
}

static struct tokens *make_simple(void) {
  return make(&(struct token_key_settings){.secret = SECRET}, 1);
}

/* Check and free a token; what it said must fit the verdict. */
static enum token_verdict check(const struct tokens *tokens, char *text) {
  char *info, reason[TOKEN_REASON_MAX];
  enum token_verdict verdict =
      tokens_check(tokens, wwr_view_str(text), NOW, &info, reason);
  CU_ASSERT_EQUAL(info != NULL, verdict == TOKEN_OK);
  CU_ASSERT_EQUAL(*reason == '\0', verdict == TOKEN_OK);
  if (info)
    CU_ASSERT_STRING_EQUAL(info,
                           "{\"role\":[\"bearer\"],\"username\":\"Frodo\"}");
  free(info);
  free(text);
  return verdict;
}

static void algorithms(void) {
  static const struct {
    jwt_alg_t algorithm;
    const char *key;
    enum token_verdict verdict;
  } cases[] = {
      {JWT_ALG_HS256, SECRET, TOKEN_OK},
      {JWT_ALG_RS256, rsa.private_pem, TOKEN_OK},
      {JWT_ALG_ES256, p256.private_pem, TOKEN_OK},
      {JWT_ALG_HS256, OTHER_SECRET, TOKEN_BAD},
      {JWT_ALG_HS512, SECRET, TOKEN_BAD},
      {JWT_ALG_RS512, rsa.private_pem, TOKEN_BAD},
      {JWT_ALG_NONE, NULL, TOKEN_BAD},
      /* A public key is known to everyone: no secret. */
      {JWT_ALG_HS256, rsa.public_pem, TOKEN_BAD},
      {JWT_ALG_HS256, p256.public_pem, TOKEN_BAD},
      {JWT_ALG_RS256, weak_rsa.private_pem, TOKEN_BAD},
  };
  const struct token_key_settings keys[] = {
      {.secret = SECRET},
      {.algorithm = TOKEN_RS256, .public_key_file = rsa.public_file},
      {.algorithm = TOKEN_ES256, .public_key_file = p256.public_file}};
  struct tokens *tokens = make(keys, 3);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    CU_ASSERT_EQUAL(
        check(tokens, sign(CLAIMS, cases[i].algorithm, cases[i].key, NULL)),
        cases[i].verdict);
  }
  tokens_free(tokens);
}

/* Several keys of one kind: what a rotation needs. */
static void key_ids(void) {
  const struct token_key_settings keys[] = {
      {.id = "old", .secret = OTHER_SECRET}, {.id = "new", .secret = SECRET}};
  struct tokens *tokens = make(keys, 2);
  CU_ASSERT_EQUAL(check(tokens, sign(CLAIMS, JWT_ALG_HS256, SECRET, "new")),
                  TOKEN_OK);
  CU_ASSERT_EQUAL(
      check(tokens, sign(CLAIMS, JWT_ALG_HS256, OTHER_SECRET, "old")),
      TOKEN_OK);
  CU_ASSERT_EQUAL(check(tokens, sign(CLAIMS, JWT_ALG_HS256, SECRET, "old")),
                  TOKEN_BAD);
  CU_ASSERT_EQUAL(check(tokens, sign(CLAIMS, JWT_ALG_HS256, SECRET, "third")),
                  TOKEN_BAD);
  CU_ASSERT_EQUAL(check(tokens, sign(CLAIMS, JWT_ALG_HS256, SECRET, NULL)),
                  TOKEN_OK);
  tokens_free(tokens);
}

static void claims(void) {
#define FRAME ",\"iss\":\"shire\",\"aud\":\"mordor\",\"role\":[\"bearer\"]}"
  static const struct {
    const char *claims;
    enum token_verdict verdict;
  } cases[] = {
      {"{\"sub\":\"Frodo\",\"exp\":1800000001" FRAME, TOKEN_OK},
      {"{\"sub\":\"Frodo\",\"exp\":1800000001.5" FRAME, TOKEN_OK},
      {"{\"sub\":\"Frodo\",\"exp\":1799999996" FRAME, TOKEN_OK}, /* leeway */
      {"{\"sub\":\"Frodo\",\"exp\":1799999995" FRAME, TOKEN_EXPIRED},
      {"{\"sub\":\"Frodo\",\"exp\":-1" FRAME, TOKEN_EXPIRED},
      {"{\"sub\":\"Frodo\",\"exp\":9223372036854775807" FRAME, TOKEN_OK},
      {"{\"sub\":\"Frodo\",\"exp\":\"1800000001\"" FRAME, TOKEN_BAD},
      {"{\"sub\":\"Frodo\"" FRAME, TOKEN_BAD},
      {"{\"sub\":\"Frodo\",\"exp\":1800000001,\"nbf\":1800000005" FRAME,
       TOKEN_OK},
      {"{\"sub\":\"Frodo\",\"exp\":1800000001,\"nbf\":1800000006" FRAME,
       TOKEN_BAD},
      {"{\"sub\":\"Frodo\",\"exp\":1800000001,\"nbf\":null" FRAME, TOKEN_BAD},
      {"{\"exp\":1800000001" FRAME, TOKEN_BAD},
      {"{\"sub\":7,\"exp\":1800000001" FRAME, TOKEN_BAD},
      {"{\"sub\":\"\",\"exp\":1800000001" FRAME, TOKEN_BAD},
      {"{\"sub\":\"Frodo\",\"username\":\"Sauron\",\"exp\":1800000001" FRAME,
       TOKEN_OK},
#undef FRAME
#define FRAME "{\"sub\":\"Frodo\",\"exp\":1800000001,\"role\":[\"bearer\"]"
      {FRAME ",\"iss\":\"shire\",\"aud\":[\"rohan\",\"mordor\"]}", TOKEN_OK},
      {FRAME ",\"iss\":\"shire\",\"aud\":[\"rohan\"]}", TOKEN_BAD},
      {FRAME ",\"iss\":\"shire\",\"aud\":[]}", TOKEN_BAD},
      {FRAME ",\"iss\":\"shire\",\"aud\":7}", TOKEN_BAD},
      {FRAME ",\"iss\":\"shire\"}", TOKEN_BAD},
      {FRAME ",\"iss\":\"rohan\",\"aud\":\"mordor\"}", TOKEN_BAD},
      {FRAME ",\"iss\":[\"shire\"],\"aud\":\"mordor\"}", TOKEN_BAD},
      {FRAME ",\"aud\":\"mordor\"}", TOKEN_BAD},
#undef FRAME
  };
  struct tokens *tokens = make_simple();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    enum token_verdict verdict =
        check(tokens, sign(cases[i].claims, JWT_ALG_HS256, SECRET, NULL));
    if (verdict != cases[i].verdict)
      fprintf(stderr, "%s: %d\n", cases[i].claims, (int)verdict);
    CU_ASSERT_EQUAL(verdict, cases[i].verdict);
  }
  tokens_free(tokens);
}

/* The info says when the session ends: when the token is taken no more, whole
 * seconds, or not at all when nobody can say. */
static void ends(void) {
#define FRAME "{\"sub\":\"Frodo\",\"expires\":\"never\",\"exp\":"
  static const struct {
    const char *claims, *info;
  } cases[] = {
      {FRAME "1800000060}", "{\"username\":\"Frodo\",\"expires\":1800000065}"},
      {FRAME "1800000060.25}",
       "{\"username\":\"Frodo\",\"expires\":1800000066}"},
      {FRAME "9007199254740000}",
       "{\"username\":\"Frodo\",\"expires\":9007199254740005}"},
      {FRAME "9007199254740991}", "{\"username\":\"Frodo\"}"},
      {FRAME "9223372036854775807}", "{\"username\":\"Frodo\"}"},
  };
#undef FRAME
  struct tokens *tokens = tokens_new(&(struct token_settings){
      .keys = &(struct token_key_settings){.secret = SECRET},
      .key_count = 1,
      .leeway_ms = 5000,
      .name_claim = "sub",
      .ends = true});
  CU_ASSERT_PTR_NOT_NULL_FATAL(tokens);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *info, reason[TOKEN_REASON_MAX];
    char *text = sign(cases[i].claims, JWT_ALG_HS256, SECRET, NULL);
    CU_ASSERT_EQUAL(
        tokens_check(tokens, wwr_view_str(text), NOW, &info, reason), TOKEN_OK);
    CU_ASSERT_STRING_EQUAL(info, cases[i].info);
    free(info);
    free(text);
  }
  tokens_free(tokens);
}

/* What a session's info may say of its end. */
static void session_ends(void) {
  static const struct {
    const char *info;
    int64_t end;
  } cases[] = {
      {"{\"expires\":1800000065}", 1800000065 * INT64_C(1000000000)},
      {"{\"expires\":9007199254740005}", 0},
      {"{\"expires\":-1}", 0},
      {"{\"expires\":\"1800000065\"}", 0},
      {"{\"expires\":{}}", 0},
      {"{\"username\":\"Frodo\"}", 0},
      {NULL, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct wwr_session *session;
    CU_ASSERT_EQUAL_FATAL(
        wwr_session_new(&session, wwr_view_str("key"), 1, 1, cases[i].info),
        WWR_OK);
    CU_ASSERT_EQUAL(auth_session_end(session), cases[i].end);
    wwr_session_unref(session);
  }
}

/* Every byte of a token matters: each one changed, each length cut short. */
static void damaged(void) {
  struct tokens *tokens = make_simple();
  char *good = sign(CLAIMS, JWT_ALG_HS256, SECRET, NULL);
  size_t len = strlen(good);
  CU_ASSERT_EQUAL(check(tokens, strdup(good)), TOKEN_OK);
  for (size_t i = 0; i < len - 1; i++) { /* of the last some bits are padding */
    char *text = strdup(good);
    text[i] = text[i] == 'A' ? 'B' : 'A';
    CU_ASSERT_EQUAL(check(tokens, text), TOKEN_BAD);
    CU_ASSERT_EQUAL(check(tokens, strndup(good, i)), TOKEN_BAD);
  }
  free(good);
  tokens_free(tokens);
}

static void garbage(void) {
  static const char *const texts[] = {
      "", ".", "..", "...", "a.b.c", "eyJhbGciOiJIUzI1NiJ9..", "{}.{}.{}",
      /* {"alg":"none"}, {"alg":"HS256","crit":["exp"]} */
      "eyJhbGciOiJub25lIn0.e30.",
      "eyJhbGciOiJIUzI1NiIsImNyaXQiOlsiZXhwIl19.e30.c2ln",
      "\xff\xfe.\x80.\x80"};
  struct tokens *tokens = make_simple();
  char *info, reason[TOKEN_REASON_MAX], *large = malloc(TOKEN_MAX + 1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(large);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    CU_ASSERT_EQUAL(check(tokens, strdup(texts[i])), TOKEN_BAD);
  memset(large, 'a', TOKEN_MAX + 1);
  for (size_t len = TOKEN_MAX; len <= TOKEN_MAX + 1; len++) {
    struct wwr_view view = {(const uint8_t *)large, len};
    CU_ASSERT_EQUAL(tokens_check(tokens, view, NOW, &info, reason), TOKEN_BAD);
  }
  struct wwr_view nul = {(const uint8_t *)"a.b\0c", 5};
  CU_ASSERT_EQUAL(tokens_check(tokens, nul, NOW, &info, reason), TOKEN_BAD);
  free(large);
  tokens_free(tokens);
}

/* Anyone's token, of any issuer and audience, when nothing is asked for. */
static void nothing_asked_for(void) {
  struct token_key_settings key = {.secret = SECRET};
  struct tokens *tokens = tokens_new(&(struct token_settings){
      .keys = &key, .key_count = 1, .name_claim = "who"});
  char *text =
      sign("{\"who\":\"Sam\",\"exp\":1800000001}", JWT_ALG_HS256, SECRET, NULL);
  char *info, reason[TOKEN_REASON_MAX];
  CU_ASSERT_PTR_NOT_NULL_FATAL(tokens);
  CU_ASSERT_EQUAL(tokens_check(tokens, wwr_view_str(text), NOW, &info, reason),
                  TOKEN_OK);
  CU_ASSERT_STRING_EQUAL(info, "{\"username\":\"Sam\"}");
  free(info);
  free(text);
  tokens_free(tokens);
  tokens_free(NULL);
}

/* --- Keys that are wrong -------------------------------------------------- */

static void wrong_keys(void) {
  char private_file[64];
  snprintf(private_file, sizeof private_file, "%s/private", dir);
  CU_ASSERT_TRUE_FATAL(write_file(private_file, rsa.private_pem));
  const struct {
    struct token_key_settings key;
    const char *text;
  } cases[] = {
      {{.secret = "too short"}, "at least 32"},
      {{0}, "needs secret"},
      {{.secret = SECRET, .public_key_file = rsa.public_file}, "not for HS256"},
      {{.algorithm = TOKEN_RS256}, "needs public-key-file"},
      {{.algorithm = TOKEN_RS256, .secret = SECRET}, "for HS256 only"},
      {{.algorithm = TOKEN_RS256, .public_key_file = "/nonexistent"},
       "/nonexistent can't be read: No such file"},
      {{.algorithm = TOKEN_RS256, .public_key_file = dir}, "can't be read"},
      {{.algorithm = TOKEN_RS256, .public_key_file = "/dev/null"},
       "no public key"},
      {{.algorithm = TOKEN_RS256, .public_key_file = "/dev/zero"}, "too large"},
      {{.algorithm = TOKEN_RS256, .public_key_file = private_file},
       "no public key"},
      {{.algorithm = TOKEN_RS256, .public_key_file = p256.public_file},
       "no RSA key"},
      {{.algorithm = TOKEN_RS256, .public_key_file = weak_rsa.public_file},
       "1024 bits"},
      {{.algorithm = TOKEN_ES256, .public_key_file = rsa.public_file},
       "no P-256 key"},
      {{.algorithm = TOKEN_ES256, .public_key_file = p384.public_file},
       "no P-256 key"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char reason[TOKEN_REASON_MAX] = "";
    CU_ASSERT_FALSE(token_key_check(&cases[i].key, reason));
    if (!strstr(reason, cases[i].text))
      fprintf(stderr, "\"%s\" is not in \"%s\"\n", cases[i].text, reason);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason, cases[i].text));
    CU_ASSERT_PTR_NULL(tokens_new(&(struct token_settings){
        .keys = &cases[i].key, .key_count = 1, .name_claim = "sub"}));
  }
  unlink(private_file);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"algorithms", algorithms},
                         {"key ids", key_ids},
                         {"claims", claims},
                         {"damaged", damaged},
                         {"garbage", garbage},
                         {"nothing asked for", nothing_asked_for},
                         {"wrong keys", wrong_keys},
                         {"ends", ends},
                         {"session ends", session_ends},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"tokens", begin, end, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
