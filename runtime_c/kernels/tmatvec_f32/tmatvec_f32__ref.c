// SPDX-License-Identifier: Apache-2.0
// The law for ternary x binary32 products.
#include "tmatvec_f32/tmatvec_f32.h"

EB_TMATVEC_F32_DECL(eb_tmatvec_f32__ref) {
    (void)scratch; // 0 bytes
    int32_t row_bytes = (cols + 3) >> 2;
    for (int32_t r = 0; r < rows; r++) {
        float lane[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
        for (int32_t k = 0; k < cols; k++) {
            int32_t code = (w[k >> 2] >> ((k & 3) * 2)) & 3; // trit + 1
            if (code == 2) {
                lane[k & 7] += x[k];
            } else if (code == 0) {
                lane[k & 7] -= x[k];
            }
        }
        for (int32_t j = 0; j < 4; j++) {
            lane[j] += lane[j + 4];
        }
        acc[r] = (lane[0] + lane[2]) + (lane[1] + lane[3]);
        w += row_bytes;
    }
}

EB_KERNEL(tmatvec_f32, ref, t2);
