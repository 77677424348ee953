// SPDX-License-Identifier: Apache-2.0
// Integer requantisation of the int32 sums of eight pixels (see strips_s8.h) to int8.
//
//   y[j * step + h * apart + r] = eb_requant(acc[r][h][j], params, entries[r])      j = 0..3, h = 0, 1
//
//   entries  [rows]
//   acc      [rows][2][4] int32
//   y        int8, rows of each pixel; no alignment. acc and y do not overlap.
//   step, apart  bytes of y from a pair of pixels to the next, and from the first of a pair to the second
#ifndef EDGEBIT_REQUANT_SUMS_H
#define EDGEBIT_REQUANT_SUMS_H

#include "edgebit/eb_types.h"

#define EB_REQUANT_SUMS_DECL(name)                                                                           \
    void name(const eb_requant_params *EB_RESTRICT params, const eb_requant_entry *EB_RESTRICT entries,      \
              const int32_t *EB_RESTRICT acc, int8_t *EB_RESTRICT y, int32_t rows, int32_t step,             \
              int32_t apart)

#endif
