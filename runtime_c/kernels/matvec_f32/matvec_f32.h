// SPDX-License-Identifier: Apache-2.0
// Binary32 matrix times binary32 vector:  acc[r] = sum over k of w[r][k] * x[k],  r < rows, k < cols.
//
// The sum has one meaning on every machine: eight lanes, each starting at +0; the product w[r][k] * x[k],
// rounded to binary32, is added to lane k % 8 in order of k; then
//   l[j] += l[j + 4] (j < 4),  l[j] += l[j + 2] (j < 2),  acc[r] = l[0] + l[1].
// Denormals kept, no fused multiply-add.
//
//   w        (rows, cols), in the layout the file names (f32: row-major); starts at a multiple of 16 bytes
//   x        [cols] finite; starts at a multiple of 16 bytes; readable up to cols rounded up to 8 elements,
//            where elements past cols hold anything (NaN too) and must not change a result
//   acc      [rows rounded up to the layout's row multiple], 4-byte aligned; entries past rows are scratch
//   rows, cols >= 1
//   scratch  16-byte aligned, as large as Layout.scratch(stem, rows, cols) says; may be null when that is 0
//
// No buffers overlap. A variant is declared where it is used, as EB_MATVEC_F32_DECL(eb_matvec_f32__<isa>).
#ifndef EDGEBIT_MATVEC_F32_H
#define EDGEBIT_MATVEC_F32_H

#include "edgebit/eb_types.h"

#define EB_MATVEC_F32_DECL(name)                                                                             \
    void name(const float *EB_RESTRICT w, const float *EB_RESTRICT x, float *EB_RESTRICT acc, int32_t rows,  \
              int32_t cols, void *EB_RESTRICT scratch)

#endif
