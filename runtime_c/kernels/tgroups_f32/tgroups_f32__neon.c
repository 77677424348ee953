// SPDX-License-Identifier: Apache-2.0
// Ternary products with a scale for each group of inputs, binary32, for AArch64: the steps of t2r8_neon.h,
// and after each group the tree, a multiplication and an addition for eight rows.
//
// Bounds: any cols. Eight sums a row and group, as the family's header orders them, all in registers.
// Cost (instructions per weight): 0.86 at 640 x 2560 with groups of 128.
// Scratch: none of what the family gives.
#include "tgroups_f32/tgroups_f32.h"
#include "tmatvec_f32/t2r8_neon.h"

EB_TGROUPS_F32_DECL(eb_tgroups_f32__neon);

EB_INLINE void t2r8_term(float *acc, const t2r8_lanes *lanes, const float *scale, int first) {
    const float32x4_t term = vmulq_f32(t2r8_sums(lanes), vld1q_f32(scale));
    vst1q_f32(acc, first ? term : vaddq_f32(vld1q_f32(acc), term));
}

EB_INLINE void t2r8_groups(const uint8_t *w, const float *scales, const float *x, const float *last,
                           float *acc, int32_t rows, int32_t cols, int32_t group, int whole) {
    const float32x4_t zero = vdupq_n_f32(0.0f);
    const int32_t row_step = (rows + T2R8_ROWS - 1) & -T2R8_ROWS;
    for (int32_t r = 0; r < rows; r += T2R8_ROWS) {
        const float *at = x;
        const float *scale = scales + r;
        for (int32_t first = 0; first < cols; first += group) {
            const int32_t n = cols - first < group ? cols - first : group;
            t2r8_lanes a = {zero, zero, zero, zero, zero, zero, zero, zero};
            t2r8_lanes b = a;
            for (int32_t left = n; left > 0; left -= T2R8_COLS) {
                t2r8_step(&a, &b, w, left < T2R8_COLS ? last : at, whole);
                w += 2 * T2R8_COLS;
                at += T2R8_COLS;
            }
            t2r8_term(acc + r, &a, scale, first == 0);
            t2r8_term(acc + r + 4, &b, scale + 4, first == 0);
            scale += row_step;
        }
    }
}

EB_TGROUPS_F32_DECL(eb_tgroups_f32__neon) {
    (void)scratch;
    float last[T2R8_COLS] = {0.0f}; // what is left of x, then zeros: past cols lies anything
    for (int32_t k = cols / T2R8_COLS * T2R8_COLS; k < cols; k++) {
        last[k % T2R8_COLS] = x[k];
    }
    if (t2r8_halves(x, cols)) {
        t2r8_groups(w, scales, x, last, acc, rows, cols, group, 0);
    } else {
        t2r8_groups(w, scales, x, last, acc, rows, cols, group, 1);
    }
}

EB_KERNEL(tgroups_f32, neon, t2r8);
