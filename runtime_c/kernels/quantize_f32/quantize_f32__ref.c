// SPDX-License-Identifier: Apache-2.0
// The law: element by element, front to back.
#include "quantize_f32/quantize_f32.h"

EB_QUANTIZE_F32_DECL(eb_quantize_f32__ref) {
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = eb_quantize_s8(eb_div_f32(x[i], p->scale), p->zero_point, p->qmin, p->qmax);
    }
}

EB_KERNEL(quantize_f32, ref, none);
