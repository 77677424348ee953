// SPDX-License-Identifier: Apache-2.0
// y[i] = clamp(x[i], lo, hi): `x < lo ? lo : x`, then `> hi ? hi`, binary32.
//
//     x, y  [n]; n >= 1; y may be x
// A variant is declared where it is used, as EB_CLIP_F32_DECL(eb_clip_f32__<isa>).
#ifndef EDGEBIT_CLIP_F32_H
#define EDGEBIT_CLIP_F32_H

#include "edgebit/eb_math.h"

typedef struct {
    int32_t n;
    float lo, hi; // lo <= hi, may be infinite
} eb_clip_f32_params;

#define EB_CLIP_F32_DECL(name) void name(const eb_clip_f32_params *p, const float *x, float *y)

#endif
