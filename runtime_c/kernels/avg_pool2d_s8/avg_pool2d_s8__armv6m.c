// SPDX-License-Identifier: Apache-2.0
// Averages of four channels at once for Armv6-M.
//
// T adds words of bytes x + 128, O their odd bytes as halves of 16 bits; the even bytes' sums are T - 256 O.
// Cost (modelled cycles, Cortex-M0+, no wait states): 3.5 a summed byte, 40 an output, 100 a pixel; 12 a
// summed
//   byte where the channels are no multiple of 4 or a window has more than 256 taps.
#include "avg_pool2d_s8/words.h"

EB_INLINE eb_avg_pool2d_sums sums(const eb_avg_pool2d_window *w, int32_t c) {
    const int8_t *row = w->first + c;
    const uint32_t signs = 0x80808080u;
    const uint32_t low = 0x00FF00FFu;
    uint32_t all = 0;
    uint32_t odd = 0;
    for (int32_t r = w->rows; r > 0; r--, row += w->row_step) {
        const int8_t *at = row;
        for (int32_t k = w->cols; k > 0; k--, at += w->col_step) {
            uint32_t v = ((const eb_avg_pool2d_word *)(const void *)at)->v ^ signs;
            all += v;
            odd += v >> 8 & low;
        }
    }
    return (eb_avg_pool2d_sums){all - (odd << 8), odd};
}

EB_AVG_POOL2D_S8_DECL(eb_avg_pool2d_s8__armv6m) {
    eb_avg_pool2d_s8_words(p, x, mul, y, sums);
}

EB_KERNEL(avg_pool2d_s8, armv6m, none);
