// SPDX-License-Identifier: Apache-2.0
// Averages of four channels at once for cores with the DSP extension (Cortex-M4, M7, M33), by UXTAB16.
//
// Cost (modelled cycles, Cortex-M4, no wait states): 2.3 a summed byte, 25 an output, 80 a pixel; 9 a summed
// byte
//   where the channels are no multiple of 4 or a window has more than 256 taps.
#include <arm_acle.h>

#include "avg_pool2d_s8/words.h"

EB_INLINE eb_avg_pool2d_sums sums(const eb_avg_pool2d_window *w, int32_t c) {
    const int8_t *row = w->first + c;
    uint16x2_t even = 0;
    uint16x2_t odd = 0;
    for (int32_t r = w->rows; r > 0; r--, row += w->row_step) {
        const int8_t *at = row;
        for (int32_t k = w->cols; k > 0; k--, at += w->col_step) {
            uint32_t v = ((const eb_avg_pool2d_word *)(const void *)at)->v ^ 0x80808080u;
            even = __uxtab16(even, (uint8x4_t)v);
            odd = __uxtab16(odd, (uint8x4_t)(v >> 8));
        }
    }
    return (eb_avg_pool2d_sums){(uint32_t)even, (uint32_t)odd};
}

EB_AVG_POOL2D_S8_DECL(eb_avg_pool2d_s8__armv7em) {
    eb_avg_pool2d_s8_words(p, x, mul, y, sums);
}

EB_KERNEL(avg_pool2d_s8, armv7em, none);
