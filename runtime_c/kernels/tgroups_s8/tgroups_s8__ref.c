// SPDX-License-Identifier: Apache-2.0
// The law for ternary products with a scale for each group of inputs, int8. Layout "t2": rows of codes trit
// + 1.
#include "tgroups_s8/tgroups_s8.h"

EB_TGROUPS_S8_DECL(eb_tgroups_s8__ref);

EB_TGROUPS_S8_DECL(eb_tgroups_s8__ref) {
    (void)scratch;
    const int32_t row_bytes = (cols + 3) >> 2;
    for (int32_t r = 0; r < rows; r++) {
        const float *scale = scales + r;
        const float *unit = d;
        for (int32_t first = 0; first < cols; first += group) {
            const int32_t end = cols - first < group ? cols : first + group;
            int32_t sum = 0;
            for (int32_t k = first; k < end; k++) {
                sum += (((w[k >> 2] >> ((k & 3) * 2)) & 3) - 1) * x[k];
            }
            const float term = ((float)sum * *scale) * *unit;
            acc[r] = first == 0 ? term : acc[r] + term;
            scale += rows;
            unit += units > 1;
        }
        w += row_bytes;
    }
}

EB_KERNEL(tgroups_s8, ref, t2);
