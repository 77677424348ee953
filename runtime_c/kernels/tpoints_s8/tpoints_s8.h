// SPDX-License-Identifier: Apache-2.0
// A ternary layer of points: every pixel's inputs times the same matrix, requantised. What a 1x1 convolution
// is, and with a row for a pixel a fully connected layer.
//
//   y[p * rows + r] = eb_requant(sum over k of trit[r][k] * x[p * cols + k], &requant, &entries[r]),  p <
//   pixels
//
//   x        [pixels][cols] int8, any values, 16-byte aligned; readable up to the last pixel's columns
//            rounded up to 16, where bytes past cols hold anything and must not change a result
//   w        (rows, cols) trits, packed by the layout the file names; starts at a multiple of 16 bytes
//   entries  [rows], no shift less than 2
//   y        [pixels][rows] int8, 16-byte aligned. It may overlap x if no pixel's outputs reach the inputs of
//            later pixels: variants write a pixel when its inputs, and those of the pixels before, have
//            been read.
//   requant  pre_shift is 0
//   rows, cols, pixels >= 1
//   scratch  16-byte aligned, as large as Layout.scratch(stem, rows, cols) says
//
// The reference is the law of the family and serves no layers: for these the reference of tmatvec_s8 is
// there. It takes no overlap.
#ifndef EDGEBIT_TPOINTS_S8_H
#define EDGEBIT_TPOINTS_S8_H

#include "edgebit/eb_types.h"

typedef struct {
    int32_t rows, cols, pixels;
    eb_requant_params requant;
} eb_tpoints_s8_params;

#define EB_TPOINTS_S8_DECL(name)                                                                             \
    void name(const eb_tpoints_s8_params *p, const int8_t *x, const uint8_t *w,                              \
              const eb_requant_entry *entries, int8_t *y, void *scratch)

#endif
