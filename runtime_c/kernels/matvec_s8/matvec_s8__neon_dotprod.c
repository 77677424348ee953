// SPDX-License-Identifier: Apache-2.0
// int8 x int8 products for AArch64 with FEAT_DotProd (Cortex-A76), four rows at once: a SDOT for 16 of them.
//
// Bounds: sums are those of the family, |acc| < 2^31; SDOT wraps modulo 2^32 on the way.
// Cost (instructions per multiply-accumulate, Cortex-A76): 0.19 at 64 columns; plain C has 1.7.
// Scratch: none.
#include <arm_neon.h>

#include "matvec_s8/matvec_s8.h"

EB_INLINE int32x4_t eb_join_16(int32x4_t sum, int8x16_t w, int8x16_t x) {
    return vdotq_s32(sum, w, x);
}

#include "matvec_s8/rows4_neon.h"

EB_MATVEC_S8_DECL(eb_matvec_s8__neon_dotprod);

EB_MATVEC_S8_DECL(eb_matvec_s8__neon_dotprod) {
    (void)scratch;
    eb_matvec_s8_rows4(w, x, acc, rows, cols);
}

EB_KERNEL(matvec_s8, neon_dotprod, s8b4);
