// SPDX-License-Identifier: Apache-2.0
// y[i] = table[x[i] + 128].
//
//     x, y   [n]; n >= 1; y may be x
//     table  [256]
// A variant is declared where it is used, as EB_LUT_S8_DECL(eb_lut_s8__<isa>).
#ifndef EDGEBIT_LUT_S8_H
#define EDGEBIT_LUT_S8_H

#include "edgebit/eb_types.h"

typedef struct {
    int32_t n;
} eb_lut_s8_params;

#define EB_LUT_S8_DECL(name)                                                                                 \
    void name(const eb_lut_s8_params *p, const int8_t *x, const int8_t *table, int8_t *y)

#endif
