// SPDX-License-Identifier: Apache-2.0
// Ternary matrix times the inputs of two pixels:  acc[p][r] = sum over k of trit[r][k] * in[p][k],  p = 0, 1.
//
//   w        (rows, cols) trits, packed by the layout the file names; starts at a multiple of 16 bytes
//   x        words of two int16 inputs, 16-byte aligned; four words hold columns k..k + 3 (k a multiple of
//            4): (low, high) = (in[0][k], in[0][k+2]), (in[1][k], in[1][k+2]), (in[0][k+1], in[0][k+3]),
//            (in[1][k+1], in[1][k+3]). Inputs are int8 values; readable to `stride` columns, where halves
//            past cols hold anything and must not change a result. stride is cols rounded up to 16.
//   acc      [2][rows rounded up to the layout's row multiple] int32, 4-byte aligned. The exporter proves
//            |acc| <= 128 * (nonzero trits of the row) < 2^31.
//   rows, cols >= 1
//   scratch  16-byte aligned, as large as Layout.scratch(stem, rows, cols) says; may be null when that is 0
//
// No buffers overlap. A variant is declared where it is used, as EB_TDOTS_S8_DECL(eb_tdots_s8__<isa>).
#ifndef EDGEBIT_TDOTS_S8_H
#define EDGEBIT_TDOTS_S8_H

#include "edgebit/eb_types.h"

#define EB_TDOTS_S8_DECL(name)                                                                               \
    void name(const uint8_t *EB_RESTRICT w, const uint32_t *EB_RESTRICT x, int32_t *EB_RESTRICT acc,         \
              int32_t rows, int32_t cols, int32_t stride, void *EB_RESTRICT scratch)

#endif
