// SPDX-License-Identifier: Apache-2.0
// Convolutions (groups 1, dilation_h 1, int8 inputs) that pack each input row once and compute an output row
// from the last kh of them, four pairs of pixels at a time. The pixels of a pair are `half` apart, so that
// packed words serve all kernel positions that see them.
//
//   x        (n, h, w, c) int8
//   y        (n, oh, ow, outs) int8 or binary32, as the epilogue says. What an output row needs is packed
//            before any of it is written, and no input row is read twice, so y may overlap x at least as
//            far as when pixels are computed one by one (edgebit/ops/linear.py).
//   scratch  16-byte aligned: kh packed rows at 0, sums at acc_at, outputs of four pairs or sums of a pixel
//            at own_at, one padded input row at line_at. edgebit/ops/strips_c.py computes the size.
#ifndef EDGEBIT_CONV2D_STRIPS_H
#define EDGEBIT_CONV2D_STRIPS_H

#include "conv2d/conv2d.h"
#include "tstrips_s8/tstrips_s8.h"

typedef struct {
    int32_t n, h, w, c;
    int32_t kh, kw;
    int32_t oh, ow, outs;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t padding; // int8 value of padding: the input's zero point; 0 for dynamic int8
    int32_t half;    // pixels from the first of a pair to the second; 2 * half >= ow
    int32_t line;    // bytes of a padded input row
    int32_t lead;    // of these, before the image; a multiple of 4
    int32_t origin;  // where the first window begins in it
    int32_t apart;   // from there to where that of the second pixel of the pair does; a multiple of 4
    int32_t words;   // of a packed row, a multiple of 16
    int32_t blocks;  // of columns, see tstrips_s8.h
    int32_t acc_at;
    int32_t own_at;
    int32_t line_at;
    eb_strip strip;
    eb_epilogue_params epilogue;
} eb_conv2d_strips_params;

typedef void eb_strip_pack(const int8_t *const *pixel, uint32_t *x, int32_t count, int32_t stride);
typedef void eb_strip_product(const void *w, const uint32_t *const *x, uint32_t *acc, const eb_strip *strip,
                              uint32_t at, uint32_t skip);
typedef void eb_strip_requant(const eb_requant_params *params, const eb_requant_entry *entries,
                              const uint32_t *acc, int8_t *y, int32_t rows, int32_t blocks, int32_t step,
                              int32_t apart);

// Pack input row `y` of an image, which may lie outside of it.
EB_INLINE void eb_strip_row(const eb_conv2d_strips_params *p, const int8_t *image, int32_t y, int8_t *line,
                            uint32_t *to, eb_strip_pack *pack) {
    const int32_t bytes = p->w * p->c;
    if (y >= 0 && y < p->h) {
        memcpy(line + p->lead, image + y * bytes, (size_t)bytes);
    } else {
        memset(line + p->lead, (unsigned char)p->padding, (size_t)bytes);
    }
    const int8_t *from[EB_PIXELS]; // a packed row is four runs of a pair each, one behind the other
    const int32_t run = p->words >> 2;
    line += p->origin & ~3;
    for (int32_t i = 0; i < EB_PIXELS; i += 2, line += run) {
        from[i] = line;
        from[i + 1] = line + p->apart;
    }
    pack(from, to, run, run);
}

// Outputs of the pairs from `first` on, requantised. `skip`: pairs of the four that hold nothing.
EB_INLINE void eb_strip_finish(const eb_conv2d_strips_params *p, const eb_epilogue *e, int32_t first,
                               int32_t skip, eb_strip_requant *requant, int8_t *row, void *scratch) {
    const uint32_t *acc = (const void *)((int8_t *)scratch + p->acc_at);
    const int32_t outs = p->outs;
    if (skip == 0 && first + 3 + p->half < p->ow) {
        requant(&p->epilogue.requant, e->requant, acc, row + first * outs, outs, p->blocks, outs,
                p->half * outs);
        return;
    }
    const int8_t *own = (int8_t *)scratch + p->own_at;
    requant(&p->epilogue.requant, e->requant, acc, (int8_t *)scratch + p->own_at, outs, p->blocks, outs,
            EB_PIXEL_PAIRS * outs);
    own += skip * outs;
    for (int32_t j = skip; j < EB_PIXEL_PAIRS; j++, first++, own += outs) {
        if (first < p->ow) {
            memcpy(row + first * outs, own, (size_t)outs);
        }
        if (first + p->half < p->ow) {
            memcpy(row + (first + p->half) * outs, own + EB_PIXEL_PAIRS * outs, (size_t)outs);
        }
    }
}

