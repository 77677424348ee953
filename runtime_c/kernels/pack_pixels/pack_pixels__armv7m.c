// SPDX-License-Identifier: Apache-2.0
// Packing of pixels for Armv7-M without the DSP extension: four channels of two pixels a step, each packed
// word two sign extensions and an addition with a shift; 8 values in 21 instructions.
#include "pack_pixels/pack_pixels.h"

EB_PACK_PIXELS_DECL(eb_pack_pixels__armv7m);

// clang-format off
#define WORD(d, turn)                                                                                        \
    "sxtb.w " d ", r6" turn "\n sxtb.w lr, r7" turn "\n add.w " d ", " d ", lr, lsl #16\n"
#define STEP                                                                                                 \
    "ldr r6, [r4], #4\n ldr r7, [r5], #4\n"                                                                  \
    WORD("r8", "") WORD("r9", ", ror #8") WORD("r10", ", ror #16") WORD("r11", ", ror #24")                  \
    "stmia r1!, {r8-r11}\n"

// r0 pointers, r1 x, r2 bytes of a run, r3 bytes to the next run, r4 first pixel, r5 second pixel, r6 channels of
// the first, r7 of the second, r8-r11 packed words, r12 end of the run, lr free; on the stack the end of the pointers.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_pack_pixels__armv7m, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_pack_pixels__armv7m\n"
        ".type eb_pack_pixels__armv7m, %function\n"
        ".thumb_func\n"
        "eb_pack_pixels__armv7m:\n"
        "push {r4-r11, lr}\n"
        "sub sp, #4\n"
        "add.w r4, r0, #32\n str r4, [sp]\n"
        "adds r2, #3\n bic r2, r2, #3\n lsls r2, r2, #2\n"
        "rsb r3, r2, r3, lsl #2\n"
        "1:\n"
        "ldr r4, [r0], #4\n ldr r5, [r0], #4\n"
        "add.w r12, r1, r2\n"
        "lsls r6, r2, #27\n"
        "bmi 3f\n"
        "2:\n"
        STEP
        "3:\n"
        STEP
        "cmp r1, r12\n"
        "bne 2b\n"
        "add r1, r3\n"
        "ldr r6, [sp]\n cmp r0, r6\n"
        "bne 1b\n"
        "add sp, #4\n"
        "pop {r4-r11, pc}\n"
        ".size eb_pack_pixels__armv7m, . - eb_pack_pixels__armv7m\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(pack_pixels, armv7m, none);
