// SPDX-License-Identifier: Apache-2.0
// The law for int8 products of strips. Layout "s8": rows of weights.
#include "strips_s8/strips_s8.h"

EB_STRIPS_S8_DECL(eb_strips_s8__ref);

EB_STRIPS_S8_DECL(eb_strips_s8__ref) {
    const int32_t pairs = EB_PIXEL_PAIRS - (int32_t)(skip >> 2);
    const int8_t *row = w;
    for (int32_t r = 0; r < strip->rows; r++, acc += EB_PIXELS) {
        const int8_t *next = row;
        for (int32_t j = 0; j < pairs; j++) {
            int32_t low = 0;
            int32_t high = 0;
            next = row;
            for (int32_t ky = 0; ky < strip->kernel_rows; ky++) {
                const uint32_t *in = x[ky] + (int32_t)(at >> 2) + j * strip->step;
                for (int32_t kx = 0; kx < strip->taps; kx++, in += strip->tap) {
                    for (int32_t ch = 0; ch < strip->channels; ch++) {
                        int32_t weight = *next++;
                        low += weight * eb_pixel_low(in[ch]);
                        high += weight * eb_pixel_high(in[ch]);
                    }
                }
            }
            acc[j] = low;
            acc[EB_PIXEL_PAIRS + j] = high;
        }
        row = next;
    }
}

EB_KERNEL(strips_s8, ref, s8);
