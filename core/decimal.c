#include "decimal.h"

#include <string.h>

struct wwr_view wwri_write_decimal(uint64_t number,
                                   char out[WWRI_DECIMAL_MAX]) {
  char digits[WWRI_DECIMAL_MAX];
  size_t at = WWRI_DECIMAL_MAX - 1;
  digits[at] = '\0';
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  memcpy(out, digits + at, WWRI_DECIMAL_MAX - at);
  return (struct wwr_view){(const uint8_t *)out, WWRI_DECIMAL_MAX - 1 - at};
}
