// SPDX-License-Identifier: Apache-2.0
// Bands of a 3 x 3 depthwise convolution with int8 weights for cores with the DSP extension: band_armv7em.h.
#include "dwconv3x3_s8/band_armv7em.h"

EB_DWCONV3X3_S8_DECL(eb_dwconv3x3_s8__armv7em);

EB_DWCONV3X3_S8_DECL(eb_dwconv3x3_s8__armv7em) {
    eb_dwconv3x3_run__armv7em(w, entries, job);
}

EB_KERNEL(dwconv3x3_s8, armv7em, dwquads);
