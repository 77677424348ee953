// SPDX-License-Identifier: Apache-2.0
// The law: element by element.
#include "tanh_f32/tanh_f32.h"

EB_TANH_F32_DECL(eb_tanh_f32__ref) {
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = eb_tanh_f32(x[i]);
    }
}

EB_KERNEL(tanh_f32, ref, none);
