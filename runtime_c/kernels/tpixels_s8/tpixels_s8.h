// SPDX-License-Identifier: Apache-2.0
// Ternary matrix times the inputs of eight pixels at once:  sum[r][p] = sum over k of trit[r][k] * in[p][k].
//
// Packed pixels: one 32-bit word holds a number of two pixels as low + high * 2^16, modulo 2^32, each within
// int16. Words are added and subtracted as a whole; while both sums stay within int16 they can be told apart
// again: low = the sign-extended low half, high = (word + 2^15) >> 16. What happens on the way to a sum does
// not matter, only the sum itself must fit.
//
//   w        (rows, cols) trits, packed by the layout the file names; starts at a multiple of 16 bytes
//   x        [4][stride] words: x[j][k] holds input k of pixels 2j (low) and 2j + 1 (high), int8 values.
//            16-byte aligned; readable to stride, where words past cols hold anything and must not change a
//            result. stride is a multiple of 12.
//   acc      [blocks][rows][4] words, 16-byte aligned: acc[b][r][j] holds the sums of pixels 2j and 2j + 1
//            over block b of the columns. How many blocks there are follows from the weights (the layout's
//            `blocks`): columns are cut so that in every row of a block the nonzero trits number at most
//            255, so that |sum| <= 255 * 128 < 2^15.
//   rows, cols >= 1
//   scratch  16-byte aligned, as large as Layout.scratch(stem, rows, cols) says; may be null when that is 0
//
// No buffers overlap. A variant is declared where it is used, as EB_TPIXELS_S8_DECL(eb_tpixels_s8__<isa>).
#ifndef EDGEBIT_TPIXELS_S8_H
#define EDGEBIT_TPIXELS_S8_H

#include "edgebit/eb_types.h"

enum { EB_PIXELS = 8, EB_PIXEL_PAIRS = 4 };

#define EB_TPIXELS_S8_DECL(name)                                                                             \
    void name(const uint8_t *EB_RESTRICT w, const uint32_t *EB_RESTRICT x, uint32_t *EB_RESTRICT acc,        \
              int32_t rows, int32_t cols, int32_t stride, void *EB_RESTRICT scratch)

EB_INLINE int32_t eb_pixel_low(uint32_t word) {
    return (int16_t)(word & 0xFFFF);
}

EB_INLINE int32_t eb_pixel_high(uint32_t word) {
    return (int32_t)(word + 0x8000) >> 16;
}

#endif
