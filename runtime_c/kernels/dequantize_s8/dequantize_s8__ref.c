// SPDX-License-Identifier: Apache-2.0
// The law: element by element, front to back.
#include "dequantize_s8/dequantize_s8.h"

EB_DEQUANTIZE_S8_DECL(eb_dequantize_s8__ref) {
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = (float)(x[i] - p->zero_point) * p->scale;
    }
}

EB_KERNEL(dequantize_s8, ref, none);
