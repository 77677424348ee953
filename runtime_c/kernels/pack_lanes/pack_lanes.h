// SPDX-License-Identifier: Apache-2.0
// Packs two rows of int8 inputs, or one, for a lane of kernels of family dots_s8: words of two int16.
//   two rows  x[i / 2 * next + i % 2 * odd] = (a[i], b[i])        i < 4 * quads
//   one row   x[i * next] = (a[2 i], a[2 i + 1])                  i < 2 * quads
//
//   a, b  readable to 4 * quads; b is null for one row
//   odd, next  words, at least 1; quads >= 1
#ifndef EDGEBIT_PACK_LANES_H
#define EDGEBIT_PACK_LANES_H

#include "edgebit/eb_types.h"

// The kernels' assembly knows the offsets.
typedef struct {
    int32_t quads;
    int32_t odd;
    int32_t next;
} eb_lanes_place;

#define EB_PACK_LANES_DECL(name)                                                                             \
    void name(const int8_t *EB_RESTRICT a, const int8_t *EB_RESTRICT b, uint32_t *EB_RESTRICT x,             \
              const eb_lanes_place *EB_RESTRICT place)

#endif
