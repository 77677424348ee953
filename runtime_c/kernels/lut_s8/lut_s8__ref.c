// SPDX-License-Identifier: Apache-2.0
// The law: element by element.
#include "lut_s8/lut_s8.h"

EB_LUT_S8_DECL(eb_lut_s8__ref) {
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = table[x[i] + 128];
    }
}

EB_KERNEL(lut_s8, ref, none);
