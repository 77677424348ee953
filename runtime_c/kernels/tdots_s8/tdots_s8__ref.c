// SPDX-License-Identifier: Apache-2.0
// The law for ternary products of two pixels. Layout "t2": rows of 2-bit codes trit + 1.
#include "tdots_s8/tdots_s8.h"

EB_TDOTS_S8_DECL(eb_tdots_s8__ref);

EB_TDOTS_S8_DECL(eb_tdots_s8__ref) {
    (void)stride;
    (void)scratch; // 0 bytes
    int32_t row_bytes = (cols + 3) >> 2;
    for (int32_t p = 0; p < 2; p++) {
        const uint8_t *codes = w;
        for (int32_t r = 0; r < rows; r++, codes += row_bytes) {
            int32_t sum = 0;
            for (int32_t k = 0; k < cols; k++) {
                int32_t code = (codes[k >> 2] >> ((k & 3) * 2)) & 3;
                uint32_t word = x[(k & ~3) + 2 * (k & 1) + p];
                sum += (code - 1) * (int16_t)((k & 2 ? word >> 16 : word) & 0xFFFF);
            }
            *acc++ = sum;
        }
    }
}

EB_KERNEL(tdots_s8, ref, t2);
