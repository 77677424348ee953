// SPDX-License-Identifier: Apache-2.0
// Copies of lines of activations.
#ifndef EDGEBIT_CONV2D_COPY_H
#define EDGEBIT_CONV2D_COPY_H

#include "edgebit/eb_types.h"

#ifdef __ARM_FEATURE_MVE
#include "conv2d/copy_mve.h"

EB_INLINE void eb_conv2d_copy_line(int8_t *to, const int8_t *from, int32_t bytes) {
    eb_conv2d_copy(to, from, bytes);
}
#else
// memcpy, 16 bytes at a time where both sides are made of words.
EB_INLINE void eb_conv2d_copy_line(int8_t *to, const int8_t *from, int32_t bytes) {
    if ((((uintptr_t)to | (uintptr_t)from) & 3) == 0) {
        for (; bytes >= 16; bytes -= 16, to += 16, from += 16) {
            __builtin_memcpy(__builtin_assume_aligned(to, 4), __builtin_assume_aligned(from, 4), 16);
        }
    }
    memcpy(to, from, (size_t)bytes);
}
#endif

#endif
