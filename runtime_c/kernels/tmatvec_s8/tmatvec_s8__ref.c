// SPDX-License-Identifier: Apache-2.0
// The law for ternary x int8 products: every other variant is compared with this one.
#include "tmatvec_s8/tmatvec_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__ref) {
    (void)scratch; // 0 bytes
    int32_t row_bytes = (cols + 3) >> 2;
    for (int32_t r = 0; r < rows; r++) {
        int32_t sum = 0;
        for (int32_t k = 0; k < cols; k++) {
            int32_t code = (w[k >> 2] >> ((k & 3) * 2)) & 3; // trit + 1
            sum += (code - 1) * x[k];
        }
        acc[r] = sum;
        w += row_bytes;
    }
}

EB_KERNEL(tmatvec_s8, ref, t2);
