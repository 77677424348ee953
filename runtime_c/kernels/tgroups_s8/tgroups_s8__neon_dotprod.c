// SPDX-License-Identifier: Apache-2.0
// Ternary products with a scale for each group of inputs, int8, for AArch64 with FEAT_DotProd (Cortex-A76).
//
// The integer sums and the layout ("e2") are those of tmatvec_s8__neon_dotprod: nested masks, 3 ANDs and 4
// SDOTs for 64 multiply-accumulates, two blocks of 16 rows at a time. After each group 16 rows of sums are
// recovered, converted, scaled and added: 36 instructions for 16 * group products.
//
// Bounds: a group's |64 T3| <= 64 * 128 * 65536 < 2^31; see the family's header.
// Cost (instructions per weight): 0.151 at 640 x 2560 with groups of 128; 0.127 without scales.
// Scratch: the inputs' sum of each group.
#include <arm_neon.h>

#include "tgroups_s8/tgroups_s8.h"

EB_TGROUPS_S8_DECL(eb_tgroups_s8__neon_dotprod);

// The four nested sums of 16 rows.
typedef struct {
    int32x4_t s0, s1, s2, s3;
} e2_sums;

// 4 columns (element `lane` of the inputs) of the 16 rows at `bytes`.
#define E2_STEP(bytes, lane, s)                                                                              \
    do {                                                                                                     \
        const int8x16_t v = vreinterpretq_s8_u8(vld1q_u8((bytes) + 16 * (lane)));                            \
        (s).s0 = vdotq_laneq_s32((s).s0, vandq_s8(v, vdupq_n_s8(0x03)), in, lane);                           \
        (s).s1 = vdotq_laneq_s32((s).s1, vandq_s8(v, vdupq_n_s8(0x0F)), in, lane);                           \
        (s).s2 = vdotq_laneq_s32((s).s2, vandq_s8(v, vdupq_n_s8(0x3F)), in, lane);                           \
        (s).s3 = vdotq_laneq_s32((s).s3, v, in, lane);                                                       \
    } while (0)

EB_INLINE void e2_term(float *acc, int32x4_t sum, const float *scale, float unit, int first) {
    const float32x4_t term = vmulq_n_f32(vmulq_f32(vcvtq_f32_s32(sum), vld1q_f32(scale)), unit);
    vst1q_f32(acc, first ? term : vaddq_f32(vld1q_f32(acc), term));
}

// One group's terms of 16 rows. total: what the codes of the first 12 are too large by.
EB_INLINE void e2_finish(float *acc, const e2_sums *s, int32x4_t total, const float *scale, float unit,
                         int first) {
    e2_term(acc, vsubq_s32(s->s0, total), scale, unit, first);
    e2_term(acc + 4, vsubq_s32(vshrq_n_s32(vsubq_s32(s->s1, s->s0), 2), total), scale + 4, unit, first);
    e2_term(acc + 8, vsubq_s32(vshrq_n_s32(vsubq_s32(s->s2, s->s1), 4), total), scale + 8, unit, first);
    e2_term(acc + 12, vshrq_n_s32(vsubq_s32(s->s3, s->s2), 6), scale + 12, unit, first);
}

// 16 or, with `two`, 32 rows; `below` are the weights of the second 16.
EB_INLINE void e2_rows(const uint8_t *w, const uint8_t *below, const float *scales, const int8_t *x,
                       const float *d, float *acc, int32_t row_step, int64_t width, int32_t group,
                       int32_t units, const int32_t *totals, int two) {
    for (int64_t first = 0; first < width; first += group) {
        const int64_t end = width - first < group ? width : first + group;
        const int32x4_t zero = vdupq_n_s32(0);
        e2_sums a = {zero, zero, zero, zero};
        e2_sums b = a;
        for (int64_t k = first; k < end; k += 16) {
            const int8x16_t in = vld1q_s8(x + k);
            E2_STEP(w, 0, a);
            E2_STEP(w, 1, a);
            E2_STEP(w, 2, a);
            E2_STEP(w, 3, a);
            w += 64;
            if (two) {
                E2_STEP(below, 0, b);
                E2_STEP(below, 1, b);
                E2_STEP(below, 2, b);
                E2_STEP(below, 3, b);
                below += 64;
            }
        }
        const int32x4_t total = vdupq_n_s32(*totals++);
        if (first == 0) {
            e2_finish(acc, &a, total, scales, *d, 1);
        } else {
            e2_finish(acc, &a, total, scales, *d, 0);
        }
        if (two && first == 0) {
            e2_finish(acc + 16, &b, total, scales + 16, *d, 1);
        } else if (two) {
            e2_finish(acc + 16, &b, total, scales + 16, *d, 0);
        }
        scales += row_step;
        d += units > 1;
    }
}

EB_TGROUPS_S8_DECL(eb_tgroups_s8__neon_dotprod) {
    const int64_t width = ((int64_t)cols + 15) & ~15;
    const int32_t row_step = (rows + 15) & ~15;
    int32_t *totals = scratch;
    int32_t *total = totals;
    for (int64_t first = 0; first < width; first += group) {
        const int64_t end = width - first < group ? width : first + group;
        int32x4_t sum = vdupq_n_s32(0);
        for (int64_t k = first; k < end; k += 16) { // bytes past cols included: their trits are 0 too
            sum = vdotq_s32(sum, vdupq_n_s8(1), vld1q_s8(x + k));
        }
        *total++ = vaddvq_s32(sum);
    }
    int32_t r = 0;
    for (; r + 16 < rows; r += 32) {
        e2_rows(w, w + 4 * width, scales + r, x, d, acc + r, row_step, width, group, units, totals, 1);
        w += 8 * width;
    }
    if (r < rows) {
        e2_rows(w, w, scales + r, x, d, acc + r, row_step, width, group, units, totals, 0);
    }
}

EB_KERNEL(tgroups_s8, neon_dotprod, e2);
