// SPDX-License-Identifier: Apache-2.0
// The law: an odometer over five axes, a plain loop over the last.
#include "strided_copy/strided_copy.h"

EB_INLINE uint8_t *copy_run(uint8_t *to, const uint8_t *from, int32_t n, int32_t stride, size_t block) {
    for (int32_t i = 0; i < n; i++) {
        __builtin_memcpy(to, from, block); // inline when block is a small constant, memcpy otherwise
        to += block;
        from += stride;
    }
    return to;
}

EB_STRIDED_COPY_DECL(eb_strided_copy__ref) {
    const uint8_t *from = (const uint8_t *)x + p->offset;
    uint8_t *to = (uint8_t *)y;
    int32_t at[5] = {0, 0, 0, 0, 0};
    for (;;) {
        // A constant size turns the copy into one load and one store.
        if (p->block == 1) {
            to = copy_run(to, from, p->n[5], p->stride[5], 1);
        } else if (p->block == 4) {
            to = copy_run(to, from, p->n[5], p->stride[5], 4);
        } else {
            to = copy_run(to, from, p->n[5], p->stride[5], (size_t)p->block);
        }
        int32_t d = 4;
        while (d >= 0 && ++at[d] == p->n[d]) {
            from -= (p->n[d] - 1) * p->stride[d];
            at[d] = 0;
            d--;
        }
        if (d < 0) {
            return;
        }
        from += p->stride[d];
    }
}

EB_KERNEL(strided_copy, ref, none);
