// SPDX-License-Identifier: Apache-2.0
// Sixteen columns of eight rows of layout "t2r8" on AArch64: what tmatvec_f32__neon and tgroups_f32__neon
// share.
//
// A word holds 16 columns of a row, two bits each. Shifted to the top and masked, a field is the binary32
// number 2 t itself: 00 is 0.0, 01 is 2.0, 11 is -2.0. So a shift, a mask and a fused multiplication with x /
// 2 by element add one column to four rows: 3 instructions for 4 multiply-accumulates. The products are
// exact, so that fusing rounds nothing that adding +-x would not; a zero trit adds a zero, which changes no
// lane, since lanes are never -0.
//
// Halving is exact but for subnormals and numbers near them. When there is one such input (`whole`), fields
// become 1.0, 0.0 or -1.0 by a conversion with 30 fraction bits and multiply x itself: one instruction more.
#ifndef EDGEBIT_T2R8_NEON_H
#define EDGEBIT_T2R8_NEON_H

#include <arm_neon.h>

#include "edgebit/eb_types.h"

enum { T2R8_COLS = 16, T2R8_ROWS = 8 };

// Eight lanes of four rows.
typedef struct {
    float32x4_t l0, l1, l2, l3, l4, l5, l6, l7;
} t2r8_lanes;

// Column `c` of a step of 16, its input element `c` mod 4 of `in`, into lane c mod 8.
#define T2R8_ADD(a, b, lane, c, in)                                                                          \
    do {                                                                                                     \
        const uint32x4_t s = vandq_u32(vshlq_n_u32(va, 30 - 2 * (c)), top);                                  \
        const uint32x4_t t = vandq_u32(vshlq_n_u32(vb, 30 - 2 * (c)), top);                                  \
        (a)->lane = vfmaq_laneq_f32((a)->lane, t2r8_number(s, whole), in, (c) % 4);                          \
        (b)->lane = vfmaq_laneq_f32((b)->lane, t2r8_number(t, whole), in, (c) % 4);                          \
    } while (0)

// 2 t as it is, or t.
EB_INLINE float32x4_t t2r8_number(uint32x4_t field, int whole) {
    return whole ? vcvtq_n_f32_s32(vreinterpretq_s32_u32(field), 30) : vreinterpretq_f32_u32(field);
}

EB_INLINE float32x4_t t2r8_input(const float *x, int whole) {
    const float32x4_t in = vld1q_f32(x);
    return whole ? in : vmulq_n_f32(in, 0.5f);
}

// 16 columns of rows 0..3 and 4..7.
EB_INLINE void t2r8_step(t2r8_lanes *a, t2r8_lanes *b, const uint8_t *w, const float *x, int whole) {
    const uint32x4_t top = vdupq_n_u32(0xC0000000u);
    const uint32x4_t va = vreinterpretq_u32_u8(vld1q_u8(w));
    const uint32x4_t vb = vreinterpretq_u32_u8(vld1q_u8(w + 16));
    const float32x4_t x0 = t2r8_input(x, whole);
    const float32x4_t x1 = t2r8_input(x + 4, whole);
    T2R8_ADD(a, b, l0, 0, x0);
    T2R8_ADD(a, b, l1, 1, x0);
    T2R8_ADD(a, b, l2, 2, x0);
    T2R8_ADD(a, b, l3, 3, x0);
    T2R8_ADD(a, b, l4, 4, x1);
    T2R8_ADD(a, b, l5, 5, x1);
    T2R8_ADD(a, b, l6, 6, x1);
    T2R8_ADD(a, b, l7, 7, x1);
    const float32x4_t x2 = t2r8_input(x + 8, whole);
    const float32x4_t x3 = t2r8_input(x + 12, whole);
    T2R8_ADD(a, b, l0, 8, x2);
    T2R8_ADD(a, b, l1, 9, x2);
    T2R8_ADD(a, b, l2, 10, x2);
    T2R8_ADD(a, b, l3, 11, x2);
    T2R8_ADD(a, b, l4, 12, x3);
    T2R8_ADD(a, b, l5, 13, x3);
    T2R8_ADD(a, b, l6, 14, x3);
    T2R8_ADD(a, b, l7, 15, x3);
}

// The fixed tree over the lanes of four rows.
EB_INLINE float32x4_t t2r8_sums(const t2r8_lanes *a) {
    const float32x4_t l0 = vaddq_f32(a->l0, a->l4);
    const float32x4_t l1 = vaddq_f32(a->l1, a->l5);
    const float32x4_t l2 = vaddq_f32(a->l2, a->l6);
    const float32x4_t l3 = vaddq_f32(a->l3, a->l7);
    return vaddq_f32(vaddq_f32(l0, l2), vaddq_f32(l1, l3));
}

// Whether all n inputs can be halved without rounding.
EB_INLINE int32_t t2r8_halves(const float *x, int32_t n) {
    int32_t exact = 1;
    for (int32_t k = 0; k < n; k++) {
        const float half = x[k] * 0.5f;
        exact &= half + half == x[k];
    }
    return exact;
}

#endif
