// SPDX-License-Identifier: Apache-2.0
// The law for int8 products of packed pixels. Layout "s8": rows of weights.
#include "pixels_s8/pixels_s8.h"

EB_PIXELS_S8_DECL(eb_pixels_s8__ref);

EB_PIXELS_S8_DECL(eb_pixels_s8__ref) {
    for (int32_t r = 0; r < rows; r++, w += cols, acc += EB_PIXELS) {
        for (int32_t j = 0; j < EB_PIXEL_PAIRS; j++) {
            int32_t low = 0;
            int32_t high = 0;
            for (int32_t k = 0; k < cols; k++) {
                low += w[k] * eb_pixel_low(x[j * stride + k]);
                high += w[k] * eb_pixel_high(x[j * stride + k]);
            }
            acc[j] = low;
            acc[EB_PIXEL_PAIRS + j] = high;
        }
    }
}

EB_KERNEL(pixels_s8, ref, s8);
