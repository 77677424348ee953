// SPDX-License-Identifier: Apache-2.0
// y[o][r][c] = clamp((ma * a[o][r][c] + mb * b[o][c] + add) >> shift, qmin, qmax), int32, arithmetic shift.
//
//     outer, rows, cols >= 1, outer * rows * cols < 2^31: one shape for both is outer 1, rows 1; a value per
//     channel is outer 1; a value per image and channel is outer = images
//     a, y  [outer * rows * cols]; b [outer * cols]; y may be a, and may be b when rows is 1
//     |ma|, |mb| <= 2^20 and 128 * (|ma| + |mb|) + |add| < 2^31: the exporter proves it
// A variant is declared where it is used, as EB_ADD_S8_DECL(eb_add_s8__<isa>).
#ifndef EDGEBIT_ADD_S8_H
#define EDGEBIT_ADD_S8_H

#include "edgebit/eb_types.h"

typedef struct {
    int32_t outer, rows, cols;
    int32_t ma, mb, add;
    int32_t shift; // 0..30
    int32_t qmin, qmax;
} eb_add_s8_params;

#define EB_ADD_S8_DECL(name) void name(const eb_add_s8_params *p, const int8_t *a, const int8_t *b, int8_t *y)

#endif
