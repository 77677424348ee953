// SPDX-License-Identifier: Apache-2.0
// Four-bit rows times a vector: the law.
#include "rowdots_s4/rowdots_s4.h"

EB_ROWDOTS_S4_DECL(eb_rowdots_s4__ref);

EB_ROWDOTS_S4_DECL(eb_rowdots_s4__ref) {
    for (int32_t r = 0; r < rows; r++) {
        const uint8_t *code = w + cols / 2;
        eb_f32x16 lanes = {0.0f};
        for (int32_t g = 0; g < cols / EB_S4_GROUP; g++) {
            const uint8_t *bytes = w + g / 2 * EB_S4_GROUP;
            const int32_t first = g * EB_S4_GROUP;
            for (int32_t j = 0; j < 8; j++) {
                int32_t sum = 0;
                for (int32_t e = 4 * j; e < 4 * j + 4; e++) {
                    const int32_t u = g % 2 != 0 ? bytes[e] >> 4 : bytes[e] & 15;
                    sum += (u - 8) * (256 * x->high[first + e] + x->low[first + e]);
                }
                lanes[8 * (g % 2) + j] += (float)sum * (float)code[g];
            }
        }
        y[r] = eb_sum16(&lanes);
        w += EB_S4_ROW_BYTES(cols);
    }
}

EB_KERNEL(rowdots_s4, ref, none);
