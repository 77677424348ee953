// SPDX-License-Identifier: Apache-2.0
// The law for ternary products with a scale for each group of inputs, binary32. Layout "t2".
#include "tgroups_f32/tgroups_f32.h"

EB_TGROUPS_F32_DECL(eb_tgroups_f32__ref);

EB_TGROUPS_F32_DECL(eb_tgroups_f32__ref) {
    (void)scratch;
    const int32_t row_bytes = (cols + 3) >> 2;
    for (int32_t r = 0; r < rows; r++) {
        const float *scale = scales + r;
        for (int32_t first = 0; first < cols; first += group) {
            const int32_t end = cols - first < group ? cols : first + group;
            float lane[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
            for (int32_t k = first; k < end; k++) {
                const int32_t code = (w[k >> 2] >> ((k & 3) * 2)) & 3; // trit + 1
                if (code == 2) {
                    lane[k & 7] += x[k];
                } else if (code == 0) {
                    lane[k & 7] -= x[k];
                }
            }
            for (int32_t j = 0; j < 4; j++) {
                lane[j] += lane[j + 4];
            }
            const float term = ((lane[0] + lane[2]) + (lane[1] + lane[3])) * *scale;
            acc[r] = first == 0 ? term : acc[r] + term;
            scale += rows;
        }
        w += row_bytes;
    }
}

EB_KERNEL(tgroups_f32, ref, t2);
