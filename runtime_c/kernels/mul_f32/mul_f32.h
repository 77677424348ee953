// SPDX-License-Identifier: Apache-2.0
// y[o][r][c] = clamp(a[o][r][c] * b[o][c], lo, hi), binary32, the clamp being `y < lo ? lo : y`, `y > hi ? hi
// : y`.
//
//     outer, rows, cols >= 1, outer * rows * cols < 2^31: one shape for both is outer 1, rows 1; a value per
//     channel is outer 1; a value per image and channel is outer = images
//     a, y  [outer * rows * cols]; b [outer * cols]; y may be a, and may be b when rows is 1
// A variant is declared where it is used, as EB_MUL_F32_DECL(eb_mul_f32__<isa>).
#ifndef EDGEBIT_MUL_F32_H
#define EDGEBIT_MUL_F32_H

#include "edgebit/eb_math.h"

typedef struct {
    int32_t outer, rows, cols;
    float lo, hi; // lo <= hi, may be infinite
} eb_mul_f32_params;

#define EB_MUL_F32_DECL(name) void name(const eb_mul_f32_params *p, const float *a, const float *b, float *y)

#endif
