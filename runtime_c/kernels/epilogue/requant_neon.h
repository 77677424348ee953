// SPDX-License-Identifier: Apache-2.0
// eb_requant of a row of sums for Advanced SIMD (AArch64, and AArch32 with NEON), eight elements at a time:
// about 3 instructions an element where the compiler's scalar code has 11.
//
// VSHL by a negative count is the arithmetic shift to the right that eb_requant means; VQMOVN saturates to 16
// and then 8 bits, which changes nothing that the clamp to qmin..qmax would not (-128 <= qmin <= qmax <=
// 127).
#ifndef EDGEBIT_REQUANT_NEON_H
#define EDGEBIT_REQUANT_NEON_H

#include <arm_neon.h>

#include "edgebit/eb_types.h"

// Four elements, not yet clamped.
EB_INLINE int32x4_t eb_requant_4__neon(const int32_t *acc, const eb_requant_entry *e, int32x4_t half,
                                       int32x4_t pre) {
    const int32x4x2_t entry = vld2q_s32(&e->add); // sums to add; factors below shifts
    const int32x4_t factor = vshrq_n_s32(vshlq_n_s32(entry.val[1], 16), 16);
    const int32x4_t shift = vnegq_s32(vshrq_n_s32(entry.val[1], 16));
    const int32x4_t t = vshlq_s32(vaddq_s32(vld1q_s32(acc), half), pre);
    return vshlq_s32(vmlaq_s32(entry.val[0], t, factor), shift);
}

// y[i] = eb_requant(acc[i], p, &e[i]), i < n.
EB_INLINE void eb_requant_row__neon(const int32_t *acc, const eb_requant_entry *e, int8_t *y,
                                    const eb_requant_params *p, int32_t n) {
    const eb_requant_params common = *p; // y may not alias a copy
    const int32x4_t half = vdupq_n_s32(common.half);
    const int32x4_t pre = vdupq_n_s32(-common.pre_shift);
    const int8x8_t low = vdup_n_s8((int8_t)common.qmin);
    const int8x8_t high = vdup_n_s8((int8_t)common.qmax);
    int32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const int16x4_t first = vqmovn_s32(eb_requant_4__neon(acc + i, e + i, half, pre));
        const int16x4_t second = vqmovn_s32(eb_requant_4__neon(acc + i + 4, e + i + 4, half, pre));
        const int8x8_t q = vqmovn_s16(vcombine_s16(first, second));
        vst1_s8(y + i, vmin_s8(vmax_s8(q, low), high));
    }
    for (; i < n; i++) {
        y[i] = eb_requant(acc[i], &common, &e[i]);
    }
}

#endif
