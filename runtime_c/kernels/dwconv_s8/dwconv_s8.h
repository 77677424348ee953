// SPDX-License-Identifier: Apache-2.0
// Depthwise products of int8 weights and int8 activations, one output pixel:
//   acc[c * multiplier + j] = sum over t of w[t][c * multiplier + j] * tap[t][c],
//   t < taps, c < channels, j < multiplier.
// int32 sums; the exporter proves |acc| <= 128 * sum |w| of the channel < 2^31.
//
//   w           (taps, channels * multiplier) int8 in the layout the file names (s8: row-major);
//               starts at a multiple of 16 bytes
//   tap         [taps] pointers to [channels] input values each, in order of kernel row, then column; a tap
//               that falls on padding points at a row of padding values
//   acc         [channels * multiplier], 16-byte aligned
//   taps, channels, multiplier >= 1
//
// acc overlaps no other buffer. A variant is declared where it is used, as
// EB_DWCONV_S8_DECL(eb_dwconv_s8__<isa>).
#ifndef EDGEBIT_DWCONV_S8_H
#define EDGEBIT_DWCONV_S8_H

#include "edgebit/eb_types.h"

#define EB_DWCONV_S8_DECL(name)                                                                              \
    void name(const int8_t *EB_RESTRICT w, const int8_t *const *EB_RESTRICT tap, int32_t *EB_RESTRICT acc,   \
              int32_t taps, int32_t channels, int32_t multiplier)

#endif
