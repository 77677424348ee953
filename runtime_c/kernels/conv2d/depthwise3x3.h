// SPDX-License-Identifier: Apache-2.0
// Driver of 3 x 3 depthwise convolutions by bands of output rows (kernels of the dwconv3x3 families).
//
//   x        (n, h, w, c) int8
//   y        (n, oh, ow, c) int8. A band's outputs are kept in scratch until all its inputs have been read,
//            and later bands read no input row above their own windows, so y may overlap x as far as when
//            pixels are computed one by one (edgebit/ops/linear.py). The same holds for chunks of rows when
//            the image is turned: the kernel's rows are then the image's columns, all of which fit one
//            band.
//   scratch  16-byte aligned: the band's outputs at 0, the kernel's plane at plane_at, one pixel of padding
//            at pad_at. edgebit/ops/depthwise_c.py computes the size.
#ifndef EDGEBIT_DEPTHWISE3X3_H
#define EDGEBIT_DEPTHWISE3X3_H

#include "conv2d/copy.h"
#include "dwconv3x3_s8/dwconv3x3_s8.h"

typedef struct {
    int32_t n, h, w, c;
    int32_t kh, kw;
    int32_t oh, ow, outs;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t padding; // int8 value of padding: the input's zero point
    int32_t turned;
    int32_t chunk; // output rows computed at a time: a band, or any number when turned
    int32_t band;  // output rows (columns when turned) that the kernel computes
    int32_t rows;  // input rows it is given, rounded up to 2
    int32_t plane_at;
    int32_t pad_at;
    eb_requant_params requant;
} eb_depthwise3x3_params;

typedef void eb_dwconv3x3_kernel(const void *w, const eb_requant_entry *entries, const eb_dwconv3x3_job *job);

// One line of the window, along which the kernel goes: `outs` outputs, of which the first one's window begins
// at `start` of a line of `size` inputs. Returns the first input.
EB_INLINE int32_t eb_depthwise3x3_line(eb_dwconv3x3_job *job, int32_t outs, int32_t start, int32_t size) {
    int32_t first = start < 0 ? 0 : start;
    job->outs = outs;
    job->columns = job->stride * (outs - 1) + 3;
    job->lead = first - start;
    int32_t reach = job->columns - job->lead;
    job->inside = reach < size - first ? reach : size - first;
    return first;
}

EB_INLINE void eb_depthwise3x3(const eb_depthwise3x3_params *p, const int8_t *x, const void *w,
                               const eb_requant_entry *entries, eb_dwconv3x3_kernel *kernel, int8_t *y,
                               void *scratch) {
    int8_t *pad = (int8_t *)scratch + p->pad_at;
    const int32_t x_row = p->w * p->c;
    const int32_t y_row = p->ow * p->c;
    // from a pixel to the next, and from a line of pixels to the next
    const int32_t next = p->turned ? x_row : p->c;
    const int32_t line = p->turned ? p->c : x_row;
    const int32_t lines = p->turned ? p->w : p->h;
    eb_dwconv3x3_job job = {.y = scratch,
                            .y_row = p->turned ? p->c : y_row,
                            .channels = p->c,
                            .stride = p->stride_h,
                            .padding = p->padding,
                            .plane = (int8_t *)scratch + p->plane_at,
                            .band = p->band,
                            .requant = p->requant,
                            .step = next,
                            .y_pixel = p->turned ? y_row : p->c};
    memset(pad, (unsigned char)p->padding, (size_t)p->c);
    for (int32_t n = 0; n < p->n; n++, x += p->h * x_row) {
        int32_t iy = -p->pad_top;
        for (int32_t left = p->oh; left > 0; left -= p->chunk, iy += p->chunk * p->stride_h) {
            int32_t made = left < p->chunk ? left : p->chunk;
            int32_t at = p->turned ? -p->pad_left : iy;
            job.wanted = p->turned ? p->ow : made;
            const int8_t *from = x;
            if (p->turned) {
                from += eb_depthwise3x3_line(&job, made, iy, p->h) * x_row;
            } else {
                from += eb_depthwise3x3_line(&job, p->ow, -p->pad_left, p->w) * p->c;
            }
            for (eb_dw_row *row = job.row; row != job.row + p->rows; row++, at++) {
                int inside = at >= 0 && at < lines;
                row->at = inside ? from + at * line : pad;
                row->step = inside ? next : 0;
            }
            kernel(w, entries, &job);
            eb_conv2d_copy_line(y, scratch, made * y_row);
            y += made * y_row;
        }
    }
}

#endif
