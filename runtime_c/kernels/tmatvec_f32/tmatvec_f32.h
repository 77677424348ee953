// SPDX-License-Identifier: Apache-2.0
// Ternary matrix times binary32 vector:  acc[r] = sum over k of trit[r][k] * x[k],  r < rows, k < cols.
//
// The sum has one meaning on every machine: eight lanes, each starting at +0; element k goes to lane k % 8
// in order of k, as +x[k] or -x[k] (zero trits are skipped; adding a zero instead gives the same bits); then
//   l[j] += l[j + 4] (j < 4),  l[j] += l[j + 2] (j < 2),  acc[r] = l[0] + l[1].
// Binary32, denormals kept, no fused multiply-add.
//
//   w        (rows, cols) trits, packed by the layout the file names; starts at a multiple of 16 bytes
//   x        [cols] finite; starts at a multiple of 16 bytes; readable up to cols rounded up to 8 elements,
//            where elements past cols hold anything (NaN too) and must not change a result
//   acc      [rows rounded up to the layout's row multiple], 4-byte aligned; entries past rows are scratch
//   rows, cols >= 1
//   scratch  16-byte aligned, as large as Layout.scratch(stem, rows, cols) says; may be null when that is 0
//
// No buffers overlap. A variant is declared where it is used, as EB_TMATVEC_F32_DECL(eb_tmatvec_f32__<isa>).
#ifndef EDGEBIT_TMATVEC_F32_H
#define EDGEBIT_TMATVEC_F32_H

#include "edgebit/eb_types.h"

#define EB_TMATVEC_F32_DECL(name)                                                                            \
    void name(const uint8_t *EB_RESTRICT w, const float *EB_RESTRICT x, float *EB_RESTRICT acc,              \
              int32_t rows, int32_t cols, void *EB_RESTRICT scratch)

#endif
