// SPDX-License-Identifier: Apache-2.0
// Depthwise products with the layout "dwmask4" in plain C, for what the fast kernels do not take: several
// outputs a channel, and channels that are no multiple of 4, whose pixels begin at odd addresses.
#ifndef EDGEBIT_DWCONV_T_S8_DWMASK4_H
#define EDGEBIT_DWCONV_T_S8_DWMASK4_H

#include "dwconv_t_s8/dwconv_t_s8.h"

EB_INLINE void eb_dwmask4_any(const uint8_t *w, const int8_t *const *tap, int32_t *acc, int32_t taps,
                              int32_t channels, int32_t multiplier) {
    int32_t c = 0;
    int32_t j = 0; // output c * multiplier + j
    for (int32_t o = 0; o < channels * multiplier; o++) {
        const uint8_t *block = w + (o >> 2) * (8 * taps + 16);
        int32_t sum;
        __builtin_memcpy(&sum, block + 8 * taps + 4 * (o & 3), sizeof sum);
        const uint8_t *mask = block + (o & 3);
        for (int32_t t = 0; t < taps; t++, mask += 8) {
            sum += ((uint8_t)tap[t][c] ^ mask[0]) & mask[4];
        }
        acc[o] = sum;
        if (++j == multiplier) {
            j = 0;
            c++;
        }
    }
}

#endif
