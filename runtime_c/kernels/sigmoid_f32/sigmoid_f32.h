// SPDX-License-Identifier: Apache-2.0
// y[i] = 1 / (1 + e^-x[i]), binary32.
//
//     x, y  [n]; n >= 1; y may be x
// A variant is declared where it is used, as EB_SIGMOID_F32_DECL(eb_sigmoid_f32__<isa>).
#ifndef EDGEBIT_SIGMOID_F32_H
#define EDGEBIT_SIGMOID_F32_H

#include "edgebit/eb_math.h"

typedef struct {
    int32_t n;
} eb_sigmoid_f32_params;

#define EB_SIGMOID_F32_DECL(name) void name(const eb_sigmoid_f32_params *p, const float *x, float *y)

#endif
