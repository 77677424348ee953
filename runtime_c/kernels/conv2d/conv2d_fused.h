// SPDX-License-Identifier: Apache-2.0
// Convolutions by tiles of eight packed pixels (see conv2d_tiles.h) whose kernels requantise what they sum.
//
//   scratch  16-byte aligned: packed windows at 0; at own_at copies of windows, then the outputs of a short
//            tile; one pixel of padding at pad_at. edgebit/ops/tiles_c.py computes the size.
#ifndef EDGEBIT_CONV2D_FUSED_H
#define EDGEBIT_CONV2D_FUSED_H

#include "conv2d/conv2d_tiles.h"

typedef void eb_fused_product(const void *w, const uint32_t *x, const eb_requant_entry *entries, int8_t *y,
                              int32_t rows, int32_t cols, int32_t stride, int32_t skip);

// The layer; `padded` is a literal.
EB_INLINE void eb_conv2d_fused(const eb_conv2d_tiles_params *p, const int8_t *x, const void *w,
                               const eb_requant_entry *entries, eb_next_tile *next, eb_fused_product *product,
                               int8_t *y, void *scratch, int padded) {
    eb_tile t;
    int8_t *own = (int8_t *)scratch + p->own_at;
    if (padded) {
        memset((int8_t *)scratch + p->pad_at, (unsigned char)p->padding, (size_t)p->c);
    }
    for (int32_t n = 0; n < p->n; n++, x += p->h * p->w * p->c) {
        int32_t count = 0;
        eb_tile_start(p, &t, x, (const int8_t *)scratch + p->pad_at);
        for (int32_t left = p->oh * p->ow; left > 0; left -= count) {
            count = next(p, &t, left, scratch);
            const int whole = count == EB_PIXELS;
            const int32_t first = eb_tile_first(count, EB_PIXELS);
            product(w, scratch, entries, whole ? y : own, p->outs, p->cols, p->stride, first >> 1);
            if (!whole) {
                memcpy(y, own + first * p->outs, (size_t)(count * p->outs));
            }
            y += count * p->outs;
        }
    }
}

#endif
