// SPDX-License-Identifier: Apache-2.0
// y[i] = x[i] * clamp(x[i] * float(1/6) + 0.5, 0, 1), or +0 where the clamp gives 0, binary32.
//
//     x, y  [n]; n >= 1; y may be x
// A variant is declared where it is used, as EB_HARD_SWISH_F32_DECL(eb_hard_swish_f32__<isa>).
#ifndef EDGEBIT_HARD_SWISH_F32_H
#define EDGEBIT_HARD_SWISH_F32_H

#include "edgebit/eb_math.h"

typedef struct {
    int32_t n;
} eb_hard_swish_f32_params;

#define EB_HARD_SWISH_F32_DECL(name) void name(const eb_hard_swish_f32_params *p, const float *x, float *y)

#endif
