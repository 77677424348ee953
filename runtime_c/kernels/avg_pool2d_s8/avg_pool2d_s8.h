// SPDX-License-Identifier: Apache-2.0
// y = clamp(((sum - zp_in * valid) * mul[count - first_count] + add) >> shift, qmin, qmax), int32, arithmetic
// shift: sum is over the valid taps under a window; count is their number, or fixed_count when that is not 0.
//
//     x  (batch, in_h, in_w, channels), y  (batch, out_h, out_w, channels), in the order of eb_pool.h
//     y is written once, front to back, channels innermost, each channel's window read just before it is
//     written: y may overlap x as far as that order allows
//
//     mul  one multiplier per count that occurs, from first_count on; the exporter proves that nothing
//     overflows
//
// A variant is declared where it is used, as EB_AVG_POOL2D_S8_DECL(eb_avg_pool2d_s8__<isa>).
#ifndef EDGEBIT_AVG_POOL2D_S8_H
#define EDGEBIT_AVG_POOL2D_S8_H

#include "edgebit/eb_pool.h"

typedef struct {
    eb_pool2d_shape window; // dilations are 1
    int32_t fixed_count, first_count;
    int32_t zp_in, add;
    int32_t shift; // 0..30
    int32_t qmin, qmax;
} eb_avg_pool2d_s8_params;

#define EB_AVG_POOL2D_S8_DECL(name)                                                                          \
    void name(const eb_avg_pool2d_s8_params *p, const int8_t *x, const int32_t *mul, int8_t *y)

#endif
