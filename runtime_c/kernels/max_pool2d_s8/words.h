// SPDX-License-Identifier: Apache-2.0
// Maximum pooling by words of four channels, for cores that give a way to take the larger of packed bytes.
// Four channels' windows are read just before they are written, which is the order of the family, and
// stricter.
#ifndef EDGEBIT_MAX_POOL2D_S8_WORDS_H
#define EDGEBIT_MAX_POOL2D_S8_WORDS_H

#include "max_pool2d_s8/max_pool2d_s8.h"

typedef struct {
    uint32_t v;
} __attribute__((may_alias)) eb_max_pool2d_word;

// The window of one output pixel: its first valid tap in the input, and where the others lie.
typedef struct {
    const int8_t *first;
    int32_t rows, cols; // valid taps
    int32_t row_step, col_step;
} eb_max_pool2d_window;

EB_INLINE int8_t eb_max_pool2d_s8_byte(const eb_max_pool2d_window *w, int32_t c) {
    const int8_t *row = w->first + c;
    int32_t m = *row;
    for (int32_t r = w->rows; r > 0; r--, row += w->row_step) {
        const int8_t *at = row;
        for (int32_t k = w->cols; k > 0; k--, at += w->col_step) {
            m = *at > m ? *at : m;
        }
    }
    return (int8_t)m;
}

EB_INLINE uint32_t eb_max_pool2d_s8_load(const int8_t *at) {
    return ((const eb_max_pool2d_word *)(const void *)at)->v;
}

EB_INLINE uint32_t eb_max_pool2d_s8_word(const eb_max_pool2d_window *w, int32_t c,
                                         uint32_t (*largest)(uint32_t a, uint32_t b)) {
    const int8_t *row = w->first + c;
    const int8_t *at = row;
    uint32_t m = eb_max_pool2d_s8_load(at);
    for (int32_t r = w->rows;;) {
        for (int32_t k = w->cols; k > 1; k--) {
            at += w->col_step;
            m = largest(eb_max_pool2d_s8_load(at), m);
        }
        if (--r == 0) {
            return m;
        }
        row += w->row_step;
        at = row;
        m = largest(eb_max_pool2d_s8_load(at), m);
    }
}

// All channels of a window of 2 x 2 valid taps.
EB_INLINE void eb_max_pool2d_s8_four(const eb_max_pool2d_window *w, int32_t channels, int8_t *y,
                                     uint32_t (*largest)(uint32_t a, uint32_t b)) {
    const int8_t *a = w->first;
    const int8_t *b = a + w->row_step;
    const int32_t next = w->col_step;
    for (const int8_t *end = a + channels; a != end; a += 4, b += 4, y += 4) {
        uint32_t m = largest(eb_max_pool2d_s8_load(a), eb_max_pool2d_s8_load(a + next));
        m = largest(eb_max_pool2d_s8_load(b), m);
        ((eb_max_pool2d_word *)(void *)y)->v = largest(eb_max_pool2d_s8_load(b + next), m);
    }
}

EB_INLINE void eb_max_pool2d_s8_words(const eb_max_pool2d_s8_params *p, const int8_t *x, int8_t *y,
                                      uint32_t (*largest)(uint32_t a, uint32_t b)) {
    const eb_pool2d_shape g = p->window;
    const int32_t words = (g.channels & 3) == 0;
    eb_max_pool2d_window w = {NULL, 0, 0, g.dilation_h * g.in_w * g.channels, g.dilation_w * g.channels};
    for (int32_t n = 0; n < g.batch; n++) {
        for (int32_t oh = 0; oh < g.out_h; oh++) {
            eb_pool_span h = eb_pool_taps(oh * g.stride_h - g.pad_top, g.in_h, g.kernel_h, g.dilation_h);
            int32_t top = (h.start + h.first * g.dilation_h) * g.in_w;
            w.rows = h.end - h.first;
            for (int32_t ow = 0; ow < g.out_w; ow++) {
                eb_pool_span v = eb_pool_taps(ow * g.stride_w - g.pad_left, g.in_w, g.kernel_w, g.dilation_w);
                w.cols = v.end - v.first;
                w.first = x + (top + v.start + v.first * g.dilation_w) * g.channels;
                if (words && w.rows == 2 && w.cols == 2) {
                    eb_max_pool2d_s8_four(&w, g.channels, y, largest);
                    y += g.channels;
                } else if (words) {
                    for (int32_t c = 0; c < g.channels; c += 4, y += 4) {
                        ((eb_max_pool2d_word *)(void *)y)->v = eb_max_pool2d_s8_word(&w, c, largest);
                    }
                } else {
                    for (int32_t c = 0; c < g.channels; c++) {
                        *y++ = eb_max_pool2d_s8_byte(&w, c);
                    }
                }
            }
        }
        x += g.in_h * g.in_w * g.channels;
    }
}

#endif
