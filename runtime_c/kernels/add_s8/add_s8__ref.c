// SPDX-License-Identifier: Apache-2.0
// The law: one loop nest in int32.
#include "add_s8/add_s8.h"

EB_ADD_S8_DECL(eb_add_s8__ref) {
    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t r = 0; r < p->rows; r++) {
            for (int32_t c = 0; c < p->cols; c++) {
                int32_t q = (p->ma * a[c] + p->mb * b[c] + p->add) >> p->shift;
                y[c] = (int8_t)eb_clamp_s32(q, p->qmin, p->qmax);
            }
            a += p->cols;
            y += p->cols;
        }
        b += p->cols;
    }
}

EB_KERNEL(add_s8, ref, none);
