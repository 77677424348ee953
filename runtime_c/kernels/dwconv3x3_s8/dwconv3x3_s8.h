// SPDX-License-Identifier: Apache-2.0
// A band of rows of a 3 x 3 depthwise convolution, int8 weights and activations, requantised:
//   y[i * y_row + u * y_pixel + c] = eb_requant(sum over ky, kx of w[3 ky + kx][c] * in(stride * i + ky,
//       stride * u + kx, c), &job->requant, &entries[c])     i < band, u < outs, c < channels
// in(r, v, c) is input row r of the band at column v of the window: padding for v < lead and for
// v >= lead + inside, else job->row[r].at[(v - lead) * job->row[r].step + c].
// int32 sums; the exporter proves |sum| <= 128 * sum |w| of the channel < 2^31, and eb_requant's bounds.
//
//   w        (9, channels) int8 in the layout the file names; starts at a multiple of 16 bytes
//   entries  [channels]
//   plane    16-byte aligned scratch, Layout.plane(stem, columns, stride) bytes (edgebit/layouts/dwquads.py)
//
// Unlike kernels of family dwconv_s8, which get one pixel, these keep one channel of the band in the plane
// and read its weights and its entry once. y overlaps nothing. A narrow image may be turned, so that the
// band's rows are its columns: outputs are written in order of u, and where they fall together the last one
// stays.
#ifndef EDGEBIT_DWCONV3X3_S8_H
#define EDGEBIT_DWCONV3X3_S8_H

#include "edgebit/eb_types.h"

enum { EB_DW_ROWS = 14 }; // the most input rows of a band: 6 output rows at stride 2 need 13

// A row of input: channel c of column v is at[v * step + c]. A row of padding has step 0.
typedef struct {
    const int8_t *at;
    int32_t step;
} eb_dw_row;

// The kernels' assembly knows the offsets.
typedef struct {
    int8_t *y;
    int32_t y_row; // bytes from one output row to the next
    int32_t channels;
    int32_t columns; // of a window: stride * (outs - 1) + 3
    int32_t lead;    // columns of padding on the left, < columns
    int32_t inside;  // columns in the image, 1..columns - lead
    int32_t stride;  // 1 or 2, both ways
    int32_t outs;    // output columns
    int32_t padding; // int8
    void *plane;
    int32_t band; // output rows; a kernel has its own fixed number for each stride
    eb_requant_params requant;
    int32_t step;              // of rows that are no padding
    int32_t y_pixel;           // bytes from one output of a row to the next
    int32_t wanted;            // output rows that are read, 1..band: a kernel may leave out those after them
    eb_dw_row row[EB_DW_ROWS]; // readable: the first stride * (band - 1) + 3, rounded up to 2
} eb_dwconv3x3_job;

#define EB_DWCONV3X3_S8_DECL(name)                                                                           \
    void name(const void *EB_RESTRICT w, const eb_requant_entry *EB_RESTRICT entries,                        \
              const eb_dwconv3x3_job *EB_RESTRICT job)

#endif
