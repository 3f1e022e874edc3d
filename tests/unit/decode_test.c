/* Decoding: every type, every truncation, every value of every length byte. */
#include <string.h>

#include "golden.h"
#include "rng.h"
#include "test.h"

static const uint8_t *bytes_of(const struct golden *golden) {
  return (const uint8_t *)golden->bytes;
}

/* Decode and compare the verdict with the rule's. */
static wwr_err decode_by_rule(const uint8_t *bytes, size_t len,
                              struct wwri_msg *out) {
  wwr_err err = decode_exact(bytes, len, out);
  CU_ASSERT_EQUAL(err == WWR_OK, golden_rule_accepts(bytes, len));
  return err;
}

static void goldens_decode(void) {
  for (const struct golden *golden = goldens; golden->bytes; golden++) {
    struct wwri_msg got, want = golden_msg(golden);
    CU_ASSERT_EQUAL(decode_by_rule(bytes_of(golden), golden->len, &got),
                    WWR_OK);
    bool equal = msg_equal(&got, &want);
    if (!equal) printf("differs: %s\n", golden->what);
    CU_ASSERT_TRUE(equal);
  }
}

static void every_type_has_a_golden(void) {
  static const unsigned types[] = {
#define X(NAME, byte) byte,
      WWRI_MSG_MAP(X)
#undef X
  };
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    const struct golden *golden = goldens;
    while (golden->bytes && golden->type != types[i]) golden++;
    CU_ASSERT_PTR_NOT_NULL(golden->bytes);
  }
}

static void every_truncation_follows_the_rule(void) {
  struct wwri_msg msg;
  for (const struct golden *golden = goldens; golden->bytes; golden++) {
    for (size_t len = 0; len < golden->len; len++) {
      decode_by_rule(bytes_of(golden), len, &msg);
    }
  }
  CU_ASSERT_EQUAL(decode_exact(NULL, 0, &msg), WWR_E_PROTOCOL);
}

static void every_byte_value_at_every_place(void) {
  uint8_t copy[64];
  struct wwri_msg msg;
  for (const struct golden *golden = goldens; golden->bytes; golden++) {
    for (size_t at = 0; at < golden->len; at++) {
      memcpy(copy, golden->bytes, golden->len);
      for (unsigned value = 0; value < 256; value++) {
        copy[at] = (uint8_t)value;
        decode_by_rule(copy, golden->len, &msg);
      }
    }
  }
}

/* Every type byte, every length byte, total lengths around the name's end. */
static void every_length_byte_at_every_length(void) {
  static uint8_t bytes[300];
  struct wwri_msg msg;
  size_t accepted = 0;
  for (unsigned type = 0; type < 256; type++) {
    size_t at = type == 63 || type == 64 || type == 65 ? 1 : 9;
    for (unsigned name_len = 0; name_len < 256; name_len++) {
      memset(bytes, 'n', sizeof bytes);
      bytes[0] = (uint8_t)type;
      bytes[at] = (uint8_t)name_len;
      size_t end = at + 1 + name_len;
      for (size_t len = end > 14 ? end - 3 : 0; len < end + 6; len++) {
        accepted += decode_by_rule(bytes, len, &msg) == WWR_OK;
      }
    }
  }
  CU_ASSERT_TRUE(accepted > 10000);
}

struct verdict {
  const char *why;
  const char *bytes;
  size_t len;
  bool accepted;
};

#define V(bytes) bytes, sizeof bytes - 1
#define ID       "\1\2\3\4\5\6\7\10"

/* The fine print of docs/protocol.md in examples, apart from the rule's table.
 */
