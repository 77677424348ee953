// SPDX-License-Identifier: Apache-2.0
// Convolutions (groups 1, int8 inputs, ternary weights) that compute a tile of output pixels at a time: the
// windows of the tile's pixels are packed together, multiplied by all weights at once, and finished.
//
//   x        (n, h, w, c) int8
//   y        (n, oh, ow, outs) int8 or binary32, as the epilogue says. A tile's windows are read whole before
//            any of its pixels is written and tiles never cross images, so y may overlap x at least as far as
//            when pixels are computed one by one (edgebit/ops/linear.py).
//   scratch  16-byte aligned: packed windows at 0, sums at acc_at, everything that lives only while others
//            do not at own_at, one pixel of padding at pad_at. edgebit/ops/tiles_c.py computes the size.
//
// The last tile of an image may be short: it repeats its last pixel, and what that yields is dropped.
#ifndef EDGEBIT_CONV2D_TILES_H
#define EDGEBIT_CONV2D_TILES_H

#include "conv2d/conv2d.h"
#include "tpixels_s8/tpixels_s8.h"

typedef struct {
    int32_t n, h, w, c;
    int32_t kh, kw;
    int32_t oh, ow, outs;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t padding; // int8 value of padding: the input's zero point; 0 for dynamic int8
    int32_t cols;    // kh * kw * c
    int32_t stride;  // words from one packed run to the next
    int32_t copy;    // bytes of a window copied before packing, 0: channels are packed where they lie
    int32_t blocks;  // of columns, see tpixels_s8.h
    int32_t sums;    // plain sums: outs rounded up to what the kernel writes for a pixel
    int32_t acc_at;
    int32_t own_at;
    int32_t pad_at;
    eb_epilogue_params epilogue;
} eb_conv2d_tiles_params;

// Pixels of the current tile: the input position of each window's top left corner, and where the next tile
// starts.
typedef struct {
    const int8_t *image;
    int32_t iy[EB_PIXELS];
    int32_t ix[EB_PIXELS];
    int32_t next_y;
    int32_t next_x;
    int32_t ox;
} eb_tile;

typedef void eb_pack_tile(const int8_t *const *pixel, uint32_t *x, int32_t count, int32_t stride);

// Take the next `count` pixels; the tile's other places repeat the last of them.
EB_INLINE void eb_tile_take(const eb_conv2d_tiles_params *p, eb_tile *t, int32_t count, int32_t pixels) {
    for (int32_t i = 0; i < pixels; i++) {
        if (i >= count) {
            t->iy[i] = t->iy[count - 1];
            t->ix[i] = t->ix[count - 1];
            continue;
        }
        t->iy[i] = t->next_y;
        t->ix[i] = t->next_x;
        t->next_x += p->stride_w;
        if (++t->ox == p->ow) {
            t->ox = 0;
            t->next_x = -p->pad_left;
            t->next_y += p->stride_h;
        }
    }
}

// Pack the windows of the tile, one kernel position after the other. `pixels` is a literal.
EB_INLINE void eb_tile_pack(const eb_conv2d_tiles_params *p, const eb_tile *t, int32_t pixels,
                            eb_pack_tile *pack, void *scratch) {
    const int8_t *at[EB_PIXELS];
    const int8_t *pad = (const int8_t *)scratch + p->pad_at;
    uint32_t *x = scratch;
    int32_t y = 0;
    for (int32_t ky = 0; ky < p->kh; ky++, y += p->dilation_h) {
        int32_t u = 0;
        for (int32_t kx = 0; kx < p->kw; kx++, u += p->dilation_w) {
            for (int32_t i = 0; i < pixels; i++) {
                int32_t iy = t->iy[i] + y;
                int32_t ix = t->ix[i] + u;
                int inside = (uint32_t)iy < (uint32_t)p->h && (uint32_t)ix < (uint32_t)p->w;
                at[i] = inside ? t->image + (iy * p->w + ix) * p->c : pad;
            }
            pack(at, x, p->c, p->stride);
            x += p->c;
        }
    }
}

// The same for channels that do not start at multiples of 4 bytes: windows are copied first.
EB_INLINE void eb_tile_copy_and_pack(const eb_conv2d_tiles_params *p, const eb_tile *t, int32_t pixels,
                                     eb_pack_tile *pack, void *scratch) {
    const int8_t *at[EB_PIXELS];
    int8_t *window = (int8_t *)scratch + p->own_at;
    eb_conv2d_params g = {.h = p->h,
                          .w = p->w,
                          .c = p->c,
                          .kh = p->kh,
                          .kw = p->kw,
                          .dilation_h = p->dilation_h,
                          .dilation_w = p->dilation_w,
                          .padding = p->padding};
    for (int32_t i = 0; i < pixels; i++, window += p->copy) {
        at[i] = window;
        eb_conv2d_gather(&g, t->image, t->iy[i], t->ix[i], 0, p->c, 1, window);
    }
    pack(at, scratch, p->cols, p->stride);
}

