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
// The last tile of an image may be short: its pixels are then in the last places (in whole pairs), places
// without a pixel repeat another, and what they yield is dropped.
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
    int32_t tile; // pixels of a tile, of drivers that have a choice
    eb_epilogue_params epilogue;
} eb_conv2d_tiles_params;

// The top left corner of a pixel's window: its position in the input, which may lie outside, and the same as
// an offset in bytes.
typedef struct {
    int32_t y, x, at;
} eb_corner;

// The current tile. min_... max_...: bounds of its corners. next: where the next tile starts, left: how many
// pixels the row has from there.
typedef struct {
    eb_corner corner[EB_PIXELS];
    const int8_t *image;
    const int8_t *pad;
    int32_t h, w;
    int32_t min_y, max_y;
    int32_t min_x, max_x;
    eb_corner next;
    int32_t left;
} eb_tile;

typedef void eb_pack_tile(const int8_t *const *pixel, uint32_t *x, int32_t count, int32_t stride);

// The first place that has a pixel when a tile of `pixels` places has `count`.
EB_INLINE int32_t eb_tile_first(int32_t count, int32_t pixels) {
    return (pixels - count) & ~1;
}

// Move on to the next `count` pixels.
void eb_conv2d__tiles_take(const eb_conv2d_tiles_params *p, eb_tile *t, int32_t count, int32_t pixels);
// Where each window's input at (y, x) from its corner is, `at` bytes on; the padding when outside the image.
void eb_conv2d__tiles_point(const eb_tile *t, int32_t y, int32_t x, int32_t at, const int8_t **from,
                            int32_t pixels);

#if defined(__thumb__) && defined(__ARM_ARCH_6M__)
// Copies the windows of the tile's pixels, p->copy bytes apart; dilation_w 1. A kernel row of up to 31 bytes
// takes 7 cycles and 4 a byte (modelled, Cortex-M0+).
void eb_conv2d__tiles_copy(const eb_conv2d_tiles_params *p, const eb_tile *t, int8_t *to, int32_t pixels);
#endif

EB_INLINE void eb_tile_start(const eb_conv2d_tiles_params *p, eb_tile *t, const int8_t *image,
                             const int8_t *pad) {
    t->image = image;
    t->pad = pad;
    t->h = p->h;
    t->w = p->w;
    t->next.y = -p->pad_top;
    t->next.x = -p->pad_left;
    t->next.at = (t->next.y * p->w + t->next.x) * p->c;
    t->left = p->ow;
}

