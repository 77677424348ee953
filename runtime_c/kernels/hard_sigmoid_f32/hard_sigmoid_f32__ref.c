// SPDX-License-Identifier: Apache-2.0
// The law: element by element.
#include "hard_sigmoid_f32/hard_sigmoid_f32.h"

EB_HARD_SIGMOID_F32_DECL(eb_hard_sigmoid_f32__ref) {
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = eb_hard_sigmoid_f32(x[i], p->alpha, p->beta);
    }
}

EB_KERNEL(hard_sigmoid_f32, ref, none);
