// SPDX-License-Identifier: Apache-2.0
// The law for: depthwise products of ternary weights and int8 activations.
#include "dwconv_t_s8/dwconv_t_s8.h"

EB_DWCONV_T_S8_DECL(eb_dwconv_t_s8__ref) {
    int32_t outs = channels * multiplier;
    int32_t row_bytes = (outs + 3) >> 2;
    for (int32_t o = 0; o < outs; o++) {
        acc[o] = 0;
    }
    for (int32_t t = 0; t < taps; t++) {
        const int8_t *x = tap[t];
        int32_t o = 0;
        for (int32_t c = 0; c < channels; c++) {
            for (int32_t j = 0; j < multiplier; j++, o++) {
                int32_t code = (w[o >> 2] >> ((o & 3) * 2)) & 3; // trit + 1
                acc[o] += (code - 1) * x[c];
            }
        }
        w += row_bytes;
    }
}

EB_KERNEL(dwconv_t_s8, ref, t2);
