// SPDX-License-Identifier: Apache-2.0
// The law for ternary products of packed pixels. Layout "t2x": rows of 2-bit codes trit + 1, and a new block
// of sums every 255 columns, so that no row can have more nonzero trits in one.
#include "tpixels_s8/tpixels_s8.h"

EB_TPIXELS_S8_DECL(eb_tpixels_s8__ref);

EB_TPIXELS_S8_DECL(eb_tpixels_s8__ref) {
    (void)scratch; // 0 bytes
    int32_t row_bytes = (cols + 3) >> 2;
    for (int32_t first = 0; first < cols; first += 255) {
        int32_t end = cols - first < 255 ? cols : first + 255;
        const uint8_t *codes = w;
        for (int32_t r = 0; r < rows; r++, codes += row_bytes) {
            for (int32_t j = 0; j < EB_PIXEL_PAIRS; j++) {
                uint32_t sum = 0;
                for (int32_t k = first; k < end; k++) {
                    uint32_t code = ((uint32_t)codes[k >> 2] >> ((k & 3) * 2)) & 3;
                    sum += (code - 1) * x[j * stride + k];
                }
                *acc++ = sum;
            }
        }
    }
}

EB_KERNEL(tpixels_s8, ref, t2x);
