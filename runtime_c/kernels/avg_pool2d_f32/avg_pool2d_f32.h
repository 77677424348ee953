// SPDX-License-Identifier: Apache-2.0
// y = sum / float(count), binary32: the valid taps of a channel under a window added in order of (kh, kw)
// from +0; count is the number of valid taps, or fixed_count when that is not 0.
//
//     x  (batch, in_h, in_w, channels), y  (batch, out_h, out_w, channels), in the order of eb_pool.h
//     y is written once, front to back, channels innermost, each channel's window read just before it is
//     written: y may overlap x as far as that order allows
// A variant is declared where it is used, as EB_AVG_POOL2D_F32_DECL(eb_avg_pool2d_f32__<isa>).
#ifndef EDGEBIT_AVG_POOL2D_F32_H
#define EDGEBIT_AVG_POOL2D_F32_H

#include "edgebit/eb_math.h"
#include "edgebit/eb_pool.h"

typedef struct {
    eb_pool2d_shape window; // dilations are 1
    int32_t fixed_count;
} eb_avg_pool2d_f32_params;

#define EB_AVG_POOL2D_F32_DECL(name) void name(const eb_avg_pool2d_f32_params *p, const float *x, float *y)

#endif
