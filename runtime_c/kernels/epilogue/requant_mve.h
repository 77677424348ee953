// SPDX-License-Identifier: Apache-2.0
// Integer requantisation of a row of sums on cores with Helium, four channels at once: the steps of
// eb_requant (edgebit/eb_types.h), exact because none of them leaves int32.
#ifndef EDGEBIT_REQUANT_MVE_H
#define EDGEBIT_REQUANT_MVE_H

#include <arm_mve.h>

#include "edgebit/eb_types.h"

// Assembly for fours of sums without pre-shift, more + 1 of them: 11 cycles each (Cortex-M55, llvm-mca
// model). Operands are names of registers, y a low one: acc, e and y move on; more: fours after the first;
// signs: int16 1, -1, which make of an entry its mul and its shift negated; low, high: int32 bounds. Labels 1
// and 2, lr and q0-q4 are used: q0 adds, q1 entries, then factors, q2 sums, q3 values, q4 shifts. The next
// four are loaded and multiplied while one is shifted and clamped.
#define EB_REQUANT_FOURS__MVE(acc, e, y, more, signs, low, high)                                             \
    "vld20.32 {q0, q1}, [" e "]\n vld21.32 {q0, q1}, [" e "]!\n vldrw.u32 q2, [" acc "], #16\n"              \
    "vmullt.s16 q4, q1, " signs "\n vmullb.s16 q1, q1, " signs "\n vmul.i32 q3, q2, q1\n"                    \
    "wls lr, " more ", 2f\n"                                                                                 \
    "1:\n"                                                                                                   \
    "vldrw.u32 q2, [" acc "], #16\n vadd.i32 q3, q3, q0\n vld20.32 {q0, q1}, [" e "]\n"                      \
    "vshl.s32 q3, q3, q4\n vld21.32 {q0, q1}, [" e "]!\n vmullt.s16 q4, q1, " signs "\n"                     \
    "vmin.s32 q3, q3, " high "\n vmullb.s16 q1, q1, " signs "\n vmax.s32 q3, q3, " low "\n"                  \
    "vstrb.32 q3, [" y "], #4\n vmul.i32 q3, q2, q1\n"                                                       \
    "le lr, 1b\n"                                                                                            \
    "2:\n"                                                                                                   \
    "vadd.i32 q3, q3, q0\n vshl.s32 q3, q3, q4\n vmin.s32 q3, q3, " high "\n"                                \
    "vmax.s32 q3, q3, " low "\n vstrb.32 q3, [" y "], #4\n"

// Whole fours of a row without pre-shift, fours >= 1.
EB_INLINE void eb_requant_fours__mve(const int32_t *acc, const eb_requant_entry *e, int8_t *y, int32_t fours,
                                     int32x4_t low, int32x4_t high) {
    const int32x4_t signs = vdupq_n_s32((int32_t)0xFFFF0001);
    __asm__ volatile(
        EB_REQUANT_FOURS__MVE("%[acc]", "%[e]", "%[y]", "%[more]", "%q[signs]", "%q[low]", "%q[high]")
        : [acc] "+r"(acc), [e] "+r"(e), [y] "+l"(y)
        : [more] "r"(fours - 1), [low] "w"(low), [high] "w"(high), [signs] "w"(signs)
        : "q0", "q1", "q2", "q3", "q4", "lr", "cc", "memory");
}

// y[i] = eb_requant(acc[i], p, &e[i]), i < n.
EB_INLINE void eb_requant_row__mve(const int32_t *acc, const eb_requant_entry *e, int8_t *y,
                                   const eb_requant_params *p, int32_t n) {
    const eb_requant_params common = *p; // y may not alias a copy
    const int32x4_t low = vdupq_n_s32(common.qmin);
    const int32x4_t high = vdupq_n_s32(common.qmax);
    const int32_t whole = n & ~3;
    if (common.pre_shift == 0 && whole > 0) {
        eb_requant_fours__mve(acc, e, y, whole >> 2, low, high);
        acc += whole, e += whole, y += whole, n -= whole;
    }
    for (; n >= 4; n -= 4, acc += 4, e += 4, y += 4) {
        const int32x4x2_t entry = vld2q_s32((const int32_t *)(const void *)e);
        const int32x4_t mul = vmovlbq_s16(vreinterpretq_s16_s32(entry.val[1])); // low halves; shifts are high
        const int32x4_t left = vnegq_s32(vshrq_n_s32(entry.val[1], 16));
        int32x4_t t = vldrwq_s32(acc);
        t = vshlq_r_s32(vaddq_n_s32(t, common.half), -common.pre_shift);
        t = vshlq_s32(vaddq_s32(vmulq_s32(t, mul), entry.val[0]), left);
        vstrbq_s32(y, vminq_s32(vmaxq_s32(t, low), high));
    }
    for (; n > 0; n--) {
        eb_requant_entry one;
        __builtin_memcpy(&one, e++, sizeof one);
        *y++ = eb_requant(*acc++, &common, &one);
    }
}

#endif
