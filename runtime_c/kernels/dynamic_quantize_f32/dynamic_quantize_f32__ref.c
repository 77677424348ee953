// SPDX-License-Identifier: Apache-2.0
// The law: two passes over each row.
#include "dynamic_quantize_f32/dynamic_quantize_f32.h"

EB_DYNAMIC_QUANTIZE_F32_DECL(eb_dynamic_quantize_f32__ref) {
    for (int32_t r = 0; r < p->rows; r++) {
        float a = p->eps;
        for (int32_t i = 0; i < p->cols; i++) {
            float v = eb_abs_f32(x[i]);
            a = v > a ? v : a;
        }
        float s = p->div != 0 ? eb_div_f32(127.0f, a) : eb_div_f32(1.0f, a) * 127.0f;
        for (int32_t i = 0; i < p->cols; i++) {
            y[i] = eb_quantize_s8(x[i] * s, 0, p->qmin, p->qmax);
        }
        d[r] = eb_div_f32(1.0f, s);
        x += p->cols;
        y += p->cols;
    }
}

EB_KERNEL(dynamic_quantize_f32, ref, none);
