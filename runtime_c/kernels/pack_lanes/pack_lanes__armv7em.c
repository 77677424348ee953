// SPDX-License-Identifier: Apache-2.0
// Packing of lanes for cores with the DSP extension: four inputs of two rows in 17 cycles, of one row in 12
// (modelled, Cortex-M4, no wait states). Inputs may be unaligned.
#include "pack_lanes/pack_lanes.h"

EB_PACK_LANES_DECL(eb_pack_lanes__armv7em);

// clang-format off
// r0 a, r1 b, r2 x, r3 quads left, r4 r8-r11 inputs, r5 odd, r6 next, r7 odd + next.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_pack_lanes__armv7em, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_pack_lanes__armv7em\n"
        ".type eb_pack_lanes__armv7em, %function\n"
        ".thumb_func\n"
        "eb_pack_lanes__armv7em:\n"
        "push {r4-r11}\n"
        "ldr r5, [r3, #4]\n ldr r6, [r3, #8]\n ldr r3, [r3]\n"
        "lsls r5, r5, #2\n lsls r6, r6, #2\n adds r7, r5, r6\n"
        "cbz r1, 2f\n"
        "1:\n"
        "ldr r8, [r0], #4\n ldr r9, [r1], #4\n"
        "pkhbt r10, r8, r9, lsl #16\n pkhtb r11, r9, r8, asr #16\n"
        "sxtb16 r4, r10\n sxtb16 r10, r10, ror #8\n sxtb16 r9, r11, ror #8\n sxtb16 r11, r11\n"
        "str r4, [r2]\n str r10, [r2, r5]\n str r11, [r2, r6]\n str r9, [r2, r7]\n"
        "add r2, r2, r6, lsl #1\n subs r3, #1\n bne 1b\n"
        "pop {r4-r11}\n bx lr\n"
        "2:\n"
        "ldr r8, [r0], #4\n"
        "sxtb16 r10, r8\n sxtb16 r9, r8, ror #8\n"
        "pkhbt r4, r10, r9, lsl #16\n pkhtb r9, r9, r10, asr #16\n"
        "str r4, [r2]\n str r9, [r2, r6]\n"
        "add r2, r2, r6, lsl #1\n subs r3, #1\n bne 2b\n"
        "pop {r4-r11}\n bx lr\n"
        ".size eb_pack_lanes__armv7em, . - eb_pack_lanes__armv7em\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(pack_lanes, armv7em, none);