// Pack the windows of the tile, one kernel position after the other. `pixels` is a literal.
EB_INLINE void eb_tile_pack(const eb_conv2d_tiles_params *p, const eb_tile *t, int32_t pixels,
                            eb_pack_tile *pack, void *scratch) {
    const int8_t *from[EB_PIXELS];
    uint32_t *x = scratch;
    int32_t y = 0;
    for (int32_t ky = 0; ky < p->kh; ky++, y += p->dilation_h) {
        int rows_inside = t->min_y + y >= 0 && t->max_y + y < p->h;
        int32_t at = y * p->w * p->c;
        int32_t u = 0;
        for (int32_t kx = 0; kx < p->kw; kx++, u += p->dilation_w, at += p->dilation_w * p->c) {
            if (rows_inside && t->min_x + u >= 0 && t->max_x + u < p->w) {
                for (int32_t i = 0; i < pixels; i++) {
                    from[i] = t->image + (t->corner[i].at + at);
                }
            } else {
                eb_conv2d__tiles_point(t, y, u, at, from, pixels);
            }
            pack(from, x, p->c, p->stride);
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
    for (int32_t i = 0; i < pixels; i++) {
        at[i] = window + i * p->copy;
    }
#if defined(__thumb__) && defined(__ARM_ARCH_6M__)
    if (p->dilation_w == 1) {
        eb_conv2d__tiles_copy(p, t, window, pixels);
        pack(at, scratch, p->cols, p->stride);
        return;
    }
#endif
    for (int32_t i = 0; i < pixels; i++, window += p->copy) {
        eb_conv2d_gather(&g, t->image, t->corner[i].y, t->corner[i].x, 0, p->c, 1, window);
    }
    pack(at, scratch, p->cols, p->stride);
}

// Take and pack the next pixels, at most `left`; returns how many. `pixels` and `copy` are literals.
EB_INLINE int32_t eb_tile_next(const eb_conv2d_tiles_params *p, eb_tile *t, int32_t left, int32_t pixels,
                               int copy, eb_pack_tile *pack, void *scratch) {
    int32_t count = left < pixels ? left : pixels;
    eb_conv2d__tiles_take(p, t, count, pixels);
    if (copy) {
        eb_tile_copy_and_pack(p, t, pixels, pack, scratch);
    } else {
        eb_tile_pack(p, t, pixels, pack, scratch);
    }
    return count;
}

// The same for a 1 x 1 kernel that reads all pixels of an image, whose channels are packed where they lie:
// pixels follow one another, t->next.at is where the next one is.
EB_INLINE int32_t eb_tile_next_line(const eb_conv2d_tiles_params *p, eb_tile *t, int32_t left, int32_t pixels,
                                    eb_pack_tile *pack, void *scratch) {
    const int8_t *from[EB_PIXELS];
    const int8_t *at = t->image + t->next.at;
    const int32_t c = p->c;
    if (left >= pixels) {
        for (int32_t i = 0; i < pixels; i++, at += c) {
            from[i] = at;
        }
        t->next.at += pixels * c;
    } else {
        const int32_t first = eb_tile_first(left, pixels);
        for (int32_t i = 0; i < pixels; i++) {
            from[i] = at;
            at += i >= first && i < first + left - 1 ? c : 0;
        }
    }
    pack(from, scratch, c, p->stride);
    return left < pixels ? left : pixels;
}

// Finish `count` pixels of packed sums by integer requantisation, which always makes eight.
typedef void eb_requant_tile(const eb_requant_params *params, const eb_requant_entry *entries,
                             const uint32_t *acc, int8_t *y, int32_t rows, int32_t blocks, int32_t step,
                             int32_t apart);

EB_INLINE void eb_tile_requant(const eb_conv2d_tiles_params *p, const eb_epilogue *e, int32_t count,
                               eb_requant_tile *requant, int8_t *out, void *scratch) {
    const uint32_t *acc = (const void *)((int8_t *)scratch + p->acc_at);
    int8_t *own = (int8_t *)scratch + p->own_at;
    int whole = count == EB_PIXELS;
    requant(&p->epilogue.requant, e->requant, acc, whole ? out : own, p->outs, p->blocks, 2 * p->outs,
            p->outs);
    if (!whole) {
        memcpy(out, own + eb_tile_first(count, EB_PIXELS) * p->outs, (size_t)(count * p->outs));
    }
}

// Finish `count` pixels of packed sums, or those of pixels_s8.h when `whole`, a literal, by a float epilogue.
EB_INLINE void eb_tile_float(const eb_conv2d_tiles_params *p, const eb_epilogue *e, int32_t count, float d,
                             int whole, float *out, void *scratch) {
    const int8_t *acc = (int8_t *)scratch + p->acc_at;
    int32_t *sums = (void *)((int8_t *)scratch + p->own_at);
    const int32_t start = eb_tile_first(count, EB_PIXELS);
    for (int32_t i = start; i < start + count; i++, out += p->outs) {
        const uint32_t *word = (const uint32_t *)(const void *)acc + (i >> 1);
        const int32_t *one = (const int32_t *)(const void *)acc + (i & 1) * EB_PIXEL_PAIRS + (i >> 1);
        for (int32_t r = 0; r < p->outs; r++, word += EB_PIXEL_PAIRS, one += EB_PIXELS) {
            const uint32_t *from = word;
            int32_t sum = whole ? *one : 0;
            for (int32_t b = whole ? p->blocks : 0; b < p->blocks; b++, from += p->outs * EB_PIXEL_PAIRS) {
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
                             int32_t stride, int32_t skip, void *scratch);

// The layer. `requant` is null for float epilogues and for plain sums; `padded` and `plain` are literals.
// plain: 0 sums are packed words, 1 those of tdots_s8.h, 2 those of pixels_s8.h.
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
        eb_tile_start(p, &t, x, (const int8_t *)scratch + p->pad_at);
        for (int32_t left = p->oh * p->ow; left > 0; left -= count) {
            count = next(p, &t, left, scratch);
            product(w, scratch, (int8_t *)scratch + p->acc_at, p->outs, p->cols, p->stride,
                    plain == 1 ? 0 : eb_tile_first(count, EB_PIXELS) >> 1, (int8_t *)scratch + p->own_at);
            if (plain == 1) {
                eb_tile_plain(p, e, count, d, out, scratch);
            } else if (requant != NULL) {
                eb_tile_requant(p, e, count, requant, out, scratch);
            } else {
                eb_tile_float(p, e, count, d, plain == 2, (void *)out, scratch);
            }
            out += count * p->outs * eb_epilogue_bytes(e);
        }
    }
}

#endif
