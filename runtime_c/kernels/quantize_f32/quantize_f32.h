// SPDX-License-Identifier: Apache-2.0
// y[i] = clamp(rne(x[i] / scale) + zero_point, qmin, qmax): division in binary32, halves to even, NaN to 0.
//
//     x, y  [n]; n >= 1; y may start where x starts
//     zero_point, qmin <= qmax in -128..127
// A variant is declared where it is used, as EB_QUANTIZE_F32_DECL(eb_quantize_f32__<isa>).
#ifndef EDGEBIT_QUANTIZE_F32_H
#define EDGEBIT_QUANTIZE_F32_H

#include "edgebit/eb_math.h"

typedef struct {
    int32_t n;
    float scale; // > 0
    int32_t zero_point;
    int32_t qmin, qmax;
} eb_quantize_f32_params;

#define EB_QUANTIZE_F32_DECL(name) void name(const eb_quantize_f32_params *p, const float *x, int8_t *y)

#endif
