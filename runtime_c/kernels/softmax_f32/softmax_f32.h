// SPDX-License-Identifier: Apache-2.0
// Per row: m = the first element, then `v > m ? v : m`; e[i] = exp(`x[i] == m ? 0 : x[i] - m`); y[i] = e[i] /
// sum, the sum from +0 in order. Binary32.
//
//     x, y  (rows, cols), both >= 1; y may be x
// A variant is declared where it is used, as EB_SOFTMAX_F32_DECL(eb_softmax_f32__<isa>).
#ifndef EDGEBIT_SOFTMAX_F32_H
#define EDGEBIT_SOFTMAX_F32_H

#include "edgebit/eb_math.h"

typedef struct {
    int32_t rows, cols;
} eb_softmax_f32_params;

#define EB_SOFTMAX_F32_DECL(name) void name(const eb_softmax_f32_params *p, const float *x, float *y)

#endif
