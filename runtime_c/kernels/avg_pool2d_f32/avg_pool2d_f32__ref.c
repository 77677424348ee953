// SPDX-License-Identifier: Apache-2.0
// The law: per output pixel, per channel, the window's valid taps in order.
#include "avg_pool2d_f32/avg_pool2d_f32.h"

EB_AVG_POOL2D_F32_DECL(eb_avg_pool2d_f32__ref) {
    const eb_pool2d_shape *g = &p->window;
    for (int32_t n = 0; n < g->batch; n++) {
        for (int32_t oh = 0; oh < g->out_h; oh++) {
            eb_pool_span h = eb_pool_taps(oh * g->stride_h - g->pad_top, g->in_h, g->kernel_h, g->dilation_h);
            for (int32_t ow = 0; ow < g->out_w; ow++) {
                eb_pool_span w =
                    eb_pool_taps(ow * g->stride_w - g->pad_left, g->in_w, g->kernel_w, g->dilation_w);
                int32_t valid = (h.end - h.first) * (w.end - w.first);
                float count = (float)(p->fixed_count != 0 ? p->fixed_count : valid);
                for (int32_t c = 0; c < g->channels; c++) {
                    float sum = 0.0f;
                    for (int32_t kh = h.first; kh < h.end; kh++) {
                        const float *row = x + ((h.start + kh * g->dilation_h) * g->in_w) * g->channels + c;
                        for (int32_t kw = w.first; kw < w.end; kw++) {
                            float v = row[(w.start + kw * g->dilation_w) * g->channels];
                            sum += v;
                        }
                    }
                    *y++ = eb_div_f32(sum, count);
                }
            }
        }
        x += g->in_h * g->in_w * g->channels;
    }
}

EB_KERNEL(avg_pool2d_f32, ref, none);
