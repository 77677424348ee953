// SPDX-License-Identifier: Apache-2.0
// Sum of int8 inputs on cores with Helium, 16 in two cycles (Cortex-M55, llvm-mca model).
#ifndef EDGEBIT_SUM_MVE_H
#define EDGEBIT_SUM_MVE_H

#include <arm_mve.h>

#include "edgebit/eb_types.h"

// x[0] + ... + x[16 * steps - 1], steps >= 1; |sum| <= 128 * 16 * steps must stay within int32.
EB_INLINE int32_t eb_sum__mve(const int8_t *x, int32_t steps) {
    int32_t sum = 0;
    int8x16_t in;
    __asm__("vldrb.u8 %q[in], [%[x]], #16\n"
            "wls lr, %[more], 2f\n"
            "1:\n"
            "vaddva.s8 %[sum], %q[in]\n"
            "vldrb.u8 %q[in], [%[x]], #16\n"
            "le lr, 1b\n"
            "2:\n"
            "vaddva.s8 %[sum], %q[in]\n"
            : [x] "+r"(x), [sum] "+Te"(sum), [in] "=&w"(in)
            : [more] "r"(steps - 1)
            : "lr", "cc", "memory");
    return sum;
}

#endif
