// SPDX-License-Identifier: Apache-2.0
// Windows over channels-last maps, shared by the pooling kernels.
#ifndef EDGEBIT_EB_POOL_H
#define EDGEBIT_EB_POOL_H

#include "edgebit/eb_types.h"

// (batch, in_h, in_w, channels) -> (batch, out_h, out_w, channels). The exporter proves that every window
// sees at least one input pixel and that all coordinates fit int32.
typedef struct {
    int32_t batch, in_h, in_w, channels;
    int32_t out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
} eb_pool2d_shape;

// The taps first <= k < end of one axis that lie inside the input, tap k at coordinate start + k * dilation.
typedef struct {
    int32_t first, end, start;
} eb_pool_span;

EB_INLINE eb_pool_span eb_pool_taps(int32_t start, int32_t size, int32_t kernel, int32_t dilation) {
    eb_pool_span s = {0, kernel, start};
    while (start + s.first * dilation < 0) {
        s.first++;
    }
    while (start + (s.end - 1) * dilation >= size) {
        s.end--;
    }
    return s;
}

#endif
