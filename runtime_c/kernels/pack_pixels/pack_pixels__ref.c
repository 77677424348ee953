// SPDX-License-Identifier: Apache-2.0
#include "pack_pixels/pack_pixels.h"

EB_PACK_PIXELS_DECL(eb_pack_pixels__ref);

EB_PACK_PIXELS_DECL(eb_pack_pixels__ref) {
    for (int32_t j = 0; j < 4; j++, x += stride) {
        for (int32_t k = 0; k < ((count + 3) & ~3); k++) {
            x[k] = (uint32_t)(int32_t)pixel[2 * j][k] + ((uint32_t)(int32_t)pixel[2 * j + 1][k] << 16);
        }
    }
}

EB_KERNEL(pack_pixels, ref, none);
