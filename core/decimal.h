/* decimal.h - numbers as decimal text, for what is written too often for
 * snprintf(). Pure. */
#ifndef WWRI_DECIMAL_H
#define WWRI_DECIMAL_H

#include "wwr_base.h"

enum { WWRI_DECIMAL_MAX = 21 /* with the NUL */ };

/** Write the digits and a NUL; returns a view of the digits. */
struct wwr_view wwri_write_decimal(uint64_t number, char out[WWRI_DECIMAL_MAX]);

#endif
