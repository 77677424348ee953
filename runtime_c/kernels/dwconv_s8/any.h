// SPDX-License-Identifier: Apache-2.0
// int8 depthwise products in plain C, for what the fast kernels do not take: several outputs a channel, and
// channels that are no multiple of 4, whose pixels begin at odd addresses.
#ifndef EDGEBIT_DWCONV_S8_ANY_H
#define EDGEBIT_DWCONV_S8_ANY_H

#include "dwconv_s8/dwconv_s8.h"

EB_INLINE void eb_dwconv_s8_any(const int8_t *w, const int8_t *const *tap, int32_t *acc, int32_t taps,
                                int32_t channels, int32_t multiplier) {
    int32_t outs = channels * multiplier;
    int32_t c = 0;
    int32_t j = 0; // output c * multiplier + j
    for (int32_t o = 0; o < outs; o++) {
        const int8_t *weight = w + o;
        int32_t sum = 0;
        for (int32_t t = 0; t < taps; t++, weight += outs) {
            sum += *weight * tap[t][c];
        }
        acc[o] = sum;
        if (++j == multiplier) {
            j = 0;
            c++;
        }
    }
}

#endif
