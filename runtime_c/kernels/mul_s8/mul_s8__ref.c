// SPDX-License-Identifier: Apache-2.0
// The law: one loop nest in int32.
#include "mul_s8/mul_s8.h"

EB_MUL_S8_DECL(eb_mul_s8__ref) {
    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t r = 0; r < p->rows; r++) {
            for (int32_t c = 0; c < p->cols; c++) {
                int32_t q = ((a[c] - p->za) * (b[c] - p->zb) * p->m + p->add) >> p->shift;
                y[c] = (int8_t)eb_clamp_s32(q, p->qmin, p->qmax);
            }
            a += p->cols;
            y += p->cols;
        }
        b += p->cols;
    }
}

EB_KERNEL(mul_s8, ref, none);
