// SPDX-License-Identifier: Apache-2.0
// The law for ternary products of packed pixels that are requantised at once. Layout "t2": rows of 2-bit
// codes trit + 1.
#include "tpixels_fused_s8/tpixels_fused_s8.h"

EB_TPIXELS_FUSED_S8_DECL(eb_tpixels_fused_s8__ref);

EB_TPIXELS_FUSED_S8_DECL(eb_tpixels_fused_s8__ref) {
    const eb_requant_params all = {.half = 0, .pre_shift = 0, .qmin = -128, .qmax = 127};
    const int32_t row_bytes = (cols + 3) >> 2;
    for (int32_t r = 0; r < rows; r++, w += row_bytes) {
        for (int32_t j = 0; j < pairs; j++) {
            int32_t low = 0;
            int32_t high = 0;
            for (int32_t k = 0; k < cols; k++) {
                int32_t trit = (int32_t)(((uint32_t)w[k >> 2] >> ((k & 3) * 2)) & 3) - 1;
                low += trit * ((int32_t)(x[j * stride + k] & 0xFFFF) - 128);
                high += trit * ((int32_t)(x[j * stride + k] >> 16) - 128);
            }
            y[2 * j * rows + r] = eb_requant(low, &all, &entries[r]);
            y[(2 * j + 1) * rows + r] = eb_requant(high, &all, &entries[r]);
        }
    }
}

EB_KERNEL(tpixels_fused_s8, ref, t2);