// Take and pack the next pixels, at most `left`; returns how many. `pixels` and `copy` are literals.
EB_INLINE int32_t eb_tile_next(const eb_conv2d_tiles_params *p, eb_tile *t, int32_t left, int32_t pixels,
                               int copy, eb_pack_tile *pack, void *scratch) {
    int32_t count = left < pixels ? left : pixels;
    eb_tile_take(p, t, count, pixels);
    if (copy) {
        eb_tile_copy_and_pack(p, t, pixels, pack, scratch);
    } else {
        eb_tile_pack(p, t, pixels, pack, scratch);
    }
    return count;
}

// Finish `count` pixels of packed sums by integer requantisation, which always makes eight.
typedef void eb_requant_tile(const eb_requant_params *params, const eb_requant_entry *entries,
                             const uint32_t *acc, int8_t *y, int32_t rows, int32_t blocks);

EB_INLINE void eb_tile_requant(const eb_conv2d_tiles_params *p, const eb_epilogue *e, int32_t count,
                               eb_requant_tile *requant, int8_t *out, void *scratch) {
    const uint32_t *acc = (const void *)((int8_t *)scratch + p->acc_at);
    int8_t *own = (int8_t *)scratch + p->own_at;
    int whole = count == EB_PIXELS;
    requant(&p->epilogue.requant, e->requant, acc, whole ? out : own, p->outs, p->blocks);
    if (!whole) {
        memcpy(out, own, (size_t)(count * p->outs));
    }
}

// Finish `count` pixels of packed sums by a float epilogue.
EB_INLINE void eb_tile_float(const eb_conv2d_tiles_params *p, const eb_epilogue *e, int32_t count, float d,
                             float *out, void *scratch) {
    const uint32_t *acc = (const void *)((int8_t *)scratch + p->acc_at);
    int32_t *sums = (void *)((int8_t *)scratch + p->own_at);
    for (int32_t i = 0; i < count; i++, out += p->outs) {
        const uint32_t *word = acc + (i >> 1);
        for (int32_t r = 0; r < p->outs; r++, word += EB_PIXEL_PAIRS) {
            const uint32_t *from = word;
            int32_t sum = 0;
            for (int32_t b = 0; b < p->blocks; b++, from += p->outs * EB_PIXEL_PAIRS) {
                sum += (i & 1) ? eb_pixel_high(*from) : eb_pixel_low(*from);
            }
            sums[r] = sum;
        }
        eb_epilogue_s32(e, &p->epilogue, sums, d, out, p->outs);
    }
}

// Finish `count` pixels of plain sums, int32 [pixel][rounded rows].
EB_INLINE void eb_tile_plain(const eb_conv2d_tiles_params *p, const eb_epilogue *e, int32_t count, float d,
                             int8_t *out, void *scratch) {
    const int32_t *acc = (const void *)((int8_t *)scratch + p->acc_at);
    for (int32_t i = 0; i < count; i++, acc += p->sums) {
        eb_epilogue_s32(e, &p->epilogue, acc, d, out, p->outs);
        out += p->outs * eb_epilogue_bytes(e);
    }
}

typedef int32_t eb_next_tile(const eb_conv2d_tiles_params *p, eb_tile *t, int32_t left, void *scratch);
typedef void eb_tile_product(const void *w, const uint32_t *x, void *acc, int32_t rows, int32_t cols,
                             int32_t stride, void *scratch);

// The layer. `requant` is null for float epilogues and for plain sums; `padded` and `plain` are literals.
EB_INLINE void eb_conv2d_tiles(const eb_conv2d_tiles_params *p, const int8_t *x, const void *w,
                               eb_next_tile *next, eb_tile_product *product, eb_requant_tile *requant,
                               const eb_epilogue *e, void *y, void *scratch, int padded, int plain) {
    eb_tile t;
    int8_t *out = y;
    if (padded) {
        memset((int8_t *)scratch + p->pad_at, (unsigned char)p->padding, (size_t)p->c);
    }
    for (int32_t n = 0; n < p->n; n++, x += p->h * p->w * p->c) {
        float d = e->kind == EB_EPILOGUE_DYNAMIC ? e->d[n] : 1.0f;
        int32_t count = 0;
        t.image = x;
        t.next_y = -p->pad_top;
        t.next_x = -p->pad_left;
        t.ox = 0;
        for (int32_t left = p->oh * p->ow; left > 0; left -= count) {
            count = next(p, &t, left, scratch);
            product(w, scratch, (int8_t *)scratch + p->acc_at, p->outs, p->cols, p->stride,
                    (int8_t *)scratch + p->own_at);
            if (plain) {
                eb_tile_plain(p, e, count, d, out, scratch);
            } else if (requant != NULL) {
                eb_tile_requant(p, e, count, requant, out, scratch);
            } else {
                eb_tile_float(p, e, count, d, (void *)out, scratch);
            }
            out += count * p->outs * eb_epilogue_bytes(e);
        }
    }
}

#endif
