// SPDX-License-Identifier: Apache-2.0
// Driver of 3 x 3 depthwise convolutions by bands of output rows from copies of their inputs (kernels of
// family dwconvband_t_s8). `copy` is called where the channels are a multiple of 4; others are copied here.
//
//   x        (n, h, w, c) int8
//   y        (n, oh, ow, c) int8. All inputs of a band are copied before its first output is written, and
//            later bands read no input row above their own windows, so y may overlap x as far as when
//            pixels are computed one by one (edgebit/ops/linear.py).
//   scratch  16-byte aligned: the copy at 0; at own_at, where bands do not fill the image, the outputs of the
//            last one. edgebit/ops/bands_c.py computes the size.
#ifndef EDGEBIT_DEPTHWISE_BAND_H
#define EDGEBIT_DEPTHWISE_BAND_H

#include "copy_runs/copy_runs.h"
#include "dwconvband_t_s8/dwconvband_t_s8.h"

typedef struct {
    int32_t n, h, w, c;
    int32_t kh, kw;
    int32_t oh, ow, outs;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t padding;      // int8 value of padding: the input's zero point
    int32_t band;         // output rows of a band
    int32_t rows;         // input rows of a band
    int32_t inside;       // columns of the image that are copied
    int32_t columns;      // of the copy
    int32_t x_row, x_col; // bytes from a row or a column of the copy to the next
    int32_t own_at;
} eb_depthwise_band_params;

typedef void eb_dwconvband_product(const void *w, const eb_requant_entry *entries,
                                   const eb_dwconvband_job *job);

typedef void eb_copy_runs(int8_t *to, const int8_t *from, int32_t bytes, int32_t count, int32_t step);

// Fills `count` runs of `bytes` bytes, `step` bytes apart.
EB_INLINE void eb_depthwise_fill(int8_t *to, int32_t padding, int32_t bytes, int32_t count, int32_t step) {
    for (; count > 0; count--, to += step) {
        memset(to, (unsigned char)padding, (size_t)bytes);
    }
}

EB_INLINE void eb_depthwise_band(const eb_depthwise_band_params *p, const int8_t *x, const void *w,
                                 const eb_requant_entry *entries, eb_copy_runs *copy,
                                 eb_dwconvband_product *product, int8_t *y, void *scratch) {
    const int32_t line = p->w * p->c;
    const int32_t joined = p->x_col == p->c; // whether columns of the copy follow one another
    const int32_t run = joined ? p->inside * p->c : p->c;
    const int32_t runs = joined ? 1 : p->inside;
    const int32_t made = p->ow * p->c;
    eb_dwconvband_job job = {.x = scratch,
                             .rows = p->band,
                             .outs = p->ow,
                             .channels = p->c,
                             .stride = p->stride_h,
                             .lead = p->pad_left,
                             .padding = p->padding,
                             .x_row = p->x_row,
                             .x_col = p->x_col,
                             .y_row = made,
                             .y_col = p->c};
    for (int32_t r = 0; r < p->rows; r++) { // columns behind the image
        const int32_t behind = p->columns - p->inside;
        int8_t *to = (int8_t *)scratch + r * p->x_row + p->inside * p->x_col;
        eb_depthwise_fill(to, p->padding, joined ? behind * p->c : p->c, joined ? behind > 0 : behind,
                          p->x_col);
    }
    for (int32_t n = 0; n < p->n; n++, x += p->h * line) {
        int32_t top = -p->pad_top;
        for (int32_t left = p->oh; left > 0; left -= p->band, top += p->band * p->stride_h) {
            int8_t *row = scratch;
            for (int32_t at = top; at < top + p->rows; at++, row += p->x_row) {
                if (at >= 0 && at < p->h && (p->c & 3) == 0) {
                    copy(row, x + at * line, run, runs, p->x_col);
                    continue;
                }
                if (at < 0 || at >= p->h) {
                    eb_depthwise_fill(row, p->padding, run, runs, p->x_col);
                    continue;
                }
                const int8_t *from = x + at * line;
                for (int32_t k = 0; k < runs; k++, from += run) {
                    memcpy(row + k * p->x_col, from, (size_t)run);
                }
            }
            const int32_t rows = left < p->band ? left : p->band;
            job.y = rows == p->band ? y : (int8_t *)scratch + p->own_at;
            product(w, entries, &job);
            if (job.y != y) {
                memcpy(y, job.y, (size_t)(rows * made));
            }
            y += rows * made;
        }
    }
}

#endif
