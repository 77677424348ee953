// SPDX-License-Identifier: Apache-2.0
// Packs inputs of pairs of pixels that follow one another for the kernels of family tpixels_fused_s8, as
// pack_bytes does those of any eight:
//
//   x[j * stride + k] = (from[2 * j * count + k] + 128) | (from[2 * j * count + second + k] + 128) << 16
//       j < pairs, k < count
//
//   from    at a multiple of 4 bytes
//   x       [pairs][stride] words, 16-byte aligned; written to count in each run
//   count   inputs of a pixel, a multiple of 4
//   stride  words from one pair to the next, a multiple of 4, at least count
//   second  count, or, where there is one pair, 0: the first pixel twice
//   pairs   >= 1
#ifndef EDGEBIT_PACK_LINE_H
#define EDGEBIT_PACK_LINE_H

#include "edgebit/eb_types.h"

#define EB_PACK_LINE_DECL(name)                                                                              \
    void name(const int8_t *EB_RESTRICT from, uint32_t *EB_RESTRICT x, int32_t count, int32_t stride,        \
              int32_t second, int32_t pairs)

#endif
