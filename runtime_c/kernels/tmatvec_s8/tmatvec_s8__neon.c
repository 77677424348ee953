// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for AArch64 without dot products (Cortex-A53, A72), four rows a byte.
//
// A byte (layout "e2k") holds 4 rows at one column, two bits each: u = trit + 1 for rows 0..2 of the four,
// the trit itself as the signed top field. Masks cut the first three fields out in place, which leaves
// products with u, 4 u and 16 u; an arithmetic shift extends the sign of the last. The multiplications widen
// to 16 bits and add up there as long as they may: 256 columns for rows 0, 1 and 3, 32 columns for row 2. So
// 13 vector instructions do 64 multiply-accumulates, 8 of which are the multiplications.
//
// Bounds: a 16-bit lane takes 2 products of each 16 columns. With codes in 0..2 and inputs in -128..127, row
// 1 reaches 4 * 2 * -128 * 32 = -32768 and 4 * 2 * 127 * 32 = 32512 in 256 columns, row 0 a quarter of that,
// row 2 reaches 16 * 2 * -128 * 4 = -16384 in 32 columns, and row 3 +-128 * 32. 32-bit lanes hold |16 * 2 *
// 128 * cols| < 2^31 for every cols the layout allows (131072). Cost (instructions per weight): 0.235 at 640
// x 2560, 0.243 at 128 x 640, 0.58 at 10 x 64. On the A72 the
//   multiplications bound it: 8 cycles for 64.
// Scratch: none.
#include <arm_neon.h>

#include "tmatvec_s8/tmatvec_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon);

enum { CHUNK = 16 }; // steps of 16 columns before 16-bit sums are widened

// Four rows of one block: 16-bit sums of rows 0, 1 and 3, 32-bit sums of all.
typedef struct {
    int16x8_t low[3];
    int32x4_t sum[4];
} e2k_block;

EB_INLINE int16x8_t e2k_add(int16x8_t sum, int8x16_t v, int8x16_t x) {
    return vmlal_high_s8(vmlal_s8(sum, vget_low_s8(v), vget_low_s8(x)), v, x);
}

EB_INLINE int8x16_t e2k_load(const uint8_t *bytes) {
    return vreinterpretq_s8_u8(vld1q_u8(bytes));
}

// 16 columns of rows 0, 1 and 3.
EB_INLINE void e2k_step(e2k_block *b, int8x16_t v, int8x16_t x) {
    b->low[0] = e2k_add(b->low[0], vandq_s8(v, vdupq_n_s8(0x03)), x);
    b->low[1] = e2k_add(b->low[1], vandq_s8(v, vdupq_n_s8(0x0C)), x);
    b->low[2] = e2k_add(b->low[2], vshrq_n_s8(v, 6), x);
}

EB_INLINE void e2k_step16(e2k_block *b, int8x16_t v, int8x16_t x) {
    const int8x16_t u = vandq_s8(v, vdupq_n_s8(0x30));
    e2k_step(b, v, x);
    b->sum[2] = vpadalq_s16(b->sum[2], vmlal_high_s8(vmull_s8(vget_low_s8(u), vget_low_s8(x)), u, x));
}

EB_INLINE void e2k_step32(e2k_block *b, int8x16_t v0, int8x16_t x0, int8x16_t v1, int8x16_t x1) {
    const int8x16_t u0 = vandq_s8(v0, vdupq_n_s8(0x30));
    const int8x16_t u1 = vandq_s8(v1, vdupq_n_s8(0x30));
    e2k_step(b, v0, x0);
    e2k_step(b, v1, x1);
    b->sum[2] = vpadalq_s16(
        b->sum[2], e2k_add(vmlal_high_s8(vmull_s8(vget_low_s8(u0), vget_low_s8(x0)), u0, x0), u1, x1));
}

EB_INLINE void e2k_flush(e2k_block *b) {
    b->sum[0] = vpadalq_s16(b->sum[0], b->low[0]);
    b->sum[1] = vpadalq_s16(b->sum[1], b->low[1]);
    b->sum[3] = vpadalq_s16(b->sum[3], b->low[2]);
    b->low[0] = b->low[1] = b->low[2] = vdupq_n_s16(0);
}

EB_INLINE void e2k_clear(e2k_block *b) {
    b->low[0] = b->low[1] = b->low[2] = vdupq_n_s16(0);
    b->sum[0] = b->sum[1] = b->sum[2] = b->sum[3] = vdupq_n_s32(0);
}

// scale: 0, -2, -4, 0, the places of the fields; total: what the codes are too large by.
EB_INLINE void e2k_store(int32_t *acc, const e2k_block *b, int32x4_t scale, int32x4_t total) {
    const int32x4_t sums = vpaddq_s32(vpaddq_s32(b->sum[0], b->sum[1]), vpaddq_s32(b->sum[2], b->sum[3]));
    vst1q_s32(acc, vsubq_s32(vshlq_s32(sums, scale), total));
}

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon) {
    (void)scratch;
    static const int32_t places[4] = {0, -2, -4, 0};
    const int32x4_t scale = vld1q_s32(places);
    const int32_t steps = (cols + 15) >> 4;
    int32x4_t sum = vdupq_n_s32(0);
    for (int32_t i = 0; i < steps; i++) {
        sum = vpadalq_s16(sum, vpaddlq_s8(vld1q_s8(x + 16 * (int64_t)i)));
    }
    const int32x4_t total = vsetq_lane_s32(0, vdupq_n_s32(vaddvq_s32(sum)), 3);
    for (int32_t r = 0; r < rows; r += 8) {
        e2k_block a;
        e2k_block b;
        e2k_clear(&a);
        e2k_clear(&b);
        const int8_t *at = x;
        for (int32_t left = steps; left > 0; left -= CHUNK) {
            const int32_t now = left < CHUNK ? left : CHUNK;
            for (int32_t n = now >> 1; n > 0; n--) {
                const int8x16_t x0 = vld1q_s8(at);
                const int8x16_t x1 = vld1q_s8(at + 16);
                e2k_step32(&a, e2k_load(w), x0, e2k_load(w + 32), x1);
                e2k_step32(&b, e2k_load(w + 16), x0, e2k_load(w + 48), x1);
                w += 64;
                at += 32;
            }
            if ((now & 1) != 0) {
                const int8x16_t in = vld1q_s8(at);
                e2k_step16(&a, e2k_load(w), in);
                e2k_step16(&b, e2k_load(w + 16), in);
                w += 32;
                at += 16;
            }
            e2k_flush(&a);
            e2k_flush(&b);
        }
        e2k_store(acc + r, &a, scale, total);
        e2k_store(acc + r + 4, &b, scale, total);
    }
}

EB_KERNEL(tmatvec_s8, neon, e2k);
