// SPDX-License-Identifier: Apache-2.0
// Ternary matrix times the inputs of pairs of pixels, requantised to the whole range of int8:
//   y[(2 j + h) * rows + r] = clamp((sum over k of trit[r][k] * in[2 j + h][k] * mul + add) >> shift,
//       -128, 127)     r < rows, k < cols, j < pairs, h = 0, 1; mul, add and shift of entries[r]
//
//   w, rows, cols, stride   as for tpixels_s8, in one block: no row has more than 255 nonzero trits
//   x        [pairs][stride] words: x[j][k] holds in[2j][k] + 128 in its low half and in[2j + 1][k] + 128 in
//            its high one (pack_bytes, pack_line). 16-byte aligned; words past cols hold anything
//   entries  [rows], bounded as eb_requant asks; may be null where they are part of w
//   y        2 * pairs * rows int8, no alignment; pairs >= 1
//
// No buffers overlap. A variant is declared where it is used, as
// EB_TPIXELS_FUSED_S8_DECL(eb_tpixels_fused_s8__<isa>).
#ifndef EDGEBIT_TPIXELS_FUSED_S8_H
#define EDGEBIT_TPIXELS_FUSED_S8_H

#include "tpixels_s8/tpixels_s8.h"

#define EB_TPIXELS_FUSED_S8_DECL(name)                                                                       \
    void name(const uint8_t *EB_RESTRICT w, const uint32_t *EB_RESTRICT x,                                   \
              const eb_requant_entry *EB_RESTRICT entries, int8_t *EB_RESTRICT y, int32_t rows,              \
              int32_t cols, int32_t stride, int32_t pairs)

#endif
