// SPDX-License-Identifier: Apache-2.0
// Packing of lanes in plain C: see pack_lanes.h.
#include "pack_lanes/pack_lanes.h"

EB_PACK_LANES_DECL(eb_pack_lanes__ref);

EB_INLINE uint32_t eb_lanes_word(int8_t low, int8_t high) {
    return ((uint32_t)low & 0xFFFF) | (uint32_t)high << 16;
}

EB_PACK_LANES_DECL(eb_pack_lanes__ref) {
    for (int32_t i = 0; i < 2 * place->quads; i++, x += place->next) {
        if (b == NULL) {
            x[0] = eb_lanes_word(a[2 * i], a[2 * i + 1]);
        } else {
            x[0] = eb_lanes_word(a[2 * i], b[2 * i]);
            x[place->odd] = eb_lanes_word(a[2 * i + 1], b[2 * i + 1]);
        }
    }
}

EB_KERNEL(pack_lanes, ref, none);
