// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for AArch64 with FEAT_DotProd (Cortex-A76), by nested masks.
//
// A byte (layout "e2") holds 4 rows at one column, two bits each: u = trit + 1 for rows 0..2 of the four, the
// trit itself as the signed top field. Dot products with the byte masked by 0x03, 0x0F, 0x3F and not at all
// give
//   S0 = U0, S1 = U0 + 4 U1, S2 = S1 + 16 U2, S3 = S2 + 64 T3      with Ui = sum(u x) = Ti + sum(x)
// so differences and exact shifts recover the four rows: 3 ANDs and 4 SDOTs for 64 multiply-accumulates. The
// bytes of a vector are 4 columns of 4 quadruples of rows, in the order SDOT by element wants.
//
// Bounds: |S3| <= (64 + 42) * 128 * cols and |S3 - S2| <= 64 * 128 * cols < 2^31 for every cols the layout
// allows (131072); the masked sums are smaller.
// Cost (instructions per weight): 0.127 at 1024 x 1024, 0.130 at 128 x 640, 0.28 at 16 x 27; the reference
//   takes 4.5.
// Scratch: none.
#include <arm_neon.h>

#include "tmatvec_s8/tmatvec_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon_dotprod);

// 4 columns (element `lane` of the inputs) of the 16 rows at `bytes`, into four sums.
#define E2_STEP(bytes, lane, s)                                                                              \
    do {                                                                                                     \
        int8x16_t v = vreinterpretq_s8_u8(vld1q_u8((bytes) + 16 * (lane)));                                  \
        s##0 = vdotq_laneq_s32(s##0, vandq_s8(v, mask0), in, lane);                                          \
        s##1 = vdotq_laneq_s32(s##1, vandq_s8(v, mask1), in, lane);                                          \
        s##2 = vdotq_laneq_s32(s##2, vandq_s8(v, mask2), in, lane);                                          \
        s##3 = vdotq_laneq_s32(s##3, v, in, lane);                                                           \
    } while (0)

// 16 accumulators from the four sums of their block.
EB_INLINE void e2_store(int32_t *acc, int32x4_t s0, int32x4_t s1, int32x4_t s2, int32x4_t s3,
                        int32x4_t total) {
    vst1q_s32(acc, vsubq_s32(s0, total));
    vst1q_s32(acc + 4, vsubq_s32(vshrq_n_s32(vsubq_s32(s1, s0), 2), total));
    vst1q_s32(acc + 8, vsubq_s32(vshrq_n_s32(vsubq_s32(s2, s1), 4), total));
    vst1q_s32(acc + 12, vshrq_n_s32(vsubq_s32(s3, s2), 6));
}

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon_dotprod) {
    (void)scratch;
    const int8x16_t mask0 = vdupq_n_s8(0x03);
    const int8x16_t mask1 = vdupq_n_s8(0x0F);
    const int8x16_t mask2 = vdupq_n_s8(0x3F);
    const int64_t width = ((int64_t)cols + 15) & ~15;
    int32x4_t sum = vdupq_n_s32(0);
    for (int64_t k = 0; k < width; k += 16) {
        sum = vdotq_s32(sum, vdupq_n_s8(1), vld1q_s8(x + k));
    }
    const int32x4_t total = vdupq_n_s32(vaddvq_s32(sum)); // bytes past cols included: their trits are 0 too
    int32_t r = 0;
    for (; r + 16 < rows; r += 32) { // two blocks share every load of x
        int32x4_t a0 = vdupq_n_s32(0), a1 = a0, a2 = a0, a3 = a0;
        int32x4_t b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        for (int64_t k = 0; k < width; k += 16) {
            const int8x16_t in = vld1q_s8(x + k);
            const uint8_t *below = w + 4 * width;
            E2_STEP(w, 0, a);
            E2_STEP(below, 0, b);
            E2_STEP(w, 1, a);
            E2_STEP(below, 1, b);
            E2_STEP(w, 2, a);
            E2_STEP(below, 2, b);
            E2_STEP(w, 3, a);
            E2_STEP(below, 3, b);
            w += 64;
        }
        w += 4 * width;
        e2_store(acc + r, a0, a1, a2, a3, total);
        e2_store(acc + r + 16, b0, b1, b2, b3, total);
    }
    if (r < rows) {
        int32x4_t a0 = vdupq_n_s32(0), a1 = a0, a2 = a0, a3 = a0;
        for (int64_t k = 0; k < width; k += 16) {
            const int8x16_t in = vld1q_s8(x + k);
            E2_STEP(w, 0, a);
            E2_STEP(w, 1, a);
            E2_STEP(w, 2, a);
            E2_STEP(w, 3, a);
            w += 64;
        }
        e2_store(acc + r, a0, a1, a2, a3, total);
    }
}

EB_KERNEL(tmatvec_s8, neon_dotprod, e2);
