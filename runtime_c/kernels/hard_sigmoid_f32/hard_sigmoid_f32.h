// SPDX-License-Identifier: Apache-2.0
// y[i] = clamp(x[i] * alpha + beta, 0, 1), binary32. Product and sum are rounded separately.
//
//     x, y  [n]; n >= 1; y may be x
// A variant is declared where it is used, as EB_HARD_SIGMOID_F32_DECL(eb_hard_sigmoid_f32__<isa>).
#ifndef EDGEBIT_HARD_SIGMOID_F32_H
#define EDGEBIT_HARD_SIGMOID_F32_H

#include "edgebit/eb_math.h"

typedef struct {
    int32_t n;
    float alpha, beta;
} eb_hard_sigmoid_f32_params;

#define EB_HARD_SIGMOID_F32_DECL(name)                                                                       \
    void name(const eb_hard_sigmoid_f32_params *p, const float *x, float *y)

#endif
