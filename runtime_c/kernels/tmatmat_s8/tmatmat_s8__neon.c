// SPDX-License-Identifier: Apache-2.0
// Ternary products with four int8 vectors for AArch64 without dot products (Cortex-A53, A72).
//
// The arithmetic and the layout ("e2k") are those of tmatvec_s8__neon. Here the fields of 16 columns of four
// rows are cut out once for four vectors: 5 instructions for the weights and 10 for each vector do 256
// multiply-accumulates. Vectors that are missing repeat the one before, and their sums are dropped.
//
// Bounds: 16-bit lanes as there, but row 2's are widened after 16 columns already, which is within 32.
// Cost (instructions per weight and vector, four vectors): 0.183 at 640 x 2560; the vectors one by one take
// 0.235. Scratch: none.
#include <arm_neon.h>

#include "tmatmat_s8/tmatmat_s8.h"

EB_TMATMAT_S8_DECL(eb_tmatmat_s8__neon);

enum { CHUNK = 16 }; // steps of 16 columns before 16-bit sums are widened

// 16 columns of four rows: fields where they are, the last one as a number.
typedef struct {
    int8x16_t f0, f1, f2, f3;
} e2k_fields;

// The sums of four rows with one vector within a chunk: 16-bit ones of rows 0, 1 and 3, and 32-bit ones of
// row 2.
typedef struct {
    int16x8_t low0, low1, low3;
    int32x4_t sum2;
} e2k_sums;

EB_INLINE int16x8_t e2k_add(int16x8_t sum, int8x16_t v, int8x16_t x) {
    return vmlal_high_s8(vmlal_s8(sum, vget_low_s8(v), vget_low_s8(x)), v, x);
}

EB_INLINE e2k_fields e2k_cut(const uint8_t *bytes) {
    const int8x16_t v = vreinterpretq_s8_u8(vld1q_u8(bytes));
    const e2k_fields f = {vandq_s8(v, vdupq_n_s8(0x03)), vandq_s8(v, vdupq_n_s8(0x0C)),
                          vandq_s8(v, vdupq_n_s8(0x30)), vshrq_n_s8(v, 6)};
    return f;
}

EB_INLINE void e2k_step(e2k_sums *s, const e2k_fields *f, int8x16_t x) {
    s->low0 = e2k_add(s->low0, f->f0, x);
    s->low1 = e2k_add(s->low1, f->f1, x);
    s->low3 = e2k_add(s->low3, f->f3, x);
    s->sum2 = vpadalq_s16(s->sum2, vmlal_high_s8(vmull_s8(vget_low_s8(f->f2), vget_low_s8(x)), f->f2, x));
}

// 32-bit sums of rows 0, 1 and 3.
typedef struct {
    int32x4_t sum0, sum1, sum3;
} e2k_wide;

EB_INLINE void e2k_flush(e2k_wide *w, e2k_sums *s) {
    w->sum0 = vpadalq_s16(w->sum0, s->low0);
    w->sum1 = vpadalq_s16(w->sum1, s->low1);
    w->sum3 = vpadalq_s16(w->sum3, s->low3);
    s->low0 = s->low1 = s->low3 = vdupq_n_s16(0);
}

// scale: 0, -2, -4, 0, the places of the fields; total: what the codes are too large by.
EB_INLINE void e2k_store(int32_t *acc, const e2k_wide *w, const e2k_sums *s, int32x4_t total) {
    static const int32_t places[4] = {0, -2, -4, 0};
    const int32x4_t sums = vpaddq_s32(vpaddq_s32(w->sum0, w->sum1), vpaddq_s32(s->sum2, w->sum3));
    vst1q_s32(acc, vsubq_s32(vshlq_s32(sums, vld1q_s32(places)), total));
}

// What the sums of rows 0, 1 and 2 are too large by, bytes past cols included: their trits are 0 too.
EB_INLINE int32x4_t e2k_total(const int8_t *x, int32_t steps) {
    int32x4_t sum = vdupq_n_s32(0);
    for (int32_t i = 0; i < steps; i++) {
        sum = vpadalq_s16(sum, vpaddlq_s8(vld1q_s8(x + 16 * (int64_t)i)));
    }
    return vsetq_lane_s32(0, vdupq_n_s32(vaddvq_s32(sum)), 3);
}

EB_TMATMAT_S8_DECL(eb_tmatmat_s8__neon) {
    (void)scratch;
    const int32_t steps = (cols + 15) >> 4;
    const int8_t *x1 = tokens > 1 ? x + x_step : x;
    const int8_t *x2 = tokens > 2 ? x1 + x_step : x1;
    const int8_t *x3 = tokens > 3 ? x2 + x_step : x2;
    const int32x4_t total[EB_TMATMAT_TOKENS] = {e2k_total(x, steps), e2k_total(x1, steps),
                                                e2k_total(x2, steps), e2k_total(x3, steps)};
    const int32x4_t zero = vdupq_n_s32(0);
    const int16x8_t none = vdupq_n_s16(0);
    const e2k_sums clear = {none, none, none, zero};
    const e2k_wide empty = {zero, zero, zero};
    for (int32_t r = 0; r < ((rows + 7) & ~7); r += 4) { // blocks of four rows take turns: 32 bytes a step
        const uint8_t *at = w + (r & 4) * 4;
        e2k_sums a = clear, b = clear, c = clear, d = clear;
        e2k_wide wide[EB_TMATMAT_TOKENS] = {empty, empty, empty, empty};
        int64_t k = 0;
        for (int32_t left = steps; left > 0; left -= CHUNK) {
            for (int32_t n = left < CHUNK ? left : CHUNK; n > 0; n--) {
                const e2k_fields f = e2k_cut(at);
                e2k_step(&a, &f, vld1q_s8(x + k));
                e2k_step(&b, &f, vld1q_s8(x1 + k));
                e2k_step(&c, &f, vld1q_s8(x2 + k));
                e2k_step(&d, &f, vld1q_s8(x3 + k));
                at += 32;
                k += 16;
            }
            e2k_flush(&wide[0], &a);
            e2k_flush(&wide[1], &b);
            e2k_flush(&wide[2], &c);
            e2k_flush(&wide[3], &d);
        }
        int32_t *out = acc + r;
        e2k_store(out, &wide[0], &a, total[0]);
        if (tokens > 1) {
            out += acc_step;
            e2k_store(out, &wide[1], &b, total[1]);
        }
        if (tokens > 2) {
            out += acc_step;
            e2k_store(out, &wide[2], &c, total[2]);
        }
        if (tokens > 3) {
            e2k_store(out + acc_step, &wide[3], &d, total[3]);
        }
        w += (r & 4) * 8 * (int64_t)steps;
    }
}

EB_KERNEL(tmatmat_s8, neon, e2k);
