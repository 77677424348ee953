// SPDX-License-Identifier: Apache-2.0
// Ternary products with four int8 vectors for AArch64 with FEAT_DotProd (Cortex-A76), by nested masks.
//
// The arithmetic and the layout are those of tmatvec_s8__neon_dotprod. Here the masked weights are used four
// times: 3 ANDs and 16 SDOTs for 256 multiply-accumulates, with all 16 sums of 16 rows in registers. Missing
// vectors of a last group repeat the one before, and their sums are dropped.
//
// Bounds: |S3 - S2| <= 64 * 128 * cols < 2^31 for every cols the layout allows (131072); everything else is
// smaller or exact modulo 2^32.
// Cost (instructions per weight and vector, four vectors): 0.081 at 640 x 2560, 0.087 at 128 x 640, 0.26 at
//   40 x 33; the vectors one by one take 0.126.
// Scratch: none.
#include <arm_neon.h>

#include "tmatmat_s8/tmatmat_s8.h"

EB_TMATMAT_S8_DECL(eb_tmatmat_s8__neon_dotprod);

// The four nested sums of 16 rows with one vector.
typedef struct {
    int32x4_t s0, s1, s2, s3;
} e2_sums;

// 4 columns of the 16 rows (masked three ways), element `lane` of the inputs.
#define E2_ADD(sums, in, lane)                                                                               \
    do {                                                                                                     \
        (sums).s0 = vdotq_laneq_s32((sums).s0, v0, in, lane);                                                \
        (sums).s1 = vdotq_laneq_s32((sums).s1, v1, in, lane);                                                \
        (sums).s2 = vdotq_laneq_s32((sums).s2, v2, in, lane);                                                \
        (sums).s3 = vdotq_laneq_s32((sums).s3, v3, in, lane);                                                \
    } while (0)

#define E2_STEP(bytes, lane, in)                                                                             \
    do {                                                                                                     \
        const int8x16_t v3 = vreinterpretq_s8_u8(vld1q_u8((bytes) + 16 * (lane)));                           \
        const int8x16_t v0 = vandq_s8(v3, mask0);                                                            \
        const int8x16_t v1 = vandq_s8(v3, mask1);                                                            \
        const int8x16_t v2 = vandq_s8(v3, mask2);                                                            \
        E2_ADD(a, in##a, lane);                                                                              \
        E2_ADD(b, in##b, lane);                                                                              \
        E2_ADD(c, in##c, lane);                                                                              \
        E2_ADD(d, in##d, lane);                                                                              \
    } while (0)

// The sum of a vector, bytes past cols included: their trits are 0 too.
EB_INLINE int32x4_t e2_total(const int8_t *x, int32_t steps) {
    int32x4_t sum = vdupq_n_s32(0);
    for (int32_t n = steps; n > 0; n--) {
        sum = vdotq_s32(sum, vdupq_n_s8(1), vld1q_s8(x));
        x += 16;
    }
    return vdupq_n_s32(vaddvq_s32(sum));
}

// 16 accumulators from the four sums of their block.
EB_INLINE void e2_store(int32_t *acc, const e2_sums *s, int32x4_t total) {
    vst1q_s32(acc, vsubq_s32(s->s0, total));
    vst1q_s32(acc + 4, vsubq_s32(vshrq_n_s32(vsubq_s32(s->s1, s->s0), 2), total));
    vst1q_s32(acc + 8, vsubq_s32(vshrq_n_s32(vsubq_s32(s->s2, s->s1), 4), total));
    vst1q_s32(acc + 12, vshrq_n_s32(vsubq_s32(s->s3, s->s2), 6));
}

EB_TMATMAT_S8_DECL(eb_tmatmat_s8__neon_dotprod) {
    (void)scratch;
    const int8x16_t mask0 = vdupq_n_s8(0x03);
    const int8x16_t mask1 = vdupq_n_s8(0x0F);
    const int8x16_t mask2 = vdupq_n_s8(0x3F);
    const int32_t steps = (cols + 15) >> 4;
    const int8_t *x1 = tokens > 1 ? x + x_step : x;
    const int8_t *x2 = tokens > 2 ? x1 + x_step : x1;
    const int8_t *x3 = tokens > 3 ? x2 + x_step : x2;
    const int32x4_t total0 = e2_total(x, steps);
    const int32x4_t total1 = e2_total(x1, steps);
    const int32x4_t total2 = e2_total(x2, steps);
    const int32x4_t total3 = e2_total(x3, steps);
    const int32x4_t zero = vdupq_n_s32(0);
    const int64_t pairs = (int64_t)128 * (steps >> 1);
    for (int32_t r = 0; r < rows; r += 16) {
        e2_sums a = {zero, zero, zero, zero};
        e2_sums b = a;
        e2_sums c = a;
        e2_sums d = a;
        const int8_t *pa = x, *pb = x1, *pc = x2, *pd = x3;
        for (const uint8_t *end = w + pairs; w != end; w += 128) { // pairs of loads become one instruction
            const int8x16_t xa = vld1q_s8(pa), na = vld1q_s8(pa + 16);
            pa += 32;
            const int8x16_t xb = vld1q_s8(pb), nb = vld1q_s8(pb + 16);
            pb += 32;
            const int8x16_t xc = vld1q_s8(pc), nc = vld1q_s8(pc + 16);
            pc += 32;
            const int8x16_t xd = vld1q_s8(pd), nd = vld1q_s8(pd + 16);
            pd += 32;
            __asm__("" : "+r"(pa), "+r"(pb), "+r"(pc), "+r"(pd)); // each moves with its loads, for nothing
            E2_STEP(w, 0, x);
            E2_STEP(w, 1, x);
            E2_STEP(w, 2, x);
            E2_STEP(w, 3, x);
            E2_STEP(w + 64, 0, n);
            E2_STEP(w + 64, 1, n);
            E2_STEP(w + 64, 2, n);
            E2_STEP(w + 64, 3, n);
        }
        if ((steps & 1) != 0) {
            const int8x16_t xa = vld1q_s8(pa);
            const int8x16_t xb = vld1q_s8(pb);
            const int8x16_t xc = vld1q_s8(pc);
            const int8x16_t xd = vld1q_s8(pd);
            E2_STEP(w, 0, x);
            E2_STEP(w, 1, x);
            E2_STEP(w, 2, x);
            E2_STEP(w, 3, x);
            w += 64;
        }
        int32_t *out = acc + r;
        e2_store(out, &a, total0);
        if (tokens > 1) {
            out += acc_step;
            e2_store(out, &b, total1);
        }
        if (tokens > 2) {
            out += acc_step;
            e2_store(out, &c, total2);
        }
        if (tokens > 3) {
            e2_store(out + acc_step, &d, total3);
        }
    }
}

EB_KERNEL(tmatmat_s8, neon_dotprod, e2);
