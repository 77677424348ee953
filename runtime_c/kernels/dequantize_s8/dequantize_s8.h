// SPDX-License-Identifier: Apache-2.0
// y[i] = float(x[i] - zero_point) * scale, binary32.
//
//     x, y  [n]; n >= 1; y may start 3 * (n - 1) bytes before x, no later
// A variant is declared where it is used, as EB_DEQUANTIZE_S8_DECL(eb_dequantize_s8__<isa>).
#ifndef EDGEBIT_DEQUANTIZE_S8_H
#define EDGEBIT_DEQUANTIZE_S8_H

#include "edgebit/eb_types.h"

typedef struct {
    int32_t n;
    float scale; // > 0
    int32_t zero_point;
} eb_dequantize_s8_params;

#define EB_DEQUANTIZE_S8_DECL(name) void name(const eb_dequantize_s8_params *p, const int8_t *x, float *y)

#endif
