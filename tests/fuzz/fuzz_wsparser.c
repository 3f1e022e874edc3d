/* However the bytes are cut into reads, the same comes out. The first byte says
 * how; what comes out is hashed. */
#include <string.h>

#include "fuzz.h"
#include "wsparser.h"

struct found {
  uint64_t hash; /* of the pieces' bytes, and of what else was found */
  size_t bytes;
  bool broken;
};

static void mix(struct found *found, const void *data, size_t len) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i < len; i++) {
    found->hash = (found->hash ^ bytes[i]) * UINT64_C(1099511628211);
  }
}

static void note(struct found *found, enum wwri_ws_kind kind,
                 const struct wwri_ws_piece *piece) {
  uint8_t mark[2] = {(uint8_t)kind, 0};
  if (kind == WWRI_WS_PIECE) {
    mix(found, piece->data, piece->len);
    if (piece->len == 0 && !piece->last) return;
    if (piece->last) fuzz_check(piece->announced == 0);
    mark[1] = (uint8_t)(1 + piece->text);
    if (piece->last) mix(found, mark, 2);
    return;
  }
  fuzz_check(piece->len <= WWRI_WSPARSER_CONTROL_MAX);
  mix(found, mark, 1);
  mix(found, piece->data, piece->len);
  if (kind == WWRI_WS_CLOSE) {
    uint16_t code = wwri_wsparser_close_code(piece->data, piece->len);
    fuzz_check(code == 0 || (code >= 1000 && code <= 4999));
  }
}

/* Returns how many bytes at the end were left. */
static size_t feed(struct wwri_wsparser *parser, uint8_t *bytes, size_t len,
                   struct found *found) {
  uint8_t *at = bytes;
  struct wwri_ws_piece piece;
  for (;;) {
    uint8_t *before = at;
    enum wwri_ws_kind kind =
        wwri_wsparser_next(parser, &at, bytes + len, &piece);
    fuzz_check(at >= before && at <= bytes + len);
    if (kind == WWRI_WS_MORE) return (size_t)(bytes + len - at);
    if (kind == WWRI_WS_BROKEN) {
      found->broken = true;
      return 0;
    }
    fuzz_check(at > before);
    fuzz_check(piece.data >= bytes && piece.data + piece.len <= at);
    found->bytes += piece.len;
    note(found, kind, &piece);
  }
}

static struct found run(const uint8_t *data, size_t size, size_t step) {
  struct found found = {.hash = 1};
  struct wwri_wsparser parser = {0};
  uint8_t rest[WWRI_WSPARSER_REST_MAX];
  size_t rest_len = 0;
  for (size_t at = 0; at < size && !found.broken;) {
    size_t n = step < size - at ? step : size - at;
    size_t len = rest_len + n;
    uint8_t *bytes = malloc(len); /* just so much, for ASan */
    fuzz_check(bytes);
    memcpy(bytes, rest, rest_len);
    memcpy(bytes + rest_len, data + at, n);
    rest_len = feed(&parser, bytes, len, &found);
    fuzz_check(rest_len <= sizeof(rest));
    memcpy(rest, bytes + len - rest_len, rest_len);
    free(bytes);
    at += n;
  }
  return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  struct found whole = run(data + 1, size - 1, size);
  struct found cut = run(data + 1, size - 1, 1 + (size_t)data[0] % 32);
  fuzz_check(whole.broken == cut.broken);
  fuzz_check(whole.bytes <= size);
  if (whole.broken) return 0; /* a piece of the broken frame may differ */
  fuzz_check(whole.bytes == cut.bytes);
  fuzz_check(whole.hash == cut.hash);
  return 0;
}
