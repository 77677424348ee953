// SPDX-License-Identifier: Apache-2.0
// Packing of two pixels for cores with the DSP extension: four channels of both a step, 8 values in 12
// cycles.
#include "pack_dots/pack_dots.h"

EB_PACK_DOTS_DECL(eb_pack_dots__armv7em);

// clang-format off
#define STEP                                                                                                 \
    "ldr r4, [r0], #4\n ldr r5, [r3], #4\n"                                                                  \
    "sxtb16 r6, r4\n sxtb16 r7, r5\n sxtb16 r4, r4, ror #8\n sxtb16 r5, r5, ror #8\n"                        \
    "str r6, [r1], #4\n str r7, [r1], #4\n str r4, [r1], #4\n str r5, [r1], #4\n"

// r0 first pixel, r1 x, r2 end of x, r3 second pixel.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_pack_dots__armv7em, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_pack_dots__armv7em\n"
        ".type eb_pack_dots__armv7em, %function\n"
        ".thumb_func\n"
        "eb_pack_dots__armv7em:\n"
        "push {r4-r7}\n"
        "adds r2, #3\n bic r2, r2, #3\n"
        "ldrd r0, r3, [r0]\n"
        "lsls r4, r2, #29\n"
        "add r2, r1, r2, lsl #2\n"
        "bmi 2f\n"
        "1:\n"
        STEP
        "2:\n"
        STEP
        "cmp r1, r2\n"
        "bne 1b\n"
        "pop {r4-r7}\n"
        "bx lr\n"
        ".size eb_pack_dots__armv7em, . - eb_pack_dots__armv7em\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(pack_dots, armv7em, none);
