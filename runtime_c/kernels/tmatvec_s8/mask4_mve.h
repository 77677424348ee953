// SPDX-License-Identifier: Apache-2.0
// Four ternary rows at once for cores with Helium (Cortex-M55, M85): what kernels of layouts with such blocks
// share.
//
// A byte (layout "mask4") holds one column of 4 rows, two bits a row: trit + 1 of rows 0, 1, 2 from the
// lowest bits up, then the trit of row 3 as a two's complement number. A vector of 16 bytes masked with 0x03,
// 0x0C or 0x30 holds the codes of one row times 1, 4 or 16, so one VMLADAV.S8 with the inputs does 16
// multiply-accumulates; nothing is shifted. The vector as it is gives all four rows together, with weights
// 1, 4, 16 and 64, from which the first three are taken to leave the fourth.
//
// Bounds. With T(i) the sum of row i and X the sum of the inputs, the accumulators end at T(0) + X,
// 4 (T(1) + X), 16 (T(2) + X) and the sum of these + 64 T(3), all modulo 2^32: VMLADAV wraps. |16 (T + X)| <=
// 16 * 2 * 128 * cols, since no code is above 2, and |64 T| <= 64 * 128 * cols; both stay below 2^31 for
// cols <= 131072, the layouts' limit. So the shifts by 2, 4 and 6 divide exactly.
#ifndef EDGEBIT_MASK4_MVE_H
#define EDGEBIT_MASK4_MVE_H

#include <arm_mve.h>

#include "edgebit/eb_types.h"

typedef struct {
    uint8x16_t low, middle, high;
} eb_mask4;

EB_INLINE eb_mask4 eb_mask4_make(void) {
    const eb_mask4 m = {vdupq_n_u8(0x03), vdupq_n_u8(0x0C), vdupq_n_u8(0x30)};
    return m;
}

// Rest of a step whose weights are loaded, all but its last product. "a": accumulate, "": start to.
#define EB_MASK4_PRODUCTS(a)                                                                                 \
    "vldrb.u8 %q[in], [%[x]], #16\n"                                                                         \
    "vand %q[part], %q[codes], %q[low]\n"                                                                    \
    "vmladav" a ".s8 %[all], %q[codes], %q[in]\n"                                                            \
    "vand %q[other], %q[codes], %q[middle]\n"                                                                \
    "vmladav" a ".s8 %[a0], %q[part], %q[in]\n"                                                              \
    "vand %q[part], %q[codes], %q[high]\n"                                                                   \
    "vmladav" a ".s8 %[a1], %q[other], %q[in]\n"

// Four rows over 16 * steps columns, whose inputs sum up to `sum`; moves w and acc on. A product takes the
// multiplier two cycles and everything else one issue slot beside it, so products alternate with the rest:
// the last product of a step waits until the next step's weights are being loaded.
EB_INLINE void eb_mask4_rows(const uint8_t **w, const int8_t *x, int32_t **acc, int32_t steps, int32_t sum,
                             const eb_mask4 *m) {
    uint8x16_t codes;
    uint8x16_t part;
    uint8x16_t other;
    int8x16_t in;
    int32_t a0, a1, a2, all;
    __asm__ volatile("vldrb.u8 %q[codes], [%[w]], #16\n"
                     "mov %[a2], #0\n" EB_MASK4_PRODUCTS("") //
                     "wls lr, %[more], 2f\n"
                     "1:\n"
                     "vldrb.u8 %q[codes], [%[w]], #16\n"
                     "vmladava.s8 %[a2], %q[part], %q[in]\n" EB_MASK4_PRODUCTS("a") //
                     "le lr, 1b\n"
                     "2:\n"
                     "vmladava.s8 %[a2], %q[part], %q[in]\n"
                     "sub %[all], %[all], %[a0]\n"
                     "sub %[all], %[all], %[a1]\n"
                     "sub %[a0], %[a0], %[sum]\n"
                     "rsb %[a1], %[sum], %[a1], asr #2\n"
                     "sub %[all], %[all], %[a2]\n"
                     "rsb %[a2], %[sum], %[a2], asr #4\n"
                     "asr %[all], %[all], #6\n"
                     "strd %[a0], %[a1], [%[acc]], #8\n"
                     "strd %[a2], %[all], [%[acc]], #8\n"
                     : [w] "+r"(*w), [x] "+r"(x), [acc] "+r"(*acc), [codes] "=&w"(codes), [in] "=&w"(in),
                       [part] "=&w"(part), [other] "=&w"(other), [a0] "=&Te"(a0), [a1] "=&Te"(a1),
                       [a2] "=&Te"(a2), [all] "=&Te"(all)
                     : [low] "w"(m->low), [middle] "w"(m->middle), [high] "w"(m->high), [more] "r"(steps - 1),
                       [sum] "r"(sum)
                     : "lr", "cc", "memory");
}

#undef EB_MASK4_PRODUCTS

#endif
