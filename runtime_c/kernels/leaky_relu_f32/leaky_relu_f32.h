// SPDX-License-Identifier: Apache-2.0
// y[i] = `x[i] < 0 ? x[i] * alpha : x[i]`, binary32.
//
//     x, y  [n]; n >= 1; y may be x
// A variant is declared where it is used, as EB_LEAKY_RELU_F32_DECL(eb_leaky_relu_f32__<isa>).
#ifndef EDGEBIT_LEAKY_RELU_F32_H
#define EDGEBIT_LEAKY_RELU_F32_H

#include "edgebit/eb_math.h"

typedef struct {
    int32_t n;
    float alpha;
} eb_leaky_relu_f32_params;

#define EB_LEAKY_RELU_F32_DECL(name) void name(const eb_leaky_relu_f32_params *p, const float *x, float *y)

#endif
