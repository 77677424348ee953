// SPDX-License-Identifier: Apache-2.0
// int8 matrix times windows that overlap in packed rows:  sum[r][p] = sum over k of w[r][k] * in[p][k].
//
// Windows, x, strip, at and skip are those of tstrips_s8.h.
//
//   w      (rows, kernel_rows * taps * channels) int8 weights, packed by the layout the file names for this
//          strip; starts at a multiple of 16 bytes
//   acc    [rows][2][4] int32: acc[r][0][j] is the sum of the first pixel of pair j, acc[r][1][j] of the
//          second. `acc` points to pair skip / 4 of row 0 and is that much past a multiple of 16 bytes;
//          earlier pairs are not computed. The exporter proves |acc| <= 128 * sum |w| of the row < 2^31.
//
// No buffers overlap. A variant is declared where it is used, as EB_STRIPS_S8_DECL(eb_strips_s8__<isa>).
#ifndef EDGEBIT_STRIPS_S8_H
#define EDGEBIT_STRIPS_S8_H

#include "tstrips_s8/tstrips_s8.h"

#define EB_STRIPS_S8_DECL(name)                                                                              \
    void name(const int8_t *EB_RESTRICT w, const uint32_t *const *EB_RESTRICT x, int32_t *EB_RESTRICT acc,   \
              const eb_strip *EB_RESTRICT strip, uint32_t at, uint32_t skip)

#endif
