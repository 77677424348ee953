// SPDX-License-Identifier: Apache-2.0
// Packs inputs of eight pixels for the kernels of family tpixels_s8 (see there for the form):
//
//   x[j * stride + k] = pixel[2j][k] + pixel[2j + 1][k] * 2^16 mod 2^32      j = 0..3, k < count
//
//   pixel   eight pointers to int8 inputs, at multiples of 4 bytes, readable to count rounded up to 4
//   x       words, 16-byte aligned; written to count rounded up to 4 in each of the four runs
//   stride  words from one run to the next, a multiple of 4, at least count rounded up to 4
#ifndef EDGEBIT_PACK_PIXELS_H
#define EDGEBIT_PACK_PIXELS_H

#include "edgebit/eb_types.h"

#define EB_PACK_PIXELS_DECL(name)                                                                            \
    void name(const int8_t *const *EB_RESTRICT pixel, uint32_t *EB_RESTRICT x, int32_t count, int32_t stride)

#endif
