// SPDX-License-Identifier: Apache-2.0
// The law: one loop nest, one rounding each.
#include "mul_f32/mul_f32.h"

EB_MUL_F32_DECL(eb_mul_f32__ref) {
    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t r = 0; r < p->rows; r++) {
            for (int32_t c = 0; c < p->cols; c++) {
                y[c] = eb_clamp_f32(a[c] * b[c], p->lo, p->hi);
            }
            a += p->cols;
            y += p->cols;
        }
        b += p->cols;
    }
}

EB_KERNEL(mul_f32, ref, none);
