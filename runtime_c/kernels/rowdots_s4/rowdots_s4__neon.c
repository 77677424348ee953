// SPDX-License-Identifier: Apache-2.0
// Four-bit rows times a vector for AArch64 without dot products (Cortex-A53, A72); see
// rowdots_s4/neon_body.h.
//
// Products of bytes are at most 15 * 128 and two of them fit 16 bits: SMULL twice, ADDP, SADALP for four
// sums.
#define S4_NAME  eb_rowdots_s4__neon
#define S4_QUADS s4_quads
#include <arm_neon.h>

#include "edgebit/eb_types.h"

EB_INLINE int32x4_t s4_quads(int32x4_t sum, int8x16_t u, int8x16_t x) {
    const int16x8_t low = vmull_s8(vget_low_s8(u), vget_low_s8(x));
    const int16x8_t high = vmull_high_s8(u, x);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
}

#include "rowdots_s4/neon_body.h"

EB_KERNEL(rowdots_s4, neon, none);
