// SPDX-License-Identifier: Apache-2.0
// The law for int8 x int8 products.
#include "matvec_s8/matvec_s8.h"

EB_MATVEC_S8_DECL(eb_matvec_s8__ref) {
    (void)scratch; // 0 bytes
    for (int32_t r = 0; r < rows; r++) {
        int32_t sum = 0;
        for (int32_t k = 0; k < cols; k++) {
            sum += w[k] * x[k];
        }
        acc[r] = sum;
        w += cols;
    }
}

EB_KERNEL(matvec_s8, ref, s8);
