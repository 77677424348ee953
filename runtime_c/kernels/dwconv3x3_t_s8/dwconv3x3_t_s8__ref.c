// SPDX-License-Identifier: Apache-2.0
// The law for: bands of a 3 x 3 depthwise convolution with ternary weights. Needs no plane.
#include "dwconv3x3_s8/any.h"
#include "dwconv3x3_t_s8/dwconv3x3_t_s8.h"

EB_DWCONV3X3_T_S8_DECL(eb_dwconv3x3_t_s8__ref);

EB_INLINE int32_t weight_t2(const void *w, int32_t tap, int32_t c, int32_t channels) {
    const uint8_t *row = (const uint8_t *)w + tap * ((channels + 3) >> 2);
    return ((row[c >> 2] >> ((c & 3) * 2)) & 3) - 1;
}

EB_DWCONV3X3_T_S8_DECL(eb_dwconv3x3_t_s8__ref) {
    eb_dwconv3x3_law(w, entries, job, weight_t2);
}

EB_KERNEL(dwconv3x3_t_s8, ref, t2);
