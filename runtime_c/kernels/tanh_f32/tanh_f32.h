// SPDX-License-Identifier: Apache-2.0
// y[i] = tanh(x[i]), binary32.
//
//     x, y  [n]; n >= 1; y may be x
// A variant is declared where it is used, as EB_TANH_F32_DECL(eb_tanh_f32__<isa>).
#ifndef EDGEBIT_TANH_F32_H
#define EDGEBIT_TANH_F32_H

#include "edgebit/eb_math.h"

typedef struct {
    int32_t n;
} eb_tanh_f32_params;

#define EB_TANH_F32_DECL(name) void name(const eb_tanh_f32_params *p, const float *x, float *y)

#endif
