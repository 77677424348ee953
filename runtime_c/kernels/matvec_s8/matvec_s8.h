// SPDX-License-Identifier: Apache-2.0
// int8 matrix times int8 vector:  acc[r] = sum over k of w[r][k] * x[k],  r < rows, k < cols.
//
//   w        (rows, cols) int8 in the layout the file names (s8: row-major, no padding); starts at a
//            multiple of 16 bytes
//   x        [cols] int8; starts at a multiple of 16; readable up to cols rounded up to 16, where bytes past
//            cols hold anything and must not change a result
//   acc      [rows rounded up to the layout's row multiple] int32, 4-byte aligned; entries past rows are
//            scratch. The exporter proves |acc| <= 128 * sum |w| of the row < 2^31.
//   rows, cols >= 1
//   scratch  16-byte aligned, as large as Layout.scratch(stem, rows, cols) says; may be null when that is 0
//
// No buffers overlap. A variant is declared where it is used, as EB_MATVEC_S8_DECL(eb_matvec_s8__<isa>).
#ifndef EDGEBIT_MATVEC_S8_H
#define EDGEBIT_MATVEC_S8_H

#include "edgebit/eb_types.h"

#define EB_MATVEC_S8_DECL(name)                                                                              \
    void name(const int8_t *EB_RESTRICT w, const int8_t *EB_RESTRICT x, int32_t *EB_RESTRICT acc,            \
              int32_t rows, int32_t cols, void *EB_RESTRICT scratch)

#endif
