// SPDX-License-Identifier: Apache-2.0
#include "pack_bytes/pack_bytes.h"

EB_PACK_BYTES_DECL(eb_pack_bytes__ref);

EB_PACK_BYTES_DECL(eb_pack_bytes__ref) {
    for (int32_t j = 0; j < 4; j++, x += stride) {
        for (int32_t k = 0; k < ((count + 3) & ~3); k++) {
            x[k] = (uint32_t)(pixel[2 * j][k] + 128) | (uint32_t)(pixel[2 * j + 1][k] + 128) << 16;
        }
    }
}

EB_KERNEL(pack_bytes, ref, none);
