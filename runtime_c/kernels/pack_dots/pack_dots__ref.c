// SPDX-License-Identifier: Apache-2.0
#include "pack_dots/pack_dots.h"

EB_PACK_DOTS_DECL(eb_pack_dots__ref);

EB_PACK_DOTS_DECL(eb_pack_dots__ref) {
    (void)stride;
    for (int32_t k = 0; k < count; k += 4) {
        for (int32_t odd = 0; odd < 2; odd++) {
            for (int32_t p = 0; p < 2; p++) {
                const int8_t *in = pixel[p] + k + odd;
                *x++ = (uint16_t)in[0] | (uint32_t)(uint16_t)in[2] << 16;
            }
        }
    }
}

EB_KERNEL(pack_dots, ref, none);
