// SPDX-License-Identifier: Apache-2.0
// Four channels of two pixels, packed by 128 and more: words of both pixels are cut and joined first; SXTAB16
// then widens two values, one of each, and adds 128 to both. 13 cycles (modelled, Cortex-M4), 12 after a
// store.
#ifndef EDGEBIT_PACK_BYTES_STEP_ARMV7EM_H
#define EDGEBIT_PACK_BYTES_STEP_ARMV7EM_H

// first, second: registers that point to the pixels and move on. r1 x, r6-r9 channels and packed words, r10
// 128 in both halves.
// clang-format off
#define EB_PACK_STEP(first, second)                                                                          \
    "ldr r6, [" first "], #4\n ldr r7, [" second "], #4\n"                                                   \
    "pkhbt r8, r6, r7, lsl #16\n pkhtb r9, r7, r6, asr #16\n"                                                \
    "sxtab16 r6, r10, r8\n sxtab16 r7, r10, r8, ror #8\n sxtab16 r8, r10, r9\n sxtab16 r9, r10, r9, ror #8\n" \
    "str r6, [r1], #4\n str r7, [r1], #4\n str r8, [r1], #4\n str r9, [r1], #4\n"
// clang-format on

#endif
