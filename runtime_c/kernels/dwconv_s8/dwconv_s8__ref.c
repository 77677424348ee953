// SPDX-License-Identifier: Apache-2.0
// The law for: depthwise products of int8 weights and int8 activations.
#include "dwconv_s8/dwconv_s8.h"

EB_DWCONV_S8_DECL(eb_dwconv_s8__ref) {
    int32_t outs = channels * multiplier;

    for (int32_t o = 0; o < outs; o++) {
        acc[o] = 0;
    }
    for (int32_t t = 0; t < taps; t++) {
        const int8_t *x = tap[t];
        int32_t o = 0;
        for (int32_t c = 0; c < channels; c++) {
            for (int32_t j = 0; j < multiplier; j++, o++) {
                acc[o] += w[o] * x[c];
            }
        }
        w += outs;
    }
}

EB_KERNEL(dwconv_s8, ref, s8);
