// SPDX-License-Identifier: Apache-2.0
// The law: element by element.
#include "silu_f32/silu_f32.h"

EB_SILU_F32_DECL(eb_silu_f32__ref) {
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = eb_gate_f32(x[i], eb_sigmoid_f32(x[i]));
    }
}

EB_KERNEL(silu_f32, ref, none);
