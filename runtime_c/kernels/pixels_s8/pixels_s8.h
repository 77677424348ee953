// SPDX-License-Identifier: Apache-2.0
// int8 matrix times the inputs of eight pixels at once:  sum[r][p] = sum over k of w[r][k] * in[p][k].
//
//   w        (rows, cols) int8 weights, packed by the layout the file names; starts at a multiple of 16 bytes
//   x        packed pixels, as for tpixels_s8
//   acc      [rows][2][4] int32, 16-byte aligned: acc[r][h][j] is the sum of pixel 2j + h. The exporter
//            proves |acc| <= 128 * sum |w| of the row < 2^31.
//   rows, cols >= 1
//
// No buffers overlap. A variant is declared where it is used, as EB_PIXELS_S8_DECL(eb_pixels_s8__<isa>).
#ifndef EDGEBIT_PIXELS_S8_H
#define EDGEBIT_PIXELS_S8_H

#include "tpixels_s8/tpixels_s8.h"

#define EB_PIXELS_S8_DECL(name)                                                                              \
    void name(const int8_t *EB_RESTRICT w, const uint32_t *EB_RESTRICT x, int32_t *EB_RESTRICT acc,          \
              int32_t rows, int32_t cols, int32_t stride)

#endif
