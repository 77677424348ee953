// SPDX-License-Identifier: Apache-2.0
// Packing of pixels for Armv6-M: four channels of two pixels a step, 8 values in 32 cycles.
#include "pack_pixels/pack_pixels.h"

EB_PACK_PIXELS_DECL(eb_pack_pixels__armv6m);

// clang-format off
#define STEP                                                                                                 \
    "ldmia r0!, {r3}\n ldmia r1!, {r4}\n"                                                                    \
    "asrs r5, r3, #24\n asrs r7, r4, #24\n lsls r7, r7, #16\n adds r7, r7, r5\n"                             \
    "lsls r5, r3, #8\n asrs r5, r5, #24\n lsls r6, r4, #8\n asrs r6, r6, #24\n lsls r6, r6, #16\n"           \
    "adds r6, r6, r5\n"                                                                                      \
    "sxtb r5, r3\n mov lr, r5\n"                                                                             \
    "sxth r3, r3\n asrs r3, r3, #8\n"                                                                        \
    "lsls r5, r4, #16\n asrs r5, r5, #24\n lsls r5, r5, #16\n adds r5, r5, r3\n"                             \
    "lsls r4, r4, #24\n asrs r4, r4, #8\n add r4, lr\n"                                                      \
    "stmia r2!, {r4-r7}\n"                                                                                  

// r0 first pixel, r1 second pixel, r2 x, r3 four channels of the first, r4-r7 packed words (r4 holds the second
// pixel's channels until the last), r8 bytes to the next run, r9 pointers, r10 their end, r11 bytes of a run, r12
// end of the run.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_pack_pixels__armv6m, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_pack_pixels__armv6m\n"
        ".type eb_pack_pixels__armv6m, %function\n"
        ".thumb_func\n"
        "eb_pack_pixels__armv6m:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "mov r9, r0\n adds r0, #32\n mov r10, r0\n"
        "adds r2, #3\n lsrs r2, r2, #2\n lsls r2, r2, #4\n mov r11, r2\n"
        "lsls r3, r3, #2\n subs r3, r3, r2\n mov r8, r3\n"
        "movs r2, r1\n"
        "1:\n"
        "mov r3, r9\n ldmia r3!, {r0, r1}\n mov r9, r3\n"
        "mov r4, r11\n adds r3, r4, r2\n mov r12, r3\n"
        "lsls r4, r4, #27\n"
        "bmi 3f\n"
        "2:\n"
        STEP
        "3:\n"
        STEP
        "cmp r2, r12\n"
        "bne 2b\n"
        "add r2, r8\n"
        "mov r3, r9\n"
        "cmp r3, r10\n"
        "bne 1b\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ".size eb_pack_pixels__armv6m, . - eb_pack_pixels__armv6m\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(pack_pixels, armv6m, none);
