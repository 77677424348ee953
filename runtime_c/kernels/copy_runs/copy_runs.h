// SPDX-License-Identifier: Apache-2.0
// Copies `count` runs of `bytes` bytes that follow one another at `from` to places `step` bytes apart:
//   to[k * step + i] = from[k * bytes + i]     k < count, i < bytes
// bytes, step and both addresses are multiples of 4; bytes > 0, count > 0, step >= bytes; nothing overlaps.
#ifndef EDGEBIT_COPY_RUNS_H
#define EDGEBIT_COPY_RUNS_H

#include "edgebit/eb_types.h"

#define EB_COPY_RUNS_DECL(name)                                                                              \
    void name(int8_t *EB_RESTRICT to, const int8_t *EB_RESTRICT from, int32_t bytes, int32_t count,          \
              int32_t step)

#endif
