// SPDX-License-Identifier: Apache-2.0
// y[r] = the index of the largest element of row r, the first one of equals.
//
//     x  (rows, cols), both >= 1; y [rows], each written after its row was read, rows in order: y may overlap
//     x as far as that order allows
// A variant is declared where it is used, as EB_ARGMAX_F32_DECL(eb_argmax_f32__<isa>).
#ifndef EDGEBIT_ARGMAX_F32_H
#define EDGEBIT_ARGMAX_F32_H

#include "edgebit/eb_types.h"

typedef struct {
    int32_t rows, cols;
} eb_argmax_f32_params;

#define EB_ARGMAX_F32_DECL(name) void name(const eb_argmax_f32_params *p, const float *x, int32_t *y)

#endif
