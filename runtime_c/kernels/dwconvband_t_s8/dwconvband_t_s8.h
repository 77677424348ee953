// SPDX-License-Identifier: Apache-2.0
// A band of output rows of a 3 x 3 depthwise convolution with ternary weights, from a copy of its inputs,
// requantised to the whole range of int8:
//   y[i * y_row + u * y_col + c] = clamp((sum over ky, kx of trit[3 ky + kx][c] * in(stride * i + ky,
//       stride * u + kx, c) * mul + add) >> shift, -128, 127)     i < rows, u < outs, c < channels
// in(r, v, c) is the padding for v < lead, else x[r * x_row + (v - lead) * x_col + c]; mul, add and shift are
// those of entries[c]. |sum| <= 9 * 128; the exporter proves that |sum * mul + add| < 2^31.
//
//   w        (9, channels) trits in the layout the file names
//   entries  [channels]; may be null where they are part of w
//   x        holds every row and column that windows reach, but for the first `lead` columns
//
// rows, outs, channels >= 1. y overlaps nothing. No alignment. A variant is declared where it is used, as
// EB_DWCONVBAND_T_S8_DECL(eb_dwconvband_t_s8__<isa>).
#ifndef EDGEBIT_DWCONVBAND_T_S8_H
#define EDGEBIT_DWCONVBAND_T_S8_H

#include "edgebit/eb_types.h"

typedef struct {
    const int8_t *x;
    int8_t *y;
    int32_t rows;
    int32_t outs;
    int32_t channels;
    int32_t stride; // 1 or 2, both ways
    int32_t lead;   // 0 or 1
    int32_t padding;
    int32_t x_row, x_col, y_row, y_col; // bytes from a row or a column to the next
} eb_dwconvband_job;

#define EB_DWCONVBAND_T_S8_DECL(name)                                                                        \
    void name(const void *EB_RESTRICT w, const eb_requant_entry *EB_RESTRICT entries,                        \
              const eb_dwconvband_job *EB_RESTRICT job)

#endif
