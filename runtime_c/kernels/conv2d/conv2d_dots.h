// SPDX-License-Identifier: Apache-2.0
// Driver of convolutions with int8 weights (groups 1, dilation 1, int8 in and out) whose kernels multiply the
// windows of four lanes of pixels at once (dots_s8). A lane is a quarter of an output row or, with lane_rows,
// one of four output rows; outputs of four lanes lie together.
//
// Input rows are copied once, with their padding, to a ring of `slots`. For each four lanes the rows that
// their windows see are packed into words of two inputs, those of the lanes side by side. Two by two elements
// of all kernel rows follow each other:
//   rows 2j, 2j + 1 of the even element, for each j; the last of an odd number of rows, both elements;
//   rows 2j, 2j + 1 of the odd element, for each j
// so that a window is a run of words, wherever it begins. Where pixels begin at odd elements every other time
// (`sets` is 2), these have their own packed weights.
//
//   x        (n, h, w, c) int8
//   y        (n, oh, ow, outs) int8. Rows are copied before the outputs that need them first are written, so
//            y may overlap x as far as when pixels are computed one by one (edgebit/ops/linear.py).
//   scratch  16-byte aligned: packed words at 0, rows at rows_at, outputs of four lanes that are not all
//            there at own_at. edgebit/ops/dots_c.py computes the size.
#ifndef EDGEBIT_CONV2D_DOTS_H
#define EDGEBIT_CONV2D_DOTS_H

#include "conv2d/copy.h"
#include "dots_s8/dots_s8.h"
#include "pack_lanes/pack_lanes.h"

typedef struct {
    int32_t n, h, w, c;
    int32_t kh, kw;
    int32_t oh, ow, outs;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t padding;   // int8 value of padding: the input's zero point
    int32_t lane_rows; // 1: lanes are rows; 0: quarters of a row
    int32_t pixels;    // of a lane
    int32_t quads;     // four elements each: of a lane's packed rows
    int32_t words;     // of a window
    int32_t sets;      // 1 or 2
    int32_t set_words; // from one set of packed weights to the next
    int32_t line;      // bytes of a row of the ring
    int32_t lead;      // of these, before the image; a multiple of 4
    int32_t origin;    // where the first window begins in it
    int32_t slots;
    int32_t rows_at;
    int32_t own_at;
    eb_requant_params requant;
} eb_conv2d_dots_params;

typedef void eb_dots_pack(const int8_t *a, const int8_t *b, uint32_t *x, const eb_lanes_place *place);
typedef void eb_dots_kernel(const uint32_t *w, const eb_requant_entry *entries, const eb_dots_job *job);

EB_INLINE int8_t *eb_dots_row(const eb_conv2d_dots_params *p, int32_t y, int8_t *rows) {
    return rows + (y + p->pad_top) % p->slots * p->line;
}

// Pack the windows of four lanes, the first of which begins at input row `top`; `lanes` are there, if rows.
EB_INLINE void eb_dots_lanes(const eb_conv2d_dots_params *p, int32_t top, int32_t lanes, int8_t *rows,
                             uint32_t *x, eb_dots_pack *pack) {
    const int32_t half = p->kh >> 1;
    const int32_t odd = p->kh & 1;
    const eb_lanes_place place = {p->quads, EB_DOTS_LANES * (half + odd), EB_DOTS_LANES * p->kh};
    int32_t at = p->origin;
    for (int32_t q = 0; q < EB_DOTS_LANES; q++, x++) {
        for (int32_t j = 0; j < half; j++) {
            pack(eb_dots_row(p, top + 2 * j, rows) + at, eb_dots_row(p, top + 2 * j + 1, rows) + at,
                 x + EB_DOTS_LANES * j, &place);
        }
        if (odd) {
            pack(eb_dots_row(p, top + p->kh - 1, rows) + at, NULL, x + EB_DOTS_LANES * half, &place);
        }
        if (!p->lane_rows) {
            at += p->pixels * p->stride_w * p->c;
        } else if (q + 1 < lanes) { // lanes that are not there repeat the last one
            top += p->stride_h;
        }
    }
}

EB_INLINE void eb_conv2d_dots(const eb_conv2d_dots_params *p, const int8_t *x, const uint32_t *w,
                              const eb_requant_entry *entries, eb_dots_pack *pack, eb_dots_kernel *kernel,
                              int8_t *y, void *scratch) {
    int8_t *rows = (int8_t *)scratch + p->rows_at;
    int8_t *own = (int8_t *)scratch + p->own_at;
    const int32_t bytes = p->w * p->c;
    const int32_t step = p->stride_w * p->c; // elements from a pixel to the next
    const int32_t most = p->lane_rows ? EB_DOTS_LANES : 1;
    eb_dots_job job = {.step = p->sets * step / 2 * EB_DOTS_LANES * p->kh,
                       .y_pixel = p->sets * p->outs,
                       .y_lane = p->pixels * p->outs,
                       .rows = p->outs,
                       .words = p->words,
                       .requant = p->requant};
    memset(rows, (unsigned char)p->padding, (size_t)(p->slots * p->line));
    for (int32_t n = 0; n < p->n; n++, x += p->h * bytes) {
        int32_t next = -p->pad_top; // input row
        for (int32_t oy = 0; oy < p->oh; oy += most) {
            const int32_t made = p->oh - oy < most ? p->oh - oy : most; // output rows
            const int32_t top = oy * p->stride_h - p->pad_top;
            next = next < top ? top : next;
            for (; next < top + (made - 1) * p->stride_h + p->kh; next++) {
                int8_t *line = eb_dots_row(p, next, rows) + p->lead;
                if (next >= 0 && next < p->h) {
                    eb_conv2d_copy_line(line, x + next * bytes, bytes);
                } else {
                    memset(line, (unsigned char)p->padding, (size_t)bytes);
                }
            }
            eb_dots_lanes(p, top, made, rows, scratch, pack);
            const int32_t count = made * p->ow * p->outs;
            int8_t *to = count == EB_DOTS_LANES * p->pixels * p->outs ? y : own;
            for (int32_t s = 0; s < p->sets && s < p->pixels; s++) {
                const int32_t words = s * (step / 2 * p->kh + p->kh / 2);
                job.x = (const uint32_t *)scratch + EB_DOTS_LANES * words;
                job.y = to + s * p->outs;
                job.pixels = (p->pixels - s + p->sets - 1) / p->sets;
                kernel(w + s * p->set_words, entries, &job);
            }
            if (to != y) {
                eb_conv2d_copy_line(y, own, count);
            }
            y += count;
        }
    }
}

#endif
