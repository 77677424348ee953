// SPDX-License-Identifier: Apache-2.0
// The law: element by element.
#include "hard_swish_f32/hard_swish_f32.h"

EB_HARD_SWISH_F32_DECL(eb_hard_swish_f32__ref) {
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = eb_gate_f32(x[i], eb_hard_sigmoid_f32(x[i], 0x1.555556p-3f, 0.5f));
    }
}

EB_KERNEL(hard_swish_f32, ref, none);
