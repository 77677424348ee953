// SPDX-License-Identifier: Apache-2.0
// The law: one pass per row.
#include "argmax_s8/argmax_s8.h"

EB_ARGMAX_S8_DECL(eb_argmax_s8__ref) {
    for (int32_t r = 0; r < p->rows; r++) {
        int32_t best = 0;
        int8_t m = x[0];
        for (int32_t i = 1; i < p->cols; i++) {
            if (x[i] > m) {
                m = x[i];
                best = i;
            }
        }
        y[r] = best;
        x += p->cols;
    }
}

EB_KERNEL(argmax_s8, ref, none);
