// SPDX-License-Identifier: Apache-2.0
// The law for ternary products with several int8 vectors: every other variant is compared with this one.
#include "tmatmat_s8/tmatmat_s8.h"

EB_TMATMAT_S8_DECL(eb_tmatmat_s8__ref);

EB_TMATMAT_S8_DECL(eb_tmatmat_s8__ref) {
    (void)scratch; // 0 bytes
    const int32_t row_bytes = (cols + 3) >> 2;
    for (int32_t r = 0; r < rows; r++) {
        int32_t sum[EB_TMATMAT_TOKENS] = {0};
        for (int32_t k = 0; k < cols; k++) {
            const int32_t trit = ((w[k >> 2] >> ((k & 3) * 2)) & 3) - 1;
            for (int32_t t = 0; t < tokens; t++) {
                sum[t] += trit * x[t * (ptrdiff_t)x_step + k];
            }
        }
        for (int32_t t = 0; t < tokens; t++) {
            acc[t * (ptrdiff_t)acc_step + r] = sum[t];
        }
        w += row_bytes;
    }
}

EB_KERNEL(tmatmat_s8, ref, t2);
