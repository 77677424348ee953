// SPDX-License-Identifier: Apache-2.0
// Depthwise products of binary32 weights and activations, one output pixel:
//   acc[c * multiplier + j] = sum over t of w[t][c * multiplier + j] * tap[t][c],
//   t < taps, c < channels, j < multiplier.
// Binary32: one plain sum a channel, starting at +0, over taps in order, each product rounded before it is
// added. Denormals kept, no fused multiply-add.
//
//   w           (taps, channels * multiplier) binary32 in the layout the file names (f32: row-major);
//               starts at a multiple of 16 bytes
//   tap         [taps] pointers to [channels] input values each, in order of kernel row, then column; a tap
//               that falls on padding points at a row of padding values
//   acc         [channels * multiplier], 16-byte aligned
//   taps, channels, multiplier >= 1
//
// acc overlaps no other buffer. A variant is declared where it is used, as
// EB_DWCONV_F32_DECL(eb_dwconv_f32__<isa>).
#ifndef EDGEBIT_DWCONV_F32_H
#define EDGEBIT_DWCONV_F32_H

#include "edgebit/eb_types.h"

#define EB_DWCONV_F32_DECL(name)                                                                             \
    void name(const float *EB_RESTRICT w, const float *const *EB_RESTRICT tap, float *EB_RESTRICT acc,       \
              int32_t taps, int32_t channels, int32_t multiplier)

#endif
