// SPDX-License-Identifier: Apache-2.0
// y[i] = x[i] * sigmoid(x[i]), or +0 where the sigmoid is 0, binary32.
//
//     x, y  [n]; n >= 1; y may be x
// A variant is declared where it is used, as EB_SILU_F32_DECL(eb_silu_f32__<isa>).
#ifndef EDGEBIT_SILU_F32_H
#define EDGEBIT_SILU_F32_H

#include "edgebit/eb_math.h"

typedef struct {
    int32_t n;
} eb_silu_f32_params;

#define EB_SILU_F32_DECL(name) void name(const eb_silu_f32_params *p, const float *x, float *y)

#endif
