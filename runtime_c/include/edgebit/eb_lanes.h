// SPDX-License-Identifier: Apache-2.0
// Vectors of fixed width for float code whose order of additions is fixed: every operation is done lane by
// lane and rounded, so a compiler may use any vector unit, or none, and the bytes are the same. Sums over
// elements put element i into lane i mod 8; edgebit/decoder/ops.py states the same in NumPy.
//
// Vectors are passed by pointer: passing them by value has no fixed calling convention.
#ifndef EDGEBIT_EB_LANES_H
#define EDGEBIT_EB_LANES_H

#include "edgebit/eb_math.h"

// Loads and stores through pointers to these need the alignment of one element only.
typedef float eb_f32x4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef float eb_f32x8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float eb_f32x16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t eb_s32x8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint32_t eb_u32x8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint32_t eb_u32x16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t eb_u16x8 __attribute__((vector_size(16), aligned(2), may_alias));
typedef uint16_t eb_u16x16 __attribute__((vector_size(32), aligned(2), may_alias));
typedef int8_t eb_s8x8 __attribute__((vector_size(8), aligned(1), may_alias));
typedef int8_t eb_s8x16 __attribute__((vector_size(16), aligned(1), may_alias));

#define EB_CONVERT(v, type) __builtin_convertvector((v), type)

// The fixed tree over eight lanes.
EB_INLINE float eb_sum8(const eb_f32x8 *v) {
    const eb_f32x8 a = *v;
    const float b0 = a[0] + a[4];
    const float b1 = a[1] + a[5];
    const float b2 = a[2] + a[6];
    const float b3 = a[3] + a[7];
    return (b0 + b2) + (b1 + b3);
}

// The fixed tree over sixteen lanes.
EB_INLINE float eb_sum16(const eb_f32x16 *v) {
    eb_f32x8 half;
    for (int i = 0; i < 8; i++) {
        half[i] = (*v)[i] + (*v)[i + 8];
    }
    return eb_sum8(&half);
}

// Where the mask's lanes are all ones a, where they are 0 b.
EB_INLINE void eb_select8(eb_f32x8 *y, const eb_s32x8 *mask, const eb_f32x8 *a, const eb_f32x8 *b) {
    const eb_s32x8 chosen = (*mask & (eb_s32x8)*a) | (~*mask & (eb_s32x8)*b);
    *y = (eb_f32x8)chosen;
}

// e^x of eight numbers that are not NaN: eb_exp_f32 without branches.
EB_INLINE void eb_exp8(eb_f32x8 *x) {
    const eb_f32x8 v0 = *x;
    const eb_f32x8 zero = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    const eb_f32x8 infinite = zero + EB_INFINITY;
    const eb_s32x8 above = v0 > zero + 0x1.62e42ep+6f;
    const eb_s32x8 below = v0 < zero - 104.0f;
    const eb_s32x8 outside = above | below;
    eb_f32x8 v;
    eb_select8(&v, &outside, &zero, &v0);
    const eb_f32x8 n = (v * 0x1.715476p+0f + 12582912.0f) - 12582912.0f;
    const eb_f32x8 r = (v - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
    eb_f32x8 y = zero + 0x1.6a23dp-10f;
    y = y * r + 0x1.123a2p-7f;
    y = y * r + 0x1.5558f2p-5f;
    y = y * r + 0x1.555492p-3f;
    y = y * r + 0x1.fffffcp-2f;
    y = (r * r * y + r) + 1.0f;
    const eb_s32x8 k = EB_CONVERT(n, eb_s32x8);
    const eb_s32x8 half = k >> 1;
    y = y * (eb_f32x8)((half + 127) << 23);
    y = y * (eb_f32x8)((k - half + 127) << 23);
    eb_select8(&y, &above, &infinite, &y);
    eb_select8(x, &below, &zero, &y);
}

// Binary16 bits as binary32, exactly.
EB_INLINE float eb_f32_of_f16(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t magnitude = (uint32_t)(h & 0x7fffu);
    if (magnitude >= 0x7c00u) {
        return eb_f32_of_bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    }
    // The bits taken for a binary32 number are 2^112 times too small, subnormals included.
    return eb_f32_of_bits(eb_bits_of_f32(eb_f32_of_bits(magnitude << 13) * 0x1p112f) | sign);
}

// Binary16 bits of x, halves to even; beyond 65504 the largest number. x is not NaN.
EB_INLINE uint16_t eb_f16_of_f32(float x) {
    const uint32_t bits = eb_bits_of_f32(x);
    const uint32_t sign = bits >> 16 & 0x8000u;
    const uint32_t m = bits & 0x7fffffffu;
    if (m >= 0x477fe000u) {
        return (uint16_t)(sign | 0x7bffu);
    }
    if (m < 0x38800000u) { // subnormal as binary16: steps of 2^-24, which adding 0.5 rounds to
        const float rounded = eb_f32_of_bits(m) + 0.5f;
        return (uint16_t)(sign | (eb_bits_of_f32(rounded) - 0x3f000000u));
    }
    const uint32_t even = m >> 13 & 1u;
    return (uint16_t)(sign | ((m - 0x38000000u + 0xfffu + even) >> 13));
}

#endif
