// SPDX-License-Identifier: Apache-2.0
// Ternary matrix times up to four int8 vectors ("tokens"), which share every load of a weight:
//   acc[t * acc_step + r] = sum over k of trit[r][k] * x[t * x_step + k],  t < tokens, r < rows, k < cols.
//
//   w         (rows, cols) trits, packed by the layout the file names; starts at a multiple of 16 bytes
//   x         [tokens] rows of int8, any values, x_step bytes apart; x and x_step are multiples of 16; rows
//             are readable up to cols rounded up to 16, where bytes past cols hold anything and must not
//             change a result
//   acc       [tokens] rows of int32, acc_step elements apart, 4-byte aligned, each as long as rows rounded
//             up to the layout's row multiple; entries past rows are scratch. Bounds as for tmatvec_s8.
//   rows, cols >= 1; 1 <= tokens <= EB_TMATMAT_TOKENS
//   scratch   16-byte aligned, as large as Layout.scratch(stem, rows, cols) says; may be null when that is 0
//
// No buffers overlap. Layouts are those of tmatvec_s8: the same packed weights serve both.
#ifndef EDGEBIT_TMATMAT_S8_H
#define EDGEBIT_TMATMAT_S8_H

#include "edgebit/eb_types.h"

#define EB_TMATMAT_TOKENS 4

#define EB_TMATMAT_S8_DECL(name)                                                                             \
    void name(const uint8_t *EB_RESTRICT w, const int8_t *EB_RESTRICT x, int32_t *EB_RESTRICT acc,           \
              int32_t rows, int32_t cols, int32_t tokens, int32_t x_step, int32_t acc_step,                  \
              void *EB_RESTRICT scratch)

#endif