static const struct verdict verdicts[] = {
    {"empty message", V(""), false},
    {"unknown type", V("\x06" ID), false},
    {"unknown type 255", V("\xff"), false},
    {"reply-error without code",
     V("\x00" ID "\x00"
       "mm"),
     false},
    {"reply-error, code to the end",
     V("\x00" ID "\x02"
       "CC"),
     true},
    {"reply-error, code over the end",
     V("\x00" ID "\x03"
       "CC"),
     false},
    {"session created, empty", V("\x15"), false},
    {"session closed, longer",
     V("\x16"
       "x"),
     false},
    {"heartbeat, longer",
     V("\x21"
       "x"),
     false},
    {"accept-conf, one short", V("\x17\2\0\0\0\0\0\0\0\0"), false},
    {"accept-conf, other major", V("\x17\3\0\0\0\0\0\0\0\0\0"), true},
    {"close session, longer", V("\x1f" ID "x"), false},
    {"restore without key", V("\x20" ID), false},
    {"signal with nothing", V("\x3f\x00"), false},
    {"signal, name only",
     V("\x3f\x01"
       "n"),
     true},
    {"signal, name over the end",
     V("\x3f\x02"
       "n"),
     false},
    {"signal, any name byte",
     V("\x3f\x01"
       "\xff"),
     true},
    {"signal, UTF-8 not valid",
     V("\x40\x00"
       "\xff"),
     true},
    {"signal UTF-16, name only",
     V("\x41\x02"
       "nm"),
     false},
    {"signal UTF-16, name and pad",
     V("\x41\x01"
       "n\0"),
     false},
    {"signal UTF-16, odd",
     V("\x41\x00"
       "abc"),
     false},
    {"signal UTF-16, odd name, no pad",
     V("\x41\x01"
       "n"
       "ab"),
     false},
    {"request, neither name nor payload", V("\x7f" ID "\x00"), false},
    {"request, one byte of payload",
     V("\x7f" ID "\x00"
       "p"),
     true},
    {"request, name only",
     V("\x80" ID "\x01"
       "n"),
     true},
    {"request, name over the end",
     V("\x80" ID "\x02"
       "n"),
     false},
    {"request UTF-16, neither", V("\x81" ID "\x00"), false},
    {"request UTF-16, odd",
     V("\x81" ID "\x00"
       "a"),
     false},
    {"request UTF-16, name, no pad",
     V("\x81" ID "\x01"
       "n"),
     false},
    {"request UTF-16, name and pad",
     V("\x81" ID "\x01"
       "n\0"),
     true},
    {"request UTF-16, even name",
     V("\x81" ID "\x02"
       "nm"),
     true},
    {"request UTF-16, name over the end",
     V("\x81" ID "\x04"
       "nm"),
     false},
    {"reply UTF-16 without pad", V("\xc1" ID), false},
    {"reply UTF-16, pad only", V("\xc1" ID "\x07"), true},
    {"reply UTF-16, odd",
     V("\xc1" ID "\x00"
       "a"),
     false},
    {"reply, id cut", V("\xbf\1\2\3\4\5\6\7"), false},
};

static void the_fine_print(void) {
  for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
    const struct verdict *verdict = &verdicts[i];
    struct wwri_msg msg;
    bool accepted = decode_by_rule((const uint8_t *)verdict->bytes,
                                   verdict->len, &msg) == WWR_OK;
    if (accepted != verdict->accepted) printf("wrong: %s\n", verdict->why);
    CU_ASSERT_EQUAL(accepted, verdict->accepted);
  }
}

static bool is_canonical(const struct wwri_msg *msg) {
  return msg->type < WWRI_REPLY_SHUTDOWN ||
         msg->type > WWRI_REPLY_SESSIONS_DISABLED;
}

/* What was decoded encodes to as many bytes, which mean the same. */
static void expect_stable(const struct wwri_msg *msg, size_t len) {
  uint8_t bytes[1024];
  struct wwri_msg again;
  size_t encoded = wwri_encoded_len(msg);
  CU_ASSERT_EQUAL_FATAL(encoded, is_canonical(msg) ? len : 9);
  wwri_encode(msg, bytes);
  CU_ASSERT_EQUAL(decode_exact(bytes, encoded, &again), WWR_OK);
  CU_ASSERT_TRUE(msg_equal(msg, &again));
}

static size_t mutate(struct rng *rng, uint8_t *bytes, size_t len, size_t cap) {
  for (uint64_t n = rng_below(rng, 5); n > 0; n--) {
    uint64_t kind = rng_below(rng, 4);
    size_t at = (size_t)rng_below(rng, len ? len : 1);
    if (kind < 2) {
      bytes[at] = (uint8_t)rng_next(rng);
    } else if (kind == 2) {
      len = (size_t)rng_below(rng, len + 1);
    } else {
      size_t more = (size_t)rng_below(rng, cap - len + 1);
      for (size_t i = 0; i < more; i++) bytes[len++] = (uint8_t)rng_next(rng);
    }
  }
  return len;
}

static void random_mutations(void) {
  struct rng rng = {42};
  size_t accepted = 0, count = 0;
  while (goldens[count].bytes) count++;
  for (int i = 0; i < 200000; i++) {
    const struct golden *golden = &goldens[rng_below(&rng, count)];
    uint8_t bytes[320] = {0};
    memcpy(bytes, golden->bytes, golden->len);
    size_t len = mutate(&rng, bytes, golden->len, sizeof bytes);
    struct wwri_msg msg;
    if (decode_by_rule(bytes, len, &msg) != WWR_OK) continue;
    expect_stable(&msg, len);
    accepted++;
  }
  CU_ASSERT_TRUE(accepted > 20000);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"goldens decode", goldens_decode},
      {"every type has a golden", every_type_has_a_golden},
      {"every truncation follows the rule", every_truncation_follows_the_rule},
      {"every byte value at every place", every_byte_value_at_every_place},
      {"every length byte at every length", every_length_byte_at_every_length},
      {"the fine print", the_fine_print},
      {"random mutations", random_mutations},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"decode", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
