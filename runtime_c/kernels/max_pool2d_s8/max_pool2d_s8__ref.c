// SPDX-License-Identifier: Apache-2.0
// The law: per output pixel, per channel, the window's valid taps in order.
#include "max_pool2d_s8/max_pool2d_s8.h"

EB_MAX_POOL2D_S8_DECL(eb_max_pool2d_s8__ref) {
    const eb_pool2d_shape *g = &p->window;
    for (int32_t n = 0; n < g->batch; n++) {
        for (int32_t oh = 0; oh < g->out_h; oh++) {
            eb_pool_span h = eb_pool_taps(oh * g->stride_h - g->pad_top, g->in_h, g->kernel_h, g->dilation_h);
            for (int32_t ow = 0; ow < g->out_w; ow++) {
                eb_pool_span w =
                    eb_pool_taps(ow * g->stride_w - g->pad_left, g->in_w, g->kernel_w, g->dilation_w);
                for (int32_t c = 0; c < g->channels; c++) {
                    int8_t m = x[((h.start + h.first * g->dilation_h) * g->in_w + w.start +
                                  w.first * g->dilation_w) *
                                     g->channels +
                                 c];
                    for (int32_t kh = h.first; kh < h.end; kh++) {
                        const int8_t *row = x + ((h.start + kh * g->dilation_h) * g->in_w) * g->channels + c;
                        for (int32_t kw = w.first; kw < w.end; kw++) {
                            int8_t v = row[(w.start + kw * g->dilation_w) * g->channels];
                            m = v > m ? v : m;
                        }
                    }
                    *y++ = m;
                }
            }
        }
        x += g->in_h * g->in_w * g->channels;
    }
}

EB_KERNEL(max_pool2d_s8, ref, none);
