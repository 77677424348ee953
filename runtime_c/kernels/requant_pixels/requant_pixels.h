// SPDX-License-Identifier: Apache-2.0
// Integer requantisation of packed pixels (see tpixels_s8.h): eight pixels of `rows` sums to int8.
//
//   y[at(p) + r] = eb_requant(sum over b of the sum of pixel p in acc[b][r], params, entries[r])
//   at(2 j) = j * step, at(2 j + 1) = j * step + apart
//
//   entries  [rows]
//   acc      [blocks][rows][4] packed words, blocks >= 1
//   y        int8, rows of each pixel; no alignment. acc and y do not overlap.
//   step, apart  bytes of y from a pair of pixels to the next, and from the first of a pair to the second
#ifndef EDGEBIT_REQUANT_PIXELS_H
#define EDGEBIT_REQUANT_PIXELS_H

#include "edgebit/eb_types.h"

#define EB_REQUANT_PIXELS_DECL(name)                                                                         \
    void name(const eb_requant_params *EB_RESTRICT params, const eb_requant_entry *EB_RESTRICT entries,      \
              const uint32_t *EB_RESTRICT acc, int8_t *EB_RESTRICT y, int32_t rows, int32_t blocks,          \
              int32_t step, int32_t apart)

#endif
