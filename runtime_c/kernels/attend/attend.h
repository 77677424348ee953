// SPDX-License-Identifier: Apache-2.0
// Attention of several queries over one block of positions, the part of a softmax that needs no other block:
//
//   s[t] = dot(q, k[t]) (* ku[t]) * scale;   m = max s[t];   p[t] = exp(s[t] - m)
//   l = sum p[t];   o[i] = sum (p[t] (* vu[t])) * v[t][i]                         t < count, i < size
//
//   q       [queries] rows of `size` binary32 numbers, one after the other
//   k, v    [count] rows of `size` numbers: binary32, binary16 bits or int8
//   ku, vu  [count] what int8 keys and values count; not looked at by the other families
//   ml      [queries] pairs m, l
//   o       [queries] rows of `size`
//   scores  [queries * EB_ATTEND_POSITIONS] scratch
//   queries >= 1; 1 <= count <= EB_ATTEND_POSITIONS; size >= 8, a multiple of 8
//
// No buffers overlap, all start at multiples of an element. Dots and l run in 8 lanes (element i to lane i
// mod 8, from +0, then the tree of eb_sum8); o adds in order of t from +0. Nothing is NaN or infinite: what
// comes before refuses that. Three families, attend_f32, _f16 and _s8; a variant is declared where it is
// used, as EB_ATTEND_DECL(eb_attend_f16__<isa>).
#ifndef EDGEBIT_ATTEND_H
#define EDGEBIT_ATTEND_H

#include "edgebit/eb_lanes.h"

#define EB_ATTEND_POSITIONS 128

typedef struct {
    int32_t queries;
    int32_t count;
    int32_t size;
    float scale;
} eb_attend_params;

#define EB_ATTEND_DECL(name)                                                                                 \
    void name(const eb_attend_params *p, const float *EB_RESTRICT q, const void *EB_RESTRICT k,              \
              const void *EB_RESTRICT v, const float *EB_RESTRICT ku, const float *EB_RESTRICT vu,           \
              float *EB_RESTRICT ml, float *EB_RESTRICT o, float *EB_RESTRICT scores)

#endif
