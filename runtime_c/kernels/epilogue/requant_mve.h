// SPDX-License-Identifier: Apache-2.0
// Integer requantisation of a row of sums on cores with Helium, four channels at once: the steps of
// eb_requant (edgebit/eb_types.h), exact because none of them leaves int32.
#ifndef EDGEBIT_REQUANT_MVE_H
#define EDGEBIT_REQUANT_MVE_H

#include <arm_mve.h>

#include "edgebit/eb_types.h"

// y[i] = eb_requant(acc[i], p, &e[i]), i < n.
EB_INLINE void eb_requant_row__mve(const int32_t *acc, const eb_requant_entry *e, int8_t *y,
                                   const eb_requant_params *p, int32_t n) {
    const eb_requant_params common = *p; // y may not alias a copy
    const int32x4_t low = vdupq_n_s32(common.qmin);
    const int32x4_t high = vdupq_n_s32(common.qmax);
    for (; n >= 4; n -= 4, acc += 4, e += 4, y += 4) {
        const int32x4x2_t entry = vld2q_s32((const int32_t *)(const void *)e);
        const int32x4_t mul = vmovlbq_s16(vreinterpretq_s16_s32(entry.val[1])); // low halves; shifts are high
        const int32x4_t left = vnegq_s32(vshrq_n_s32(entry.val[1], 16));
        int32x4_t t = vldrwq_s32(acc);
        if (common.pre_shift > 0) {
            t = vshlq_r_s32(vaddq_n_s32(t, common.half), -common.pre_shift);
        }
        t = vshlq_s32(vaddq_s32(vmulq_s32(t, mul), entry.val[0]), left);
        vstrbq_s32(y, vminq_s32(vmaxq_s32(t, low), high));
    }
    for (; n > 0; n--) {
        eb_requant_entry one;
        __builtin_memcpy(&one, e++, sizeof one);
        *y++ = eb_requant(*acc++, &common, &one);
    }
}

#endif
