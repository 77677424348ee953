// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for 32-bit NEON (Cortex-A7, and later cores in 32-bit state), five rows a byte: 1.6
// bits a weight.
//
// The arithmetic, the layout ("e16k") and the bounds are those of tmatvec_s8__neon_e16: a byte s is a signed
// fraction of five trits, 3 s = 256 t + s', so sums Si of the six successive bytes with x give the rows as
// (3 Si - Si+1) / 256. Each sum takes VMULL.S8, VMLAL.S8 and VPADAL.S16 for 16 columns.
//
// Bounds: |s| <= 127, so that two products fit 16 bits: 2 * 127 * 128 = 32512. The rest is exact modulo 2^32,
// and |256 Ti| <= 256 * 128 * cols < 2^31 for every cols the layout allows (65535).
// Cost (instructions per weight): 0.409 at 640 x 2560.
// Scratch: none.
#include <arm_neon.h>

#include "tmatvec_s8/tmatvec_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon32_e16);

// 3 v modulo 256. The compiler must not make this a multiplication, nor begin it before `sum` is there: all
// six bytes at once do not fit the registers.
#define E16K_TRIPLE(v, sum)                                                                                  \
    do {                                                                                                     \
        int8x16_t twice = vaddq_s8(v, v);                                                                    \
        __asm__("" : "+w"(twice), "+w"(sum));                                                                \
        v = vaddq_s8(twice, v);                                                                              \
    } while (0)

EB_INLINE int32x4_t e16k_dot(int32x4_t sum, int8x16_t v, int8x16_t x) {
    const int16x8_t low = vmull_s8(vget_low_s8(v), vget_low_s8(x));
    return vpadalq_s16(sum, vmlal_s8(low, vget_high_s8(v), vget_high_s8(x)));
}

// 16 columns of the five rows at `bytes`. No loop: the sums must stay in registers.
EB_INLINE void e16k_step(int32x4_t s[6], const uint8_t *bytes, int8x16_t x) {
    int8x16_t v = vreinterpretq_s8_u8(vld1q_u8(bytes));
    s[0] = e16k_dot(s[0], v, x);
    E16K_TRIPLE(v, s[0]);
    s[1] = e16k_dot(s[1], v, x);
    E16K_TRIPLE(v, s[1]);
    s[2] = e16k_dot(s[2], v, x);
    E16K_TRIPLE(v, s[2]);
    s[3] = e16k_dot(s[3], v, x);
    E16K_TRIPLE(v, s[3]);
    s[4] = e16k_dot(s[4], v, x);
    E16K_TRIPLE(v, s[4]);
    s[5] = e16k_dot(s[5], v, x);
}

// The next 16 columns as well, in turns.
EB_INLINE void e16k_step2(int32x4_t s[6], const uint8_t *bytes, const int8_t *x) {
    const int8x16_t x0 = vld1q_s8(x);
    const int8x16_t x1 = vld1q_s8(x + 16);
    int8x16_t v = vreinterpretq_s8_u8(vld1q_u8(bytes));
    int8x16_t u = vreinterpretq_s8_u8(vld1q_u8(bytes + 32));
    s[0] = e16k_dot(e16k_dot(s[0], v, x0), u, x1);
    E16K_TRIPLE(v, s[0]);
    E16K_TRIPLE(u, s[0]);
    s[1] = e16k_dot(e16k_dot(s[1], v, x0), u, x1);
    E16K_TRIPLE(v, s[1]);
    E16K_TRIPLE(u, s[1]);
    s[2] = e16k_dot(e16k_dot(s[2], v, x0), u, x1);
    E16K_TRIPLE(v, s[2]);
    E16K_TRIPLE(u, s[2]);
    s[3] = e16k_dot(e16k_dot(s[3], v, x0), u, x1);
    E16K_TRIPLE(v, s[3]);
    E16K_TRIPLE(u, s[3]);
    s[4] = e16k_dot(e16k_dot(s[4], v, x0), u, x1);
    E16K_TRIPLE(v, s[4]);
    E16K_TRIPLE(u, s[4]);
    s[5] = e16k_dot(e16k_dot(s[5], v, x0), u, x1);
}

EB_INLINE int32x2_t e16k_half(int32x4_t a) {
    return vadd_s32(vget_low_s32(a), vget_high_s32(a));
}

// Five rows whose vectors are 32 bytes apart.
EB_INLINE void e16k_rows(int32_t *acc, const uint8_t *w, const int8_t *x, int32_t steps) {
    const int32x4_t zero = vdupq_n_s32(0);
    int32x4_t s[6] = {zero, zero, zero, zero, zero, zero};
    for (int32_t n = steps >> 1; n > 0; n--) {
        e16k_step2(s, w, x);
        w += 64;
        x += 32;
    }
    if ((steps & 1) != 0) {
        e16k_step(s, w, vld1q_s8(x));
    }
    const int32x4_t s0123 = vcombine_s32(vpadd_s32(e16k_half(s[0]), e16k_half(s[1])),
                                         vpadd_s32(e16k_half(s[2]), e16k_half(s[3])));
    const int32x2_t s45 = vpadd_s32(e16k_half(s[4]), e16k_half(s[5]));
    const int32x4_t s1234 = vextq_s32(s0123, vcombine_s32(s45, s45), 1);
    vst1q_s32(acc, vshrq_n_s32(vsubq_s32(vmulq_n_s32(s0123, 3), s1234), 8));
    const int32x2_t s5 = vdup_lane_s32(s45, 1);
    vst1_lane_s32(acc + 4, vshr_n_s32(vsub_s32(vmul_n_s32(s45, 3), s5), 8), 0);
}

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon32_e16) {
    (void)scratch;
    const int32_t steps = (cols + 15) >> 4;
    for (int32_t r = 0; r < rows; r += 10) {
        e16k_rows(acc + r, w, x, steps);
        e16k_rows(acc + r + 5, w + 16, x, steps);
        w += 32 * steps;
    }
}

EB_KERNEL(tmatvec_s8, neon32_e16, e16k);
