// SPDX-License-Identifier: Apache-2.0
// Convolutions by tiles of packed pixels (see conv2d_tiles.h) whose kernels requantise what they sum. Tiles
// have eight pixels, or `tile`, a multiple of 8, where the windows are pixels that follow one another.
//
//   scratch  16-byte aligned: packed windows at 0; at own_at copies of windows, then the outputs of a short
//            tile or of the last pixel of an odd number; one pixel of padding at pad_at.
//            edgebit/ops/tiles_c.py computes the size.
#ifndef EDGEBIT_CONV2D_FUSED_H
#define EDGEBIT_CONV2D_FUSED_H

#include "conv2d/conv2d_tiles.h"

typedef void eb_fused_product(const void *w, const uint32_t *x, const eb_requant_entry *entries, int8_t *y,
                              int32_t rows, int32_t cols, int32_t stride, int32_t pairs);

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
            const int32_t skip = first >> 1;
            product(w, (const uint32_t *)scratch + skip * p->stride, entries,
                    (whole ? y : own) + first * p->outs, p->outs, p->cols, p->stride, EB_PIXEL_PAIRS - skip);
            if (!whole) {
                memcpy(y, own + first * p->outs, (size_t)(count * p->outs));
            }
            y += count * p->outs;
        }
    }
}

typedef void eb_pack_line(const int8_t *from, uint32_t *x, int32_t count, int32_t stride, int32_t second,
                          int32_t pairs);

// The same for a 1 x 1 kernel that reads all pixels of an image, with a multiple of 4 channels.
EB_INLINE void eb_conv2d_fused_line(const eb_conv2d_tiles_params *p, const int8_t *x, const void *w,
                                    const eb_requant_entry *entries, eb_pack_line *pack,
                                    eb_fused_product *product, int8_t *y, void *scratch) {
    const int32_t c = p->c;
    int8_t *own = (int8_t *)scratch + p->own_at;
    for (int32_t n = 0; n < p->n; n++) {
        int32_t count = 0;
        for (int32_t left = p->oh * p->ow; left > 0; left -= count) {
            count = left < p->tile ? left : p->tile;
            const int32_t pairs = count >> 1;
            if (pairs > 0) {
                pack(x, scratch, c, p->stride, c, pairs);
                product(w, scratch, entries, y, p->outs, c, p->stride, pairs);
                x += 2 * pairs * c;
                y += 2 * pairs * p->outs;
            }
            if (count & 1) { // the last pixel, twice
                pack(x, scratch, c, p->stride, 0, 1);
                product(w, scratch, entries, own, p->outs, c, p->stride, 1);
                memcpy(y, own, (size_t)p->outs);
                x += c;
                y += p->outs;
            }
        }
    }
}

#endif
