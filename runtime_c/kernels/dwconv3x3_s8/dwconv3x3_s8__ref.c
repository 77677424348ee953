// SPDX-License-Identifier: Apache-2.0
// The law for: bands of a 3 x 3 depthwise convolution with int8 weights. Needs no plane.
#include "dwconv3x3_s8/any.h"

EB_DWCONV3X3_S8_DECL(eb_dwconv3x3_s8__ref);

EB_INLINE int32_t weight_s8(const void *w, int32_t tap, int32_t c, int32_t channels) {
    return ((const int8_t *)w)[tap * channels + c];
}

EB_DWCONV3X3_S8_DECL(eb_dwconv3x3_s8__ref) {
    eb_dwconv3x3_law(w, entries, job, weight_s8);
}

EB_KERNEL(dwconv3x3_s8, ref, s8);
