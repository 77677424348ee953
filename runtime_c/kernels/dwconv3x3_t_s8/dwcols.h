// SPDX-License-Identifier: Apache-2.0
// Layout dwcols in C: for channel c and kernel column k one byte, twice the number 9 t0 + 3 t1 + t2 + 13 of
// the column's trits.
#ifndef EDGEBIT_DWCONV3X3_T_S8_DWCOLS_H
#define EDGEBIT_DWCONV3X3_T_S8_DWCOLS_H

#include <stdint.h>

#include "edgebit/eb_types.h"

// w[tap][c], for eb_dwconv3x3_law.
EB_INLINE int32_t eb_dwcols_weight(const void *w, int32_t tap, int32_t c, int32_t channels) {
    (void)channels;
    int32_t row = tap < 3 ? 0 : tap < 6 ? 1 : 2;
    int32_t number = ((const uint8_t *)w)[3 * c + tap - 3 * row] >> 1;
    int32_t top = (number * 57) >> 9; // number / 9
    number -= 9 * top;
    int32_t middle = (number * 11) >> 5; // number / 3
    return (row == 0 ? top : row == 1 ? middle : number - 3 * middle) - 1;
}

#endif
