// SPDX-License-Identifier: Apache-2.0
// Ternary products of packed pixels by plain lists of columns, for cores with the DSP extension (Cortex-M4,
// M7, M33): for layers with few nonzero trits.
//
// A row (layout "list8p") lists the columns to subtract and those to add, a byte each, in tiles of up to 255
// columns: see bytes_armv7m.h. Nothing else is read and no tables are built; 8 multiply-accumulates for 10
// cycles, and none for zeros.
//
// Bounds: as there.
// Scratch: none.
// Cost (modelled cycles, Cortex-M4, no wait states), for eight pixels: 10 a nonzero trit, 32 a row and
//   tile, 22 a column for packing; a tile is as many columns as hold at most 24 trits of one sign in every
//   row. In all, per weight, at 3x3, 64 to 64 channels: 0.35 when 80 % are 0, 0.20 when 90 %, 0.14 when 95 %.
#include "tpixels_s8/bytes_armv7m.h"

EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv7em_list8);

EB_TPIXELS_S8_DECL(eb_tpixels_s8__armv7em_list8) {
    (void)cols, (void)scratch;
    bytes_product(w, x, acc, rows, stride, 0, NULL);
}

EB_KERNEL(tpixels_s8, armv7em_list8, list8p);
