// SPDX-License-Identifier: Apache-2.0
// Four channels of two pixels, packed by 128 and more: bytes change their upper bits, words of both pixels
// are cut and joined; what a mask takes of them leaves the other channel. 28 cycles (modelled, Cortex-M0+).
#ifndef EDGEBIT_PACK_BYTES_STEP_ARMV6M_H
#define EDGEBIT_PACK_BYTES_STEP_ARMV6M_H

// r0, r1 first and second pixel, which move on, r2 x, r3-r6 packed words, r7 free, r10 128 in each byte, r11
// 255 in both halves.
// clang-format off
#define EB_PACK_STEP                                                                                         \
    "ldmia r0!, {r3}\n ldmia r1!, {r4}\n mov r7, r10\n eors r3, r7\n eors r4, r7\n"                          \
    "lsrs r6, r3, #16\n lsrs r5, r4, #16\n lsls r5, r5, #16\n adds r6, r6, r5\n"                             \
    "uxth r3, r3\n lsls r4, r4, #16\n adds r4, r4, r3\n mov r7, r11\n"                                       \
    "movs r3, r4\n ands r3, r7\n subs r4, r4, r3\n lsrs r4, r4, #8\n"                                        \
    "movs r5, r6\n ands r5, r7\n subs r6, r6, r5\n lsrs r6, r6, #8\n"                                        \
    "stmia r2!, {r3-r6}\n"
// r10 and r11 so, by way of r4 and r5.
#define EB_PACK_CONSTANTS                                                                                    \
    "movs r4, #255\n lsls r5, r4, #16\n adds r5, r5, r4\n mov r11, r5\n"                                     \
    "movs r4, #128\n lsls r5, r4, #8\n adds r4, r4, r5\n lsls r5, r4, #16\n adds r4, r4, r5\n mov r10, r4\n"
// clang-format on

#endif
