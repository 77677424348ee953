// SPDX-License-Identifier: Apache-2.0
// The law for binary32 products.
#include "matvec_f32/matvec_f32.h"

EB_MATVEC_F32_DECL(eb_matvec_f32__ref) {
    (void)scratch; // 0 bytes
    for (int32_t r = 0; r < rows; r++) {
        float lane[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
        for (int32_t k = 0; k < cols; k++) {
            float product = w[k] * x[k];
            lane[k & 7] += product;
        }
        for (int32_t j = 0; j < 4; j++) {
            lane[j] += lane[j + 4];
        }
        acc[r] = (lane[0] + lane[2]) + (lane[1] + lane[3]);
        w += cols;
    }
}

EB_KERNEL(matvec_f32, ref, f32);
