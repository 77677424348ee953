// SPDX-License-Identifier: Apache-2.0
// The law for: depthwise products of binary32 weights and activations.
#include "dwconv_f32/dwconv_f32.h"

EB_DWCONV_F32_DECL(eb_dwconv_f32__ref) {
    int32_t outs = channels * multiplier;

    for (int32_t o = 0; o < outs; o++) {
        acc[o] = 0.0f;
    }
    for (int32_t t = 0; t < taps; t++) {
        const float *x = tap[t];
        int32_t o = 0;
        for (int32_t c = 0; c < channels; c++) {
            for (int32_t j = 0; j < multiplier; j++, o++) {
                float product = w[o] * x[c];
                acc[o] += product;
            }
        }
        w += outs;
    }
}

EB_KERNEL(dwconv_f32, ref, f32);
