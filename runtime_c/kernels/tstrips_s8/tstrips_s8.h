// SPDX-License-Identifier: Apache-2.0
// Ternary matrix times windows that overlap in packed rows:  sum[r][p] = sum over k of trit[r][k] * in[p][k].
//
// Packed pixels are those of tpixels_s8.h, two to a word. Here input rows are packed once and windows are
// where they lie: column k = (ky, kx, ch) of the pair j of pixels is x[ky][at / 4 + (j - skip / 4) * step +
// kx * tap + ch].
//
//   w      (rows, kernel_rows * taps * channels) trits, packed by the layout the file names for this strip;
//          starts at a multiple of 16 bytes
//   x      [kernel_rows] pointers to words, 4-byte aligned, readable as far as the windows go
//   acc    [blocks][rows][4] words: acc[b][r][j] holds the sums of both pixels of pair j over block b of the
//          columns. How many blocks there are follows from the weights, as for tpixels_s8. `acc` points to
//          pair skip / 4 of row 0 and is that much past a multiple of 16 bytes; earlier pairs are not
//          computed.
//   at     bytes into the rows where the window of that pair begins
//   skip   0, 4, 8 or 12
//
// No buffers overlap. A variant is declared where it is used, as EB_TSTRIPS_S8_DECL(eb_tstrips_s8__<isa>).
#ifndef EDGEBIT_TSTRIPS_S8_H
#define EDGEBIT_TSTRIPS_S8_H

#include "tpixels_s8/tpixels_s8.h"

// tap and step in words; all >= 1, kernel_rows <= EB_STRIP_ROWS.
typedef struct {
    int32_t rows, kernel_rows, taps, channels;
    int32_t tap;  // from a kernel position to the next in its row
    int32_t step; // from a pair of pixels to the next
} eb_strip;

enum { EB_STRIP_ROWS = 16 };

#define EB_TSTRIPS_S8_DECL(name)                                                                             \
    void name(const uint8_t *EB_RESTRICT w, const uint32_t *const *EB_RESTRICT x, uint32_t *EB_RESTRICT acc, \
              const eb_strip *EB_RESTRICT strip, uint32_t at, uint32_t skip)

#endif
