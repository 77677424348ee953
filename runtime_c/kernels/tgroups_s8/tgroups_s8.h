// SPDX-License-Identifier: Apache-2.0
// Ternary matrix with a scale for each group of inputs times an int8 vector:
//   acc[r] = sum over groups g, in order and from the first, of (float(s[g][r]) * scales[g][r]) * d[g]
//   s[g][r] = sum over k of trit[r][k] * x[k],  g * group <= k < (g + 1) * group, k < cols
//
// The integer sums are exact; every other operation is rounded to binary32, none is fused. The first group's
// term is the sum so far, so that one group gives (float(s) * scale) * d.
//
//   w        (rows, cols) trits, packed by the layout the file names; starts at a multiple of 16 bytes
//   scales   [groups][row_step] binary32, groups = cols / group rounded up; row_step is rows rounded up to
//            the layout's row multiple; entries past rows are finite
//   x        [cols] int8, any values; starts at a multiple of 16 bytes; readable up to cols rounded up to 16,
//            where bytes past cols hold anything and must not change a result
//   d        [units] binary32: what a unit of x counts; units is 0 or 1 (one for all groups) or groups
//   acc      [row_step] binary32, 4-byte aligned; entries past rows are scratch
//   rows, cols >= 1; group a multiple of 16 up to 65536 (the last one may be shorter)
//   scratch  16-byte aligned: 4 bytes a group, rounded up to 16, and then as much as Layout.scratch(stem,
//            rows, cols) says
//
// No buffers overlap. A variant is declared where it is used, as EB_TGROUPS_S8_DECL(eb_tgroups_s8__<isa>).
#ifndef EDGEBIT_TGROUPS_S8_H
#define EDGEBIT_TGROUPS_S8_H

#include "edgebit/eb_types.h"

#define EB_TGROUPS_S8_DECL(name)                                                                             \
    void name(const uint8_t *EB_RESTRICT w, const float *EB_RESTRICT scales, const int8_t *EB_RESTRICT x,    \
              const float *EB_RESTRICT d, float *EB_RESTRICT acc, int32_t rows, int32_t cols, int32_t group, \
              int32_t units, void *EB_RESTRICT scratch)

#endif
