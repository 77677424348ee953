// SPDX-License-Identifier: Apache-2.0
// int8 matrix times int8 vector for AArch64 with the layout "s8b4", four rows at once: what the kernels with
// and without FEAT_DotProd share. They differ in how 16 products join a sum.
#ifndef EDGEBIT_MATVEC_S8_ROWS4_NEON_H
#define EDGEBIT_MATVEC_S8_ROWS4_NEON_H

#include "matvec_s8/matvec_s8.h"

EB_INLINE void eb_matvec_s8_rows4(const int8_t *w, const int8_t *x, int32_t *acc, int32_t rows,
                                  int32_t cols) {
    const int32_t steps = (cols + 15) >> 4;
    for (int32_t r = 0; r < rows; r += 4) {
        int32x4_t sum0 = vdupq_n_s32(0);
        int32x4_t sum1 = sum0;
        int32x4_t sum2 = sum0;
        int32x4_t sum3 = sum0;
        const int8_t *in = x;
        for (int32_t n = steps; n > 0; n--) {
            const int8x16_t v = vld1q_s8(in);
            sum0 = eb_join_16(sum0, vld1q_s8(w), v);
            sum1 = eb_join_16(sum1, vld1q_s8(w + 16), v);
            sum2 = eb_join_16(sum2, vld1q_s8(w + 32), v);
            sum3 = eb_join_16(sum3, vld1q_s8(w + 48), v);
            in += 16;
            w += 64;
        }
        vst1q_s32(acc + r, vpaddq_s32(vpaddq_s32(sum0, sum1), vpaddq_s32(sum2, sum3)));
    }
}

#endif
