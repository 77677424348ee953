// SPDX-License-Identifier: Apache-2.0
// Ternary products with four int8 vectors for AArch64 with FEAT_DotProd (Cortex-A76), five rows a byte: 1.6
// bits a weight.
//
// The arithmetic and the layout are those of tmatvec_s8__neon_dotprod_e16. Here each of a byte's six forms is
// used four times: 24 SDOTs and 10 byte additions for 320 multiply-accumulates, with all 24 sums of 20 rows
// in registers. Missing vectors of a last group repeat the one before, and their sums are dropped.
//
// Bounds: as there; everything is exact modulo 2^32, and |256 Ti| <= 256 * 128 * cols < 2^31 for every cols
// the layout allows (65535).
// Scratch: none.
#include <arm_neon.h>

#include "tmatmat_s8/tmatmat_s8.h"

EB_TMATMAT_S8_DECL(eb_tmatmat_s8__neon_dotprod_e16);

// The six sums of 20 rows with one vector.
typedef struct {
    int32x4_t s0, s1, s2, s3, s4, s5;
} e16_sums;

// 3 v modulo 256. The compiler must not make this a multiplication, which only one pipe can do.
EB_INLINE int8x16_t e16_triple(int8x16_t v) {
    int8x16_t twice = vaddq_s8(v, v);
    __asm__("" : "+w"(twice));
    return vaddq_s8(twice, v);
}

// One form of the bytes, with all four vectors.
#define E16_FORM(field, lane)                                                                                \
    do {                                                                                                     \
        a.field = vdotq_laneq_s32(a.field, v, in0, lane);                                                    \
        b.field = vdotq_laneq_s32(b.field, v, in1, lane);                                                    \
        c.field = vdotq_laneq_s32(c.field, v, in2, lane);                                                    \
        d.field = vdotq_laneq_s32(d.field, v, in3, lane);                                                    \
    } while (0)

// 4 columns (element `lane` of the inputs) of the 20 rows.
#define E16_STEP(lane)                                                                                       \
    do {                                                                                                     \
        int8x16_t v = vreinterpretq_s8_u8(vld1q_u8(w + 16 * (lane)));                                        \
        E16_FORM(s0, lane);                                                                                  \
        v = e16_triple(v);                                                                                   \
        E16_FORM(s1, lane);                                                                                  \
        v = e16_triple(v);                                                                                   \
        E16_FORM(s2, lane);                                                                                  \
        v = e16_triple(v);                                                                                   \
        E16_FORM(s3, lane);                                                                                  \
        v = e16_triple(v);                                                                                   \
        E16_FORM(s4, lane);                                                                                  \
        v = e16_triple(v);                                                                                   \
        E16_FORM(s5, lane);                                                                                  \
    } while (0)

EB_INLINE int32x4_t e16_digit(int32x4_t s, int32x4_t next) {
    return vshrq_n_s32(vsubq_s32(vmulq_n_s32(s, 3), next), 8);
}

// 20 accumulators of one vector.
EB_INLINE void e16_store(int32_t *acc, const e16_sums *s) {
    vst1q_s32(acc, e16_digit(s->s0, s->s1));
    vst1q_s32(acc + 4, e16_digit(s->s1, s->s2));
    vst1q_s32(acc + 8, e16_digit(s->s2, s->s3));
    vst1q_s32(acc + 12, e16_digit(s->s3, s->s4));
    vst1q_s32(acc + 16, e16_digit(s->s4, s->s5));
}

EB_TMATMAT_S8_DECL(eb_tmatmat_s8__neon_dotprod_e16) {
    (void)scratch;
    const int64_t width = ((int64_t)cols + 15) & ~15;
    const int8_t *x1 = tokens > 1 ? x + x_step : x;
    const int8_t *x2 = tokens > 2 ? x1 + x_step : x1;
    const int8_t *x3 = tokens > 3 ? x2 + x_step : x2;
    const int32x4_t zero = vdupq_n_s32(0);
    for (int32_t r = 0; r < rows; r += 20) {
        e16_sums a = {zero, zero, zero, zero, zero, zero};
        e16_sums b = a;
        e16_sums c = a;
        e16_sums d = a;
        for (int64_t k = 0; k < width; k += 16) {
            const int8x16_t in0 = vld1q_s8(x + k);
            const int8x16_t in1 = vld1q_s8(x1 + k);
            const int8x16_t in2 = vld1q_s8(x2 + k);
            const int8x16_t in3 = vld1q_s8(x3 + k);
            E16_STEP(0);
            E16_STEP(1);
            E16_STEP(2);
            E16_STEP(3);
            w += 64;
        }
        int32_t *out = acc + r;
        e16_store(out, &a);
        if (tokens > 1) {
            out += acc_step;
            e16_store(out, &b);
        }
        if (tokens > 2) {
            out += acc_step;
            e16_store(out, &c);
        }
        if (tokens > 3) {
            e16_store(out + acc_step, &d);
        }
    }
}

EB_KERNEL(tmatmat_s8, neon_dotprod_e16, e16);
