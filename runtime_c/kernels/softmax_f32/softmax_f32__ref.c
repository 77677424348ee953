// SPDX-License-Identifier: Apache-2.0
// The law: three passes over each row.
#include "softmax_f32/softmax_f32.h"

EB_SOFTMAX_F32_DECL(eb_softmax_f32__ref) {
    for (int32_t r = 0; r < p->rows; r++) {
        float m = x[0];
        for (int32_t i = 1; i < p->cols; i++) {
            m = x[i] > m ? x[i] : m;
        }
        float sum = 0.0f;
        for (int32_t i = 0; i < p->cols; i++) {
            y[i] = eb_exp_f32(x[i] == m ? 0.0f : x[i] - m);
            sum += y[i];
        }
        for (int32_t i = 0; i < p->cols; i++) {
            y[i] = eb_div_f32(y[i], sum);
        }
        x += p->cols;
        y += p->cols;
    }
}

EB_KERNEL(softmax_f32, ref, none);
