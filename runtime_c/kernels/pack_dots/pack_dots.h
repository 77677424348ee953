// SPDX-License-Identifier: Apache-2.0
// Packs inputs of two pixels for the kernels of family tdots_s8 (see there for the order of the words).
//
//   pixel   two pointers to int8 inputs, at multiples of 4 bytes, readable to count rounded up to 4
//   x       words, 16-byte aligned; count rounded up to 4 are written
//   stride  not used
#ifndef EDGEBIT_PACK_DOTS_H
#define EDGEBIT_PACK_DOTS_H

#include "edgebit/eb_types.h"

#define EB_PACK_DOTS_DECL(name)                                                                              \
    void name(const int8_t *const *EB_RESTRICT pixel, uint32_t *EB_RESTRICT x, int32_t count, int32_t stride)

#endif
