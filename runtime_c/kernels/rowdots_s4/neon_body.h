// SPDX-License-Identifier: Apache-2.0
// Four-bit rows times a vector for AArch64, included once by each variant, which defines
//   S4_NAME  the function
//   S4_QUADS (sum, u, x): four lanes of int32 `sum` plus the sums of four products of 16 bytes u (0..15) and
//   x
//
// Two rows at a time, so that what is loaded of x serves both; a group is two vectors of 16 bytes.
#include <arm_neon.h>

#include "rowdots_s4/rowdots_s4.h"

EB_ROWDOTS_S4_DECL(S4_NAME);

// 16 columns of x.
typedef struct {
    int8x16_t high, low;
    int32x4_t less;
} s4_input;

EB_INLINE s4_input s4_load(const eb_s4_vector *x, int32_t col) {
    const s4_input in = {vld1q_s8(x->high + col), vld1q_s8(x->low + col), vld1q_s32(x->less + col / 4)};
    return in;
}

// 16 columns of one row into four lanes.
EB_INLINE float32x4_t s4_step(float32x4_t sum, int8x16_t u, const s4_input *in, float code) {
    const int32x4_t high = S4_QUADS(vdupq_n_s32(0), u, in->high);
    const int32x4_t low = S4_QUADS(in->less, u, in->low);
    const int32x4_t all = vaddq_s32(low, vshlq_n_s32(high, 8));
    return vaddq_f32(sum, vmulq_n_f32(vcvtq_f32_s32(all), code));
}

// The sixteen lanes of one row: of even groups 0..3 and 4..7, then of odd groups.
typedef struct {
    float32x4_t e0, e1, o0, o1;
} s4_lanes;

EB_INLINE void s4_pair(s4_lanes *s, const uint8_t *bytes, const uint8_t *code, const s4_input *in) {
    const uint8x16_t v0 = vld1q_u8(bytes);
    const uint8x16_t v1 = vld1q_u8(bytes + 16);
    const uint8x16_t mask = vdupq_n_u8(15);
    const float even = (float)code[0];
    const float odd = (float)code[1];
    s->e0 = s4_step(s->e0, vreinterpretq_s8_u8(vandq_u8(v0, mask)), in, even);
    s->e1 = s4_step(s->e1, vreinterpretq_s8_u8(vandq_u8(v1, mask)), in + 1, even);
    s->o0 = s4_step(s->o0, vreinterpretq_s8_u8(vshrq_n_u8(v0, 4)), in + 2, odd);
    s->o1 = s4_step(s->o1, vreinterpretq_s8_u8(vshrq_n_u8(v1, 4)), in + 3, odd);
}

EB_INLINE float s4_total(const s4_lanes *s) {
    const float32x4_t low = vaddq_f32(s->e0, s->o0);
    const float32x4_t high = vaddq_f32(s->e1, s->o1);
    float lanes[8];
    vst1q_f32(lanes, low);
    vst1q_f32(lanes + 4, high);
    return eb_sum8((const eb_f32x8 *)(const void *)lanes);
}

EB_ROWDOTS_S4_DECL(S4_NAME) {
    const size_t step = (size_t)EB_S4_ROW_BYTES(cols);
    const float32x4_t none = vdupq_n_f32(0.0f);
    const s4_lanes zero = {none, none, none, none};
    for (int32_t r = 0; r < rows; r += 2) {
        const int two = r + 1 < rows;
        const uint8_t *w1 = two ? w + step : w;
        s4_lanes a = zero;
        s4_lanes b = zero;
        for (int32_t p = 0; p < cols / (2 * EB_S4_GROUP); p++) {
            const s4_input in[4] = {s4_load(x, 64 * p), s4_load(x, 64 * p + 16), s4_load(x, 64 * p + 32),
                                    s4_load(x, 64 * p + 48)};
            __builtin_prefetch(w1 + step + 32 * p);
            __builtin_prefetch(w1 + 2 * step + 32 * p);
            s4_pair(&a, w + 32 * p, w + cols / 2 + 2 * p, in);
            s4_pair(&b, w1 + 32 * p, w1 + cols / 2 + 2 * p, in);
        }
        y[r] = s4_total(&a);
        if (two) {
            y[r + 1] = s4_total(&b);
        }
        w = w1 + step;
    }
}
