// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for AArch64 with FEAT_DotProd (Cortex-A76), five rows a byte: 1.6 bits a weight.
//
// A byte (layout "e16") is a signed fraction s of five rows' trits: 3 s = 256 t + s', where t is the first
// trit and s' = 3 s mod 256 the byte of the others. So with S0 = sum(s x), S1 = sum(s' x) ... S5, the row
// sums are exactly Ti = (3 Si - Si+1) / 256: 6 SDOTs and 10 byte additions for 80 multiply-accumulates, and
// neither masks nor tables. The bytes of a vector are 4 columns of 4 quintuples of rows, in the order SDOT by
// element wants.
//
// Bounds: everything is exact modulo 2^32, and |256 Ti| <= 256 * 128 * cols < 2^31 for every cols the layout
// allows (65535).
// Cost (instructions per weight): 0.216 at 640 x 2560, 0.240 at 128 x 640, 0.51 at 10 x 64.
// Scratch: none.
#include <arm_neon.h>

#include "tmatvec_s8/tmatvec_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon_dotprod_e16);

// 3 v modulo 256. The compiler must not make this a multiplication, which only one pipe can do.
EB_INLINE int8x16_t e16_triple(int8x16_t v) {
    int8x16_t twice = vaddq_s8(v, v);
    __asm__("" : "+w"(twice));
    return vaddq_s8(twice, v);
}

// 4 columns (element `lane` of the inputs) of the 20 rows at `bytes`, into six sums.
#define E16_STEP(bytes, lane, s)                                                                             \
    do {                                                                                                     \
        int8x16_t v = vreinterpretq_s8_u8(vld1q_u8((bytes) + 16 * (lane)));                                  \
        s[0] = vdotq_laneq_s32(s[0], v, in, lane);                                                           \
        v = e16_triple(v);                                                                                   \
        s[1] = vdotq_laneq_s32(s[1], v, in, lane);                                                           \
        v = e16_triple(v);                                                                                   \
        s[2] = vdotq_laneq_s32(s[2], v, in, lane);                                                           \
        v = e16_triple(v);                                                                                   \
        s[3] = vdotq_laneq_s32(s[3], v, in, lane);                                                           \
        v = e16_triple(v);                                                                                   \
        s[4] = vdotq_laneq_s32(s[4], v, in, lane);                                                           \
        v = e16_triple(v);                                                                                   \
        s[5] = vdotq_laneq_s32(s[5], v, in, lane);                                                           \
    } while (0)

EB_INLINE int32x4_t e16_sum(int32x4_t s, int32x4_t next) {
    return vshrq_n_s32(vsubq_s32(vmulq_n_s32(s, 3), next), 8);
}

// 20 accumulators from the six sums of their block. No loop: the sums must stay in registers.
EB_INLINE void e16_store(int32_t *acc, const int32x4_t s[6]) {
    vst1q_s32(acc, e16_sum(s[0], s[1]));
    vst1q_s32(acc + 4, e16_sum(s[1], s[2]));
    vst1q_s32(acc + 8, e16_sum(s[2], s[3]));
    vst1q_s32(acc + 12, e16_sum(s[3], s[4]));
    vst1q_s32(acc + 16, e16_sum(s[4], s[5]));
}

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon_dotprod_e16) {
    (void)scratch;
    const int32_t steps = (cols + 15) >> 4;
    const int32x4_t zero = vdupq_n_s32(0);
    int32_t r = 0;
    for (; r + 20 < rows; r += 40) { // two blocks share every load of x
        int32x4_t a[6] = {zero, zero, zero, zero, zero, zero};
        int32x4_t b[6] = {zero, zero, zero, zero, zero, zero};
        const uint8_t *below = w + (int64_t)64 * steps;
        const int8_t *at = x;
        for (int32_t n = steps; n > 0; n--) {
            const int8x16_t in = vld1q_s8(at);
            E16_STEP(w, 0, a);
            E16_STEP(below, 0, b);
            E16_STEP(w, 1, a);
            E16_STEP(below, 1, b);
            E16_STEP(w, 2, a);
            E16_STEP(below, 2, b);
            E16_STEP(w, 3, a);
            E16_STEP(below, 3, b);
            w += 64;
            below += 64;
            at += 16;
        }
        w = below;
        e16_store(acc + r, a);
        e16_store(acc + r + 20, b);
    }
    if (r < rows) {
        int32x4_t a[6] = {zero, zero, zero, zero, zero, zero};
        const int8_t *at = x;
        for (int32_t n = steps; n > 0; n--) {
            const int8x16_t in = vld1q_s8(at);
            E16_STEP(w, 0, a);
            E16_STEP(w, 1, a);
            E16_STEP(w, 2, a);
            E16_STEP(w, 3, a);
            w += 64;
            at += 16;
        }
        e16_store(acc + r, a);
    }
}

EB_KERNEL(tmatvec_s8, neon_dotprod_e16, e16);
