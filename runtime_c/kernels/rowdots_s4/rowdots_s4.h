// SPDX-License-Identifier: Apache-2.0
// Rows of four-bit numbers with a scale for every 32 of them, times a vector of 16-bit numbers:
//
//   y[r] = sum over groups g of code[r][g] * (sum over the group's k of q[r][k] * x[k])
//
//   w          rows of EB_S4_ROW_BYTES(cols) bytes: cols / 2 bytes of numbers q in -8..7, then a code in
//              0..255 for each group of 32, then zeros up to a multiple of 16. Byte b of the p-th 32 bytes
//              holds u = q + 8 of element b of group 2 p (low bits) and of group 2 p + 1 (high bits)
//   x          see below; |x| <= 32512
//   y          [rows] binary32, apart from w and x
//   rows >= 1; cols >= 64, a multiple of 64 (pad with q = 0 and x = 0: zeros change no bit)
//
// The vector comes in three parts, so that products of bytes are all that is needed: x[k] = 256 high[k] +
// low[k], both int8, and less[j] = -8 * (x[4 j] + ... + x[4 j + 3]), which takes the 8 out of u again.
//
// Sums of four products, elements 4 j .. 4 j + 3, are exact integers (at most 2^20); each becomes binary32,
// is multiplied by the group's code and added to lane 8 (g mod 2) + j mod 8 of sixteen, in order of g from
// +0; then the tree of eb_sum16. Sums of four are what a lane of VPDPBUSD, of VPMADDWD and of SDOT holds, so
// no variant adds across lanes before the end, and four bits cost fewer instructions than int8 times
// binary32.
//
// A variant is declared where it is used, as EB_ROWDOTS_S4_DECL(eb_rowdots_s4__<isa>).
#ifndef EDGEBIT_ROWDOTS_S4_H
#define EDGEBIT_ROWDOTS_S4_H

#include "edgebit/eb_lanes.h"

#define EB_S4_GROUP           32
#define EB_S4_LARGEST         32512
#define EB_S4_ROW_BYTES(cols) ((cols) / 2 + ((cols) / EB_S4_GROUP + 15) / 16 * 16)

typedef struct {
    const int8_t *high, *low; // [cols]
    const int32_t *less;      // [cols / 4]
} eb_s4_vector;

#define EB_ROWDOTS_S4_DECL(name)                                                                             \
    void name(const uint8_t *EB_RESTRICT w, const eb_s4_vector *EB_RESTRICT x, float *EB_RESTRICT y,         \
              int32_t rows, int32_t cols)

#endif
