// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for 32-bit NEON (Cortex-A7, and later cores in 32-bit state), four rows a byte.
//
// The arithmetic, the layout ("e2k") and the bounds are those of tmatvec_s8__neon: masks cut the fields out
// in place, VMLAL.S8 adds products up in 16-bit lanes for 256 columns (rows 0, 1 and 3) or 32 columns (row
// 2), and VPADAL.S16 widens the sums. With half the registers of AArch64, the 32-bit sums of a block stay in
// memory but for row 2's, and are added to every 256 columns.
//
// Bounds: as there, for every cols the layout allows (131072). Integers only: 32-bit NEON's floats are not
// used. Cost (instructions per weight): 0.267 at 640 x 2560. Scratch: none.
#include <arm_neon.h>

#include "tmatvec_s8/tmatvec_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon32);

enum { CHUNK = 16 }; // steps of 16 columns before 16-bit sums are widened

// Four rows of one block within a chunk: 16-bit sums of rows 0, 1 and 3; and 32-bit sums of row 2.
typedef struct {
    int16x8_t low0, low1, low3;
    int32x4_t sum2;
} e2k_block;

EB_INLINE int16x8_t e2k_add(int16x8_t sum, int8x16_t v, int8x16_t x) {
    sum = vmlal_s8(sum, vget_low_s8(v), vget_low_s8(x));
    return vmlal_s8(sum, vget_high_s8(v), vget_high_s8(x));
}

// 16 columns of rows 0, 1 and 3.
EB_INLINE void e2k_step(e2k_block *b, int8x16_t v, int8x16_t x) {
    b->low0 = e2k_add(b->low0, vandq_s8(v, vdupq_n_s8(0x03)), x);
    b->low1 = e2k_add(b->low1, vandq_s8(v, vdupq_n_s8(0x0C)), x);
    b->low3 = e2k_add(b->low3, vshrq_n_s8(v, 6), x);
}

// 16 columns of row 2, four bits up.
EB_INLINE int16x8_t e2k_row2(int8x16_t v, int8x16_t x) {
    const int8x16_t u = vandq_s8(v, vdupq_n_s8(0x30));
    return vmlal_s8(vmull_s8(vget_low_s8(u), vget_low_s8(x)), vget_high_s8(u), vget_high_s8(x));
}

EB_INLINE int8x16_t e2k_load(const uint8_t *bytes) {
    return vreinterpretq_s8_u8(vld1q_u8(bytes));
}

// The sum of the lanes of each, and of all lanes.
EB_INLINE int32x4_t e2k_across(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) {
    const int32x2_t pa = vadd_s32(vget_low_s32(a), vget_high_s32(a));
    const int32x2_t pb = vadd_s32(vget_low_s32(b), vget_high_s32(b));
    const int32x2_t pc = vadd_s32(vget_low_s32(c), vget_high_s32(c));
    const int32x2_t pd = vadd_s32(vget_low_s32(d), vget_high_s32(d));
    return vcombine_s32(vpadd_s32(pa, pb), vpadd_s32(pc, pd));
}

// Four rows whose vectors are 32 bytes apart.
EB_INLINE int32x4_t e2k_rows(const uint8_t *w, const int8_t *x, int32_t steps) {
    int32x4_t sum0 = vdupq_n_s32(0), sum1 = sum0, sum3 = sum0;
    e2k_block b;
    b.sum2 = sum0;
    for (int32_t left = steps; left > 0; left -= CHUNK) {
        const int32_t now = left < CHUNK ? left : CHUNK;
        b.low0 = b.low1 = b.low3 = vdupq_n_s16(0);
        for (int32_t n = now >> 1; n > 0; n--) {
            const int8x16_t x0 = vld1q_s8(x);
            const int8x16_t x1 = vld1q_s8(x + 16);
            const int8x16_t v0 = e2k_load(w);
            const int8x16_t v1 = e2k_load(w + 32);
            const int8x16_t u1 = vandq_s8(v1, vdupq_n_s8(0x30));
            e2k_step(&b, v0, x0);
            e2k_step(&b, v1, x1);
            b.sum2 = vpadalq_s16(b.sum2, e2k_add(e2k_row2(v0, x0), u1, x1));
            w += 64;
            x += 32;
        }
        if ((now & 1) != 0) {
            const int8x16_t in = vld1q_s8(x);
            const int8x16_t v = e2k_load(w);
            e2k_step(&b, v, in);
            b.sum2 = vpadalq_s16(b.sum2, e2k_row2(v, in));
            w += 32;
            x += 16;
        }
        sum0 = vpadalq_s16(sum0, b.low0);
        sum1 = vpadalq_s16(sum1, b.low1);
        sum3 = vpadalq_s16(sum3, b.low3);
    }
    return e2k_across(sum0, sum1, b.sum2, sum3);
}

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon32) {
    (void)scratch;
    static const int32_t places[4] = {0, -2, -4, 0};
    const int32x4_t scale = vld1q_s32(places);
    const int32_t steps = (cols + 15) >> 4;
    int32x4_t sum = vdupq_n_s32(0);
    for (int32_t i = 0; i < steps; i++) {
        sum = vpadalq_s16(sum, vpaddlq_s8(vld1q_s8(x + 16 * i)));
    }
    const int32x4_t every = e2k_across(sum, sum, sum, sum);
    const int32x4_t total = vsetq_lane_s32(0, every, 3); // what the codes are too large by
    for (int32_t r = 0; r < rows; r += 8) {
        vst1q_s32(acc + r, vsubq_s32(vshlq_s32(e2k_rows(w, x, steps), scale), total));
        vst1q_s32(acc + r + 4, vsubq_s32(vshlq_s32(e2k_rows(w + 16, x, steps), scale), total));
        w += 32 * steps;
    }
}

EB_KERNEL(tmatvec_s8, neon32, e2k);
