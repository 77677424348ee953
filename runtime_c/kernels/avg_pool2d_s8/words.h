// SPDX-License-Identifier: Apache-2.0
// Average pooling by words of four channels: even and odd bytes are summed as halves of 16 bits. For cores
// that give a way to add a word's bytes, when pixels begin at multiples of 4 bytes and windows have at most
// 256 taps. Four channels' windows are read just before they are written, which is the order of the family,
// and stricter.
#ifndef EDGEBIT_AVG_POOL2D_S8_WORDS_H
#define EDGEBIT_AVG_POOL2D_S8_WORDS_H

#include "avg_pool2d_s8/avg_pool2d_s8.h"

typedef struct {
    uint32_t v;
} __attribute__((may_alias)) eb_avg_pool2d_word;

// Sums of four channels, x + 128 each: at most 256 * 255 < 2^16.
typedef struct {
    uint32_t even, odd;
} eb_avg_pool2d_sums;

// The window of one output pixel: its first valid tap in the input, and where the others lie.
typedef struct {
    const int8_t *first;
    int32_t rows, cols; // valid taps
    int32_t row_step, col_step;
} eb_avg_pool2d_window;

typedef eb_avg_pool2d_sums eb_avg_pool2d_add(const eb_avg_pool2d_window *w, int32_t c);

// Not inline: its caller's loops need the registers.
static __attribute__((noinline)) int32_t eb_avg_pool2d_s8_byte(const eb_avg_pool2d_window *w, int32_t c) {
    const int8_t *row = w->first + c;
    int32_t sum = 0;
    for (int32_t r = w->rows; r > 0; r--, row += w->row_step) {
        const int8_t *at = row;
        for (int32_t k = w->cols; k > 0; k--, at += w->col_step) {
            sum += *at;
        }
    }
    return sum;
}

EB_INLINE void eb_avg_pool2d_s8_words(const eb_avg_pool2d_s8_params *p, const int8_t *x, const int32_t *mul,
                                      int8_t *y, eb_avg_pool2d_add *add) {
    const eb_avg_pool2d_s8_params q = *p; // y may not alias a copy
    const eb_pool2d_shape *g = &q.window;
    const int32_t aligned = (g->channels & 3) == 0;
    eb_avg_pool2d_window w = {NULL, 0, 0, g->in_w * g->channels, g->channels};
    for (int32_t n = 0; n < g->batch; n++) {
        for (int32_t oh = 0; oh < g->out_h; oh++) {
            eb_pool_span h = eb_pool_taps(oh * g->stride_h - g->pad_top, g->in_h, g->kernel_h, 1);
            w.rows = h.end - h.first;
            for (int32_t ow = 0; ow < g->out_w; ow++) {
                eb_pool_span v = eb_pool_taps(ow * g->stride_w - g->pad_left, g->in_w, g->kernel_w, 1);
                w.cols = v.end - v.first;
                w.first = x + ((h.start + h.first) * g->in_w + v.start + v.first) * g->channels;
                int32_t valid = w.rows * w.cols;
                int32_t scale = mul[(q.fixed_count != 0 ? q.fixed_count : valid) - q.first_count];
                int32_t c = 0;
                if (aligned && valid <= 256) {
                    const int32_t zero = (128 + q.zp_in) * valid;
                    for (; c < g->channels; c += 4) {
                        eb_avg_pool2d_sums s = add(&w, c);
                        for (int32_t i = 0; i < 2; i++, s.even >>= 16, s.odd >>= 16) {
                            int32_t even = ((int32_t)(s.even & 0xFFFF) - zero) * scale + q.add;
                            int32_t odd = ((int32_t)(s.odd & 0xFFFF) - zero) * scale + q.add;
                            *y++ = (int8_t)eb_clamp_s32(even >> q.shift, q.qmin, q.qmax);
                            *y++ = (int8_t)eb_clamp_s32(odd >> q.shift, q.qmin, q.qmax);
                        }
                    }
                }
                for (; c < g->channels; c++) {
                    int32_t sum = eb_avg_pool2d_s8_byte(&w, c) - q.zp_in * valid;
                    *y++ = (int8_t)eb_clamp_s32((sum * scale + q.add) >> q.shift, q.qmin, q.qmax);
                }
            }
        }
        x += g->in_h * g->in_w * g->channels;
    }
}

#endif
