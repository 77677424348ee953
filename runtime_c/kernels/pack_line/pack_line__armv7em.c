// SPDX-License-Identifier: Apache-2.0
// Packing of pixels that follow one another for cores with the DSP extension: a pair takes 10 cycles
// (modelled, Cortex-M4) and 14 for four channels.
#include "pack_line/pack_line.h"
#include "pack_bytes/step_armv7em.h"

EB_PACK_LINE_DECL(eb_pack_line__armv7em);

// clang-format off
// r0 first pixel, r1 x, r2 bytes of a run, r3 bytes to the next run, r4 second pixel, r5 its distance, r6-r9 channels
// and packed words, r10 128 in both halves, r12 end of the run, lr pairs left.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_pack_line__armv7em, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_pack_line__armv7em\n"
        ".type eb_pack_line__armv7em, %function\n"
        ".thumb_func\n"
        "eb_pack_line__armv7em:\n"
        "push {r4-r10, lr}\n"
        "ldrd r5, lr, [sp, #32]\n mov r10, #0x00800080\n"
        "lsls r2, r2, #2\n rsb r3, r2, r3, lsl #2\n"
        "1:\n"
        "add r4, r0, r5\n add r12, r1, r2\n lsls r6, r2, #27\n bmi 3f\n"
        "2:\n"
        EB_PACK_STEP("r0", "r4")
        "3:\n"
        EB_PACK_STEP("r0", "r4")
        "cmp r1, r12\n bne 2b\n"
        "mov r0, r4\n add r1, r1, r3\n subs lr, lr, #1\n bne 1b\n"
        "pop {r4-r10, pc}\n"
        ".size eb_pack_line__armv7em, . - eb_pack_line__armv7em\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(pack_line, armv7em, none);
