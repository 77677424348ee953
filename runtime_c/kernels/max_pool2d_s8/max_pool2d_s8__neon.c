// SPDX-License-Identifier: Apache-2.0
// Maxima of sixteen channels at once for Advanced SIMD, then of eight, then of those left over one by one.
// The windows of all channels of a vector are read before they are written, which is the order of the family,
// and stricter.
//
// Cost (instructions, Cortex-A76): for sixteen channels 10, 9 a row and 6 a tap of their window, so 3.2 an
// output of 2 x 2, and 50 a pixel; plain C has 58 an output.
#include <arm_neon.h>

#include "max_pool2d_s8/words.h"

EB_MAX_POOL2D_S8_DECL(eb_max_pool2d_s8__neon);

EB_INLINE int8x16_t sixteen(const eb_max_pool2d_window *w, int32_t c) {
    const int8_t *row = w->first + c;
    int8x16_t m = vld1q_s8(row);
    for (int32_t r = w->rows; r > 0; r--, row += w->row_step) {
        const int8_t *at = row;
        for (int32_t k = w->cols; k > 0; k--, at += w->col_step) {
            m = vmaxq_s8(m, vld1q_s8(at));
            __asm__("" : "+r"(at)); // windows are small: unrolled loops would only cost
        }
    }
    return m;
}

EB_INLINE int8x8_t eight(const eb_max_pool2d_window *w, int32_t c) {
    const int8_t *row = w->first + c;
    int8x8_t m = vld1_s8(row);
    for (int32_t r = w->rows; r > 0; r--, row += w->row_step) {
        const int8_t *at = row;
        for (int32_t k = w->cols; k > 0; k--, at += w->col_step) {
            m = vmax_s8(m, vld1_s8(at));
            __asm__("" : "+r"(at));
        }
    }
    return m;
}

EB_MAX_POOL2D_S8_DECL(eb_max_pool2d_s8__neon) {
    const eb_pool2d_shape g = p->window; // y may not alias a copy
    eb_max_pool2d_window w = {NULL, 0, 0, g.dilation_h * g.in_w * g.channels, g.dilation_w * g.channels};
    for (int32_t n = 0; n < g.batch; n++) {
        for (int32_t oh = 0; oh < g.out_h; oh++) {
            const eb_pool_span h =
                eb_pool_taps(oh * g.stride_h - g.pad_top, g.in_h, g.kernel_h, g.dilation_h);
            const int32_t top = (h.start + h.first * g.dilation_h) * g.in_w;
            w.rows = h.end - h.first;
            for (int32_t ow = 0; ow < g.out_w; ow++) {
                const eb_pool_span v =
                    eb_pool_taps(ow * g.stride_w - g.pad_left, g.in_w, g.kernel_w, g.dilation_w);
                w.cols = v.end - v.first;
                w.first = x + (top + v.start + v.first * g.dilation_w) * g.channels;
                int32_t c = 0;
                for (; c + 16 <= g.channels; c += 16, y += 16) {
                    vst1q_s8(y, sixteen(&w, c));
                }
                for (; c + 8 <= g.channels; c += 8, y += 8) {
                    vst1_s8(y, eight(&w, c));
                }
                for (; c < g.channels; c++) {
                    *y++ = eb_max_pool2d_s8_byte(&w, c);
                }
            }
        }
        x += g.in_h * g.in_w * g.channels;
    }
}

EB_KERNEL(max_pool2d_s8, neon, none);
