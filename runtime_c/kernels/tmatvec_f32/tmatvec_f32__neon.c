// SPDX-License-Identifier: Apache-2.0
// Ternary x binary32 products for AArch64, eight rows at a time, by the steps of t2r8_neon.h.
//
// Bounds: any cols. Eight sums a row, as the family's header orders them, all in registers.
// Cost (instructions per weight): 0.81 at 640 x 2560, 1.04 with subnormal inputs; the reference takes 15.
// Scratch: none.
#include "tmatvec_f32/t2r8_neon.h"
#include "tmatvec_f32/tmatvec_f32.h"

EB_TMATVEC_F32_DECL(eb_tmatvec_f32__neon);

EB_INLINE void t2r8_rows(const uint8_t *w, const float *x, const float *last, float *acc, int32_t rows,
                         int32_t cols, int whole) {
    const float32x4_t zero = vdupq_n_f32(0.0f);
    for (int32_t r = 0; r < rows; r += T2R8_ROWS) {
        t2r8_lanes a = {zero, zero, zero, zero, zero, zero, zero, zero};
        t2r8_lanes b = a;
        const float *at = x;
        for (int32_t n = cols / T2R8_COLS; n > 0; n--) {
            t2r8_step(&a, &b, w, at, whole);
            w += 2 * T2R8_COLS;
            at += T2R8_COLS;
        }
        if (cols % T2R8_COLS != 0) {
            t2r8_step(&a, &b, w, last, whole);
            w += 2 * T2R8_COLS;
        }
        vst1q_f32(acc + r, t2r8_sums(&a));
        vst1q_f32(acc + r + 4, t2r8_sums(&b));
    }
}

EB_TMATVEC_F32_DECL(eb_tmatvec_f32__neon) {
    (void)scratch;
    float last[T2R8_COLS] = {0.0f}; // what is left of x, then zeros: past cols lies anything
    for (int32_t k = cols / T2R8_COLS * T2R8_COLS; k < cols; k++) {
        last[k % T2R8_COLS] = x[k];
    }
    if (t2r8_halves(x, cols)) {
        t2r8_rows(w, x, last, acc, rows, cols, 0);
    } else {
        t2r8_rows(w, x, last, acc, rows, cols, 1);
    }
}

EB_KERNEL(tmatvec_f32, neon, t2r8);
