// SPDX-License-Identifier: Apache-2.0
// The end of products with weights of layout "e16k" on AArch64: five row sums from six sums of fractions.
#ifndef EDGEBIT_TMATVEC_S8_E16K_NEON_H
#define EDGEBIT_TMATVEC_S8_E16K_NEON_H

#include <arm_neon.h>

#include "edgebit/eb_types.h"

// acc[i] = (3 S_i - S_i+1) / 256, i < 5, where S_i is the sum of the lanes of s[i * step]; exact, see
// tmatvec_s8__neon_e16.c.
EB_INLINE void eb_e16k_store(int32_t *acc, const int32x4_t *s, int32_t step) {
    const int32x4_t s01 = vpaddq_s32(s[0], s[step]);
    const int32x4_t s0123 = vpaddq_s32(s01, vpaddq_s32(s[2 * step], s[3 * step]));
    const int32x4_t s45 = vpaddq_s32(s[4 * step], s[5 * step]);
    const int32x4_t s4545 = vpaddq_s32(s45, s45);
    const int32x4_t s1234 = vextq_s32(s0123, s4545, 1);
    const int32x4_t s5 = vdupq_laneq_s32(s4545, 1);
    vst1q_s32(acc, vshrq_n_s32(vsubq_s32(vmulq_n_s32(s0123, 3), s1234), 8));
    vst1q_lane_s32(acc + 4, vshrq_n_s32(vsubq_s32(vmulq_n_s32(s4545, 3), s5), 8), 0);
}

#endif
