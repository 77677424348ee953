// SPDX-License-Identifier: Apache-2.0
// y = the blocks of x at  offset + sum over d of i[d] * stride[d],  i in row-major order over n[0] x ... x
// n[5], one after the other. This is what transposes and slices come down to.
//
//     n              block counts per axis, >= 1
//     stride, offset in bytes
//     block          bytes per block, >= 1; x and y are disjoint
// A variant is declared where it is used, as EB_STRIDED_COPY_DECL(eb_strided_copy__<isa>).
#ifndef EDGEBIT_STRIDED_COPY_H
#define EDGEBIT_STRIDED_COPY_H

#include "edgebit/eb_types.h"

typedef struct {
    int32_t n[6];
    int32_t stride[6];
    int32_t offset;
    int32_t block;
} eb_strided_copy_params;

#define EB_STRIDED_COPY_DECL(name)                                                                           \
    void name(const eb_strided_copy_params *p, const void *EB_RESTRICT x, void *EB_RESTRICT y)

#endif
