// SPDX-License-Identifier: Apache-2.0
// Per row: a = max(max |x[i]|, eps); s = (1 / a) * 127, or 127 / a when div is 1; y[i] = clamp(rne(x[i] * s),
// qmin, qmax); d = 1 / s. Binary32, halves to even.
//
//     x, y  (rows, cols), both >= 1; d [rows]; y may start where x starts, d is apart from both
// A variant is declared where it is used, as EB_DYNAMIC_QUANTIZE_F32_DECL(eb_dynamic_quantize_f32__<isa>).
#ifndef EDGEBIT_DYNAMIC_QUANTIZE_F32_H
#define EDGEBIT_DYNAMIC_QUANTIZE_F32_H

#include "edgebit/eb_math.h"

typedef struct {
    int32_t rows, cols;
    int32_t div;
    float eps; // > 0, 127 / eps is finite
    int32_t qmin, qmax;
} eb_dynamic_quantize_f32_params;

#define EB_DYNAMIC_QUANTIZE_F32_DECL(name)                                                                   \
    void name(const eb_dynamic_quantize_f32_params *p, const float *x, int8_t *y, float *d)

#endif
