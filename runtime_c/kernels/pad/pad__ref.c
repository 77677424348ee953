// SPDX-License-Identifier: Apache-2.0
// The law: output row by output row.
#include "pad/pad.h"

EB_INLINE uint8_t *fill(uint8_t *y, int32_t count, const eb_pad_params *p) {
    if (p->element == 1) {
        memset(y, (int)(p->value & 0xffu), (size_t)count);
        return y + count;
    }
    for (int32_t i = 0; i < count; i++) {
        __builtin_memcpy(y, &p->value, 4);
        y += 4;
    }
    return y;
}

EB_INLINE int is_border(int32_t i, int32_t d, const eb_pad_params *p) {
    return i < p->before[d] || i >= p->before[d] + p->size[d];
}

EB_PAD_DECL(eb_pad__ref) {
    const uint8_t *from = (const uint8_t *)x;
    uint8_t *to = (uint8_t *)y;
    int32_t total[4];
    for (int32_t d = 0; d < 4; d++) {
        total[d] = p->before[d] + p->size[d] + p->after[d];
    }
    size_t row = (size_t)p->size[3] * (size_t)p->element;
    for (int32_t i = 0; i < total[0]; i++) {
        for (int32_t j = 0; j < total[1]; j++) {
            for (int32_t k = 0; k < total[2]; k++) {
                if (is_border(i, 0, p) || is_border(j, 1, p) || is_border(k, 2, p)) {
                    to = fill(to, total[3], p);
                } else {
                    to = fill(to, p->before[3], p);
                    memcpy(to, from, row);
                    to = fill(to + row, p->after[3], p);
                    from += row;
                }
            }
        }
    }
}

EB_KERNEL(pad, ref, none);
