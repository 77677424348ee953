// SPDX-License-Identifier: Apache-2.0
// Bands of a 3 x 3 depthwise convolution with ternary weights for cores with the DSP extension: trits are
// multiplied like any weights, see band_armv7em.h.
#include "dwconv3x3_t_s8/dwconv3x3_t_s8.h"

#include "dwconv3x3_s8/band_armv7em.h"

EB_DWCONV3X3_T_S8_DECL(eb_dwconv3x3_t_s8__armv7em);

EB_DWCONV3X3_T_S8_DECL(eb_dwconv3x3_t_s8__armv7em) {
    eb_dwconv3x3_run__armv7em(w, entries, job);
}

EB_KERNEL(dwconv3x3_t_s8, armv7em, dwquads_t);
