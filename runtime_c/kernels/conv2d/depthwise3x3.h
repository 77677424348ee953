// SPDX-License-Identifier: Apache-2.0
// Driver of 3 x 3 depthwise convolutions by bands of output rows (kernels of the dwconv3x3 families).
//
//   x        (n, h, w, c) int8
//   y        (n, oh, ow, c) int8. A band's outputs are kept in scratch until all its inputs have been read,
//   and
//            later bands read no input row above their own windows, so y may overlap x as far as when pixels
//            are computed one by one (edgebit/ops/linear.py).
//   scratch  16-byte aligned: the band's outputs at 0, the kernel's plane at plane_at, one pixel of padding
//   at
//            pad_at. edgebit/ops/depthwise_c.py computes the size.
#ifndef EDGEBIT_DEPTHWISE3X3_H
#define EDGEBIT_DEPTHWISE3X3_H

#include "dwconv3x3_s8/dwconv3x3_s8.h"

typedef struct {
    int32_t n, h, w, c;
    int32_t kh, kw;
    int32_t oh, ow, outs;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t padding; // int8 value of padding: the input's zero point
    int32_t band;    // output rows of a band
    int32_t rows;    // input rows of a band, rounded up to 2
    int32_t inside;  // columns of the image that windows reach
    int32_t columns; // columns that windows reach, padding included
    int32_t plane_at;
    int32_t pad_at;
    eb_requant_params requant;
} eb_depthwise3x3_params;

typedef void eb_dwconv3x3_kernel(const void *w, const eb_requant_entry *entries, const eb_dwconv3x3_job *job);

// memcpy, 16 bytes at a time where both sides are made of words.
EB_INLINE void eb_depthwise3x3_copy(int8_t *to, const int8_t *from, int32_t bytes) {
    if ((((uintptr_t)to | (uintptr_t)from) & 3) == 0) {
        for (; bytes >= 16; bytes -= 16, to += 16, from += 16) {
            __builtin_memcpy(__builtin_assume_aligned(to, 4), __builtin_assume_aligned(from, 4), 16);
        }
    }
    memcpy(to, from, (size_t)bytes);
}

EB_INLINE void eb_depthwise3x3(const eb_depthwise3x3_params *p, const int8_t *x, const void *w,
                               const eb_requant_entry *entries, eb_dwconv3x3_kernel *kernel, int8_t *y,
                               void *scratch) {
    int8_t *pad = (int8_t *)scratch + p->pad_at;
    eb_dwconv3x3_job job = {.y = scratch,
                            .y_row = p->ow * p->c,
                            .channels = p->c,
                            .columns = p->columns,
                            .lead = p->pad_left,
                            .inside = p->inside,
                            .stride = p->stride_h,
                            .outs = p->ow,
                            .padding = p->padding,
                            .plane = (int8_t *)scratch + p->plane_at,
                            .band = p->band,
                            .requant = p->requant};
    memset(pad, (unsigned char)p->padding, (size_t)p->c);
    for (int32_t n = 0; n < p->n; n++, x += p->h * p->w * p->c) {
        int32_t iy = -p->pad_top;
        for (int32_t left = p->oh; left > 0; left -= p->band, iy += p->band * p->stride_h) {
            for (int32_t r = 0; r < p->rows; r++) {
                int inside = iy + r >= 0 && iy + r < p->h;
                job.row[r].at = inside ? x + (iy + r) * p->w * p->c : pad;
                job.row[r].step = inside ? p->c : 0;
            }
            kernel(w, entries, &job);
            int32_t made = (left < p->band ? left : p->band) * job.y_row;
            eb_depthwise3x3_copy(y, scratch, made);
            y += made;
        }
    }
}

#endif
