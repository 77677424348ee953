// SPDX-License-Identifier: Apache-2.0
// The law for ternary layers of points: every other variant is compared with this one.
#include "tpoints_s8/tpoints_s8.h"

EB_TPOINTS_S8_DECL(eb_tpoints_s8__ref);

EB_TPOINTS_S8_DECL(eb_tpoints_s8__ref) {
    (void)scratch; // 0 bytes
    const int32_t row_bytes = (p->cols + 3) >> 2;
    for (int32_t n = 0; n < p->pixels; n++, x += p->cols) {
        const uint8_t *codes = w;
        for (int32_t r = 0; r < p->rows; r++, codes += row_bytes) {
            int32_t sum = 0;
            for (int32_t k = 0; k < p->cols; k++) {
                sum += (((codes[k >> 2] >> ((k & 3) * 2)) & 3) - 1) * x[k];
            }
            *y++ = eb_requant(sum, &p->requant, &entries[r]);
        }
    }
}

EB_KERNEL(tpoints_s8, ref, t2);
