// SPDX-License-Identifier: Apache-2.0
#include "pack_line/pack_line.h"

EB_PACK_LINE_DECL(eb_pack_line__ref);

EB_PACK_LINE_DECL(eb_pack_line__ref) {
    for (int32_t j = 0; j < pairs; j++, x += stride, from += 2 * count) {
        for (int32_t k = 0; k < count; k++) {
            x[k] = (uint32_t)(from[k] + 128) | (uint32_t)(from[second + k] + 128) << 16;
        }
    }
}

EB_KERNEL(pack_line, ref, none);
