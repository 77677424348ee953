// SPDX-License-Identifier: Apache-2.0
// y = the largest value of a channel under a window: the first valid tap, then `v > m ? v : m` over the valid
// taps in order of (kh, kw). Padding never wins.
//
//     x  (batch, in_h, in_w, channels), y  (batch, out_h, out_w, channels), in the order of eb_pool.h
//     y is written once, front to back, channels innermost, each channel's window read just before it is
//     written: y may overlap x as far as that order allows
// A variant is declared where it is used, as EB_MAX_POOL2D_S8_DECL(eb_max_pool2d_s8__<isa>).
#ifndef EDGEBIT_MAX_POOL2D_S8_H
#define EDGEBIT_MAX_POOL2D_S8_H

#include "edgebit/eb_pool.h"

typedef struct {
    eb_pool2d_shape window;
} eb_max_pool2d_s8_params;

#define EB_MAX_POOL2D_S8_DECL(name) void name(const eb_max_pool2d_s8_params *p, const int8_t *x, int8_t *y)

#endif
