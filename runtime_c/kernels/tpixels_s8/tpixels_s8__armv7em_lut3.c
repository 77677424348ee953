// SPDX-License-Identifier: Apache-2.0
// Ternary products of packed pixels by lookup, for cores with the DSP extension (Cortex-M4, M7, M33).
//
// For every three inputs a, b, c a table holds the 13 sums that differ by more than their sign, a word a pair
// of pixels. A row names the sums to subtract and the sums to add (layout "lut3b"), a byte each, which is
// enough for the tables of 19 groups, 57 columns: see bytes_armv7m.h. Up to 24 multiply-accumulates for 10
// cycles.
//
// Bounds: as there.
// Scratch: 208 bytes for each of a tile's groups: 208 * ceil(groups / ceil(groups / 19)),
//   groups = ceil(cols / 3).
// Cost (modelled cycles, Cortex-M4, no wait states), for eight pixels: 10 for each group of a row with a
//   nonzero trit, 32 a row and tile, 38 a column for the tables and 22 for packing. In all, per weight, half
//   of them 0: 0.60 at 3x3, 64 to 64 channels, 0.65 at 1x1, 128 to 128. The reference takes 7.7.
#include "tpixels_s8/bytes_armv7m.h"

EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv7em_lut3);

EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv7em_lut3) {
    (void)cols;
    bytes_product(w, x, acc, rows, stride, 1, scratch);
}

EB_KERNEL(tpixels_s8, armv7em_lut3, lut3b);
