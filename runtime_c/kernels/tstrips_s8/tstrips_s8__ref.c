// SPDX-License-Identifier: Apache-2.0
// The law for ternary products of strips. Layout "t2x": rows of 2-bit codes trit + 1; a block is 255 columns.
#include "tstrips_s8/tstrips_s8.h"

EB_TSTRIPS_S8_DECL(eb_tstrips_s8__ref);

// The sum over columns first..end of one row and pair; x is where the pair's window begins in each row.
static uint32_t block_sum(const uint8_t *codes, const uint32_t *const *x, const eb_strip *s, int32_t at,
                          int32_t first, int32_t end) {
    uint32_t sum = 0;
    int32_t k = 0;
    for (int32_t ky = 0; ky < s->kernel_rows; ky++) {
        for (int32_t kx = 0; kx < s->taps; kx++) {
            for (int32_t ch = 0; ch < s->channels; ch++, k++) {
                if (k >= first && k < end) {
                    uint32_t code = ((uint32_t)codes[k >> 2] >> ((k & 3) * 2)) & 3;
                    sum += (code - 1) * x[ky][at + kx * s->tap + ch];
                }
            }
        }
    }
    return sum;
}

EB_TSTRIPS_S8_DECL(eb_tstrips_s8__ref) {
    const int32_t cols = strip->kernel_rows * strip->taps * strip->channels;
    const int32_t row_bytes = (cols + 3) >> 2;
    const int32_t pairs = EB_PIXEL_PAIRS - (int32_t)(skip >> 2);
    for (int32_t first = 0; first < cols; first += 255) {
        const uint8_t *codes = w;
        for (int32_t r = 0; r < strip->rows; r++, codes += row_bytes, acc += EB_PIXEL_PAIRS) {
            for (int32_t j = 0; j < pairs; j++) {
                acc[j] = block_sum(codes, x, strip, (int32_t)(at >> 2) + j * strip->step, first, first + 255);
            }
        }
    }
}

EB_KERNEL(tstrips_s8, ref, t2x);
