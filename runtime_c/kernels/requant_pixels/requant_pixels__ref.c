// SPDX-License-Identifier: Apache-2.0
#include "requant_pixels/requant_pixels.h"

#include "tpixels_s8/tpixels_s8.h"

EB_REQUANT_PIXELS_DECL(eb_requant_pixels__ref);

EB_REQUANT_PIXELS_DECL(eb_requant_pixels__ref) {
    for (int32_t r = 0; r < rows; r++, acc += EB_PIXEL_PAIRS) {
        for (int32_t j = 0; j < EB_PIXEL_PAIRS; j++) {
            int32_t low = 0;
            int32_t high = 0;
            const uint32_t *word = acc + j;
            for (int32_t b = 0; b < blocks; b++, word += rows * EB_PIXEL_PAIRS) {
                low += eb_pixel_low(*word);
                high += eb_pixel_high(*word);
            }
            y[j * step + r] = eb_requant(low, params, &entries[r]);
            y[j * step + apart + r] = eb_requant(high, params, &entries[r]);
        }
    }
}

EB_KERNEL(requant_pixels, ref, none);