// The same by a float epilogue. `plain`, a literal: sums are those of strips_s8.h, not packed words.
EB_INLINE void eb_strip_float(const eb_conv2d_strips_params *p, const eb_epilogue *e, int32_t first,
                              int32_t skip, float d, int plain, float *row, void *scratch) {
    int32_t *sums = (void *)((int8_t *)scratch + p->own_at);
    for (int32_t i = 2 * skip; i < EB_PIXELS; i++) {
        const int32_t pixel = first + (i >> 1) - skip + ((i & 1) ? p->half : 0);
        const int8_t *acc = (int8_t *)scratch + p->acc_at;
        const uint32_t *word = (const uint32_t *)(const void *)acc + (i >> 1);
        const int32_t *one = (const int32_t *)(const void *)acc + (i & 1) * EB_PIXEL_PAIRS + (i >> 1);
        if (pixel >= p->ow) {
            continue;
        }
        for (int32_t r = 0; r < p->outs; r++, word += EB_PIXEL_PAIRS, one += EB_PIXELS) {
            const uint32_t *from = word;
            int32_t sum = plain ? *one : 0;
            for (int32_t b = plain ? p->blocks : 0; b < p->blocks; b++, from += p->outs * EB_PIXEL_PAIRS) {
                sum += (i & 1) ? eb_pixel_high(*from) : eb_pixel_low(*from);
            }
            sums[r] = sum;
        }
        eb_epilogue_s32(e, &p->epilogue, sums, d, row + pixel * p->outs, p->outs);
    }
}

// The layer. `requant` is null for float epilogues; `plain` is a literal, see eb_strip_float.
EB_INLINE void eb_conv2d_strips(const eb_conv2d_strips_params *p, const int8_t *x, const void *w,
                                eb_strip_pack *pack, eb_strip_product *product, eb_strip_requant *requant,
                                const eb_epilogue *e, void *y, void *scratch, int plain) {
    int8_t *line = (int8_t *)scratch + p->line_at;
    uint32_t *sums = (void *)((int8_t *)scratch + p->acc_at);
    int8_t *out = y;
    memset(line, (unsigned char)p->padding, (size_t)p->line);
    for (int32_t n = 0; n < p->n; n++, x += p->h * p->w * p->c) {
        float d = e->kind == EB_EPILOGUE_DYNAMIC ? e->d[n] : 1.0f;
        int32_t next = -p->pad_top; // input row
        int32_t slot = 0;           // of the packed rows, the oldest
        for (int32_t oy = 0; oy < p->oh; oy++) {
            const int32_t top = oy * p->stride_h - p->pad_top;
            next = next < top ? top : next; // rows between are never seen
            for (; next < top + p->kh; next++) {
                eb_strip_row(p, x, next, line, (uint32_t *)scratch + slot * p->words, pack);
                slot = slot + 1 < p->kh ? slot + 1 : 0;
            }
            const uint32_t *rows[EB_STRIP_ROWS];
            for (int32_t ky = 0, s = slot; ky < p->kh; ky++, s = s + 1 < p->kh ? s + 1 : 0) {
                rows[ky] = (const uint32_t *)scratch + s * p->words + (p->origin & 3);
            }
            for (int32_t first = 0; first < p->half; first += EB_PIXEL_PAIRS) {
                const int32_t left = p->half - first;
                const int32_t skip = left < EB_PIXEL_PAIRS ? EB_PIXEL_PAIRS - left : 0;
                product(w, rows, sums + skip, &p->strip, 4 * (uint32_t)(first * p->strip.step),
                        4 * (uint32_t)skip);
                if (requant != NULL) {
                    eb_strip_finish(p, e, first, skip, requant, out, scratch);
                } else {
                    eb_strip_float(p, e, first, skip, d, plain, (void *)out, scratch);
                }
            }
            out += p->ow * p->outs * eb_epilogue_bytes(e);
        }
    }
}

#endif
