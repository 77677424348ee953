// SPDX-License-Identifier: Apache-2.0
// Ternary matrix with a scale for each group of inputs times a binary32 vector:
//   acc[r] = sum over groups g, in order and from the first, of s[g][r] * scales[g][r]
//   s[g][r] = sum over k of trit[r][k] * x[k],  g * group <= k < (g + 1) * group, k < cols
//
// A group's sum has the one meaning of tmatvec_f32: eight lanes from +0, element k to lane k % 8, and the
// fixed tree. Binary32, denormals kept; no product with a scale is fused.
//
//   w        (rows, cols) trits, packed by the layout the file names; starts at a multiple of 16 bytes
//   scales   [groups][row_step] binary32, groups = cols / group rounded up; row_step is rows rounded up to
//            the layout's row multiple; entries past rows are finite
//   x        [cols] finite; starts at a multiple of 16 bytes; readable up to cols rounded up to 8 elements,
//            where elements past cols hold anything (NaN too) and must not change a result
//   acc      [row_step] binary32, 4-byte aligned; entries past rows are scratch
//   rows, cols >= 1; group a multiple of 16 up to 65536 (the last one may be shorter)
//   scratch  16-byte aligned: 4 bytes a group, rounded up to 16, and then as much as Layout.scratch(stem,
//            rows, cols) says
//
// No buffers overlap. A variant is declared where it is used, as EB_TGROUPS_F32_DECL(eb_tgroups_f32__<isa>).
#ifndef EDGEBIT_TGROUPS_F32_H
#define EDGEBIT_TGROUPS_F32_H

#include "edgebit/eb_types.h"

#define EB_TGROUPS_F32_DECL(name)                                                                            \
    void name(const uint8_t *EB_RESTRICT w, const float *EB_RESTRICT scales, const float *EB_RESTRICT x,     \
              float *EB_RESTRICT acc, int32_t rows, int32_t cols, int32_t group, void *EB_RESTRICT scratch)

#endif
