// SPDX-License-Identifier: Apache-2.0
// Bytes  offset .. offset + block  of each of `outer` groups of `stride` bytes of y = the blocks of x in
// order. One call per input joins tensors along an axis.
//
//     x  [outer * block] bytes, y [outer * stride] bytes; disjoint
// A variant is declared where it is used, as EB_CONCAT_DECL(eb_concat__<isa>).
#ifndef EDGEBIT_CONCAT_H
#define EDGEBIT_CONCAT_H

#include "edgebit/eb_types.h"

typedef struct {
    int32_t outer;  // product of the dimensions before the axis
    int32_t block;  // bytes of x per group
    int32_t stride; // bytes of y per group
    int32_t offset;
} eb_concat_params;

#define EB_CONCAT_DECL(name)                                                                                 \
    void name(const eb_concat_params *p, const void *EB_RESTRICT x, void *EB_RESTRICT y)

#endif
