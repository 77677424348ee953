// SPDX-License-Identifier: Apache-2.0
// Which channels depthwise kernels for AArch64 and x86-64 take together: sixteen, eight, and the last eight
// once more in part. Weights are a byte each, row-major. A kernel defines, behind the header of its family
// and before it includes this, eb_dwconv_16 and eb_dwconv_8: the sums of so many channels from c on, all
// taps; and EB_DWCONV_TARGET, an attribute, where they need one.
#ifndef EDGEBIT_DWCONV_BLOCKS_H
#define EDGEBIT_DWCONV_BLOCKS_H

#include "dwconv_s8/any.h"

#ifndef EB_DWCONV_TARGET
#define EB_DWCONV_TARGET
#endif

EB_INLINE EB_DWCONV_TARGET void eb_dwconv_blocks(const int8_t *w, const int8_t *const *tap, int32_t *acc,
                                                 int32_t taps, int32_t channels, int32_t multiplier) {
    if (multiplier != 1 || channels < 8) {
        eb_dwconv_s8_any(w, tap, acc, taps, channels, multiplier);
        return;
    }
    int32_t c = 0;
    for (; c + 16 <= channels; c += 16) {
        eb_dwconv_16(w, tap, acc, taps, channels, c);
    }
    if (c + 8 <= channels) {
        eb_dwconv_8(w, tap, acc, taps, channels, c);
        c += 8;
    }
    if (c < channels) {
        eb_dwconv_8(w, tap, acc, taps, channels, channels - 8);
    }
}

#endif
