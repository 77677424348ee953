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
// Scratch: none.
#include <arm_neon.h>

#include "tmatvec_s8/tmatvec_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon_dotprod);

// 4 columns (element `lane` of the inputs) of 16 rows.
#define E2_STEP(lane)                                                                                        \
    do {                                                                                                     \
        int8x16_t v = vreinterpretq_s8_u8(vld1q_u8(w + 16 * (lane)));                                        \
        s0 = vdotq_laneq_s32(s0, vandq_s8(v, mask0), in, lane);                                              \
        s1 = vdotq_laneq_s32(s1, vandq_s8(v, mask1), in, lane);                                              \
        s2 = vdotq_laneq_s32(s2, vandq_s8(v, mask2), in, lane);                                              \
        s3 = vdotq_laneq_s32(s3, v, in, lane);                                                               \
    } while (0)

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon_dotprod) {
    (void)scratch;
    const int8x16_t mask0 = vdupq_n_s8(0x03);
    const int8x16_t mask1 = vdupq_n_s8(0x0F);
    const int8x16_t mask2 = vdupq_n_s8(0x3F);
    int32x4_t sum = vdupq_n_s32(0);
    for (int32_t k = 0; k < cols; k += 16) {
        sum = vdotq_s32(sum, vdupq_n_s8(1), vld1q_s8(x + k));
    }
    const int32x4_t total = vdupq_n_s32(vaddvq_s32(sum)); // bytes past cols included: their trits are 0 too
    for (int32_t r = 0; r < rows; r += 16) {
        int32x4_t s0 = vdupq_n_s32(0);
        int32x4_t s1 = s0;
        int32x4_t s2 = s0;
        int32x4_t s3 = s0;
        for (int32_t k = 0; k < cols; k += 16) {
            int8x16_t in = vld1q_s8(x + k);
            E2_STEP(0);
            E2_STEP(1);
            E2_STEP(2);
            E2_STEP(3);
            w += 64;
        }
        vst1q_s32(acc + r, vsubq_s32(s0, total));
        vst1q_s32(acc + r + 4, vsubq_s32(vshrq_n_s32(vsubq_s32(s1, s0), 2), total));
        vst1q_s32(acc + r + 8, vsubq_s32(vshrq_n_s32(vsubq_s32(s2, s1), 4), total));
        vst1q_s32(acc + r + 12, vshrq_n_s32(vsubq_s32(s3, s2), 6));
    }
}

EB_KERNEL(tmatvec_s8, neon_dotprod, e2);
