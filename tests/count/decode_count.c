/* decode_count ROUNDS: decode every golden message so often and say how many
 * that were. Nothing else happens here, because bench/instructions.sh counts
 * its instructions. */
#include "golden.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  long rounds = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
  unsigned long decoded = 0, refused = 0;
  if (rounds < 1 || rounds > 1000000) {
    fputs("usage: decode_count ROUNDS (1..1000000)\n", stderr);
    return 2;
  }
  for (long i = 0; i < rounds; i++) {
    for (const struct golden *golden = goldens; golden->bytes; golden++) {
      struct wwri_msg msg;
      const struct wwr_view view = {(const uint8_t *)golden->bytes,
                                    golden->len};
      if (wwri_decode(view, &msg) != WWR_OK) refused++;
      decoded++;
    }
  }
  printf("%lu\n", decoded);
  return refused == 0 ? 0 : 1;
}
