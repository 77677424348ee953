// SPDX-License-Identifier: Apache-2.0
// y = x inside a border: along axis d, before[d] elements of border, size[d] of x, after[d] of border.
//
//     x        (size[0], ..., size[3]), y the padded shape; disjoint
//     element  bytes per element, 1 or 4
//     value    the border element's bytes, little-endian
// A variant is declared where it is used, as EB_PAD_DECL(eb_pad__<isa>).
#ifndef EDGEBIT_PAD_H
#define EDGEBIT_PAD_H

#include "edgebit/eb_types.h"

typedef struct {
    int32_t before[4];
    int32_t size[4]; // >= 1
    int32_t after[4];
    int32_t element;
    uint32_t value;
} eb_pad_params;

#define EB_PAD_DECL(name) void name(const eb_pad_params *p, const void *EB_RESTRICT x, void *EB_RESTRICT y)

#endif
