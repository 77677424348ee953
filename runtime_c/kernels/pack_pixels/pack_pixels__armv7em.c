// SPDX-License-Identifier: Apache-2.0
// Packing of pixels for cores with the DSP extension: four channels of two pixels a step, 8 values in 21
// cycles.
#include "pack_pixels/pack_pixels.h"

EB_PACK_PIXELS_DECL(eb_pack_pixels__armv7em);

// clang-format off
#define STEP                                                                                                 \
    "ldr r6, [r4], #4\n ldr r7, [r5], #4\n"                                                                  \
    "sxtb16 r10, r7\n sxtb16 r11, r7, ror #8\n"                                                              \
    "lsl r8, r10, #16\n sxtab r8, r8, r6\n"                                                                  \
    "lsl r9, r11, #16\n sxtab r9, r9, r6, ror #8\n"                                                          \
    "bfc r10, #0, #16\n sxtab r10, r10, r6, ror #16\n"                                                       \
    "bfc r11, #0, #16\n sxtab r11, r11, r6, ror #24\n"                                                       \
    "str r8, [r1], #4\n str r9, [r1], #4\n str r10, [r1], #4\n str r11, [r1], #4\n"

// r0 pointers, r1 x, r2 bytes of a run, r3 bytes to the next run, r4 first pixel, r5 second pixel, r6 channels of
// the first, r7 r8 channels of the second, r8-r11 packed words, r12 end of the run, lr end of the pointers.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_pack_pixels__armv7em, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_pack_pixels__armv7em\n"
        ".type eb_pack_pixels__armv7em, %function\n"
        ".thumb_func\n"
        "eb_pack_pixels__armv7em:\n"
        "push {r4-r11, lr}\n"
        "add lr, r0, #32\n"
        "adds r2, #3\n bic r2, r2, #3\n lsls r2, r2, #2\n"
        "rsb r3, r2, r3, lsl #2\n"
        "1:\n"
        "ldrd r4, r5, [r0], #8\n"
        "add r12, r1, r2\n"
        "lsls r6, r2, #27\n"
        "bmi 3f\n"
        "2:\n"
        STEP
        "3:\n"
        STEP
        "cmp r1, r12\n"
        "bne 2b\n"
        "add r1, r1, r3\n"
        "cmp r0, lr\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n"
        ".size eb_pack_pixels__armv7em, . - eb_pack_pixels__armv7em\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(pack_pixels, armv7em, none);
