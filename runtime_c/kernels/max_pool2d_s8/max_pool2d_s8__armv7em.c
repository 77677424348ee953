// SPDX-License-Identifier: Apache-2.0
// Maxima of four channels at once for cores with the DSP extension (Cortex-M4, M7, M33): SSUB8 and SEL, when
// pixels begin at multiples of 4 bytes.
//
// Cost (modelled cycles, Cortex-M4, no wait states): 4 a compared byte, 200 a pixel; 20 a byte where the
//   channels are no multiple of 4.
#include <arm_acle.h>

#include "max_pool2d_s8/words.h"

EB_INLINE uint32_t largest(uint32_t a, uint32_t b) {
    (void)__ssub8((int8x4_t)a, (int8x4_t)b); // sets the flags that the next instruction reads
    return (uint32_t)__sel((uint8x4_t)a, (uint8x4_t)b);
}

EB_MAX_POOL2D_S8_DECL(eb_max_pool2d_s8__armv7em) {
    eb_max_pool2d_s8_words(p, x, y, largest);
}

EB_KERNEL(max_pool2d_s8, armv7em, none);
