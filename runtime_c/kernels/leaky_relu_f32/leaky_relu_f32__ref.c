// SPDX-License-Identifier: Apache-2.0
// The law: element by element.
#include "leaky_relu_f32/leaky_relu_f32.h"

EB_LEAKY_RELU_F32_DECL(eb_leaky_relu_f32__ref) {
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = x[i] < 0.0f ? x[i] * p->alpha : x[i];
    }
}

EB_KERNEL(leaky_relu_f32, ref, none);
