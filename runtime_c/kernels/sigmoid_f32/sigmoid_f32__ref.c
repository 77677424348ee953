// SPDX-License-Identifier: Apache-2.0
// The law: element by element.
#include "sigmoid_f32/sigmoid_f32.h"

EB_SIGMOID_F32_DECL(eb_sigmoid_f32__ref) {
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = eb_sigmoid_f32(x[i]);
    }
}

EB_KERNEL(sigmoid_f32, ref, none);
