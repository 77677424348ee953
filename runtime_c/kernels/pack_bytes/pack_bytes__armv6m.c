// SPDX-License-Identifier: Apache-2.0
// Packing of pixels as numbers from 0 to 255 for Armv6-M: four channels of two pixels a step (step_armv6m.h
// says how), 8 values in 30 cycles (modelled, Cortex-M0+).
#include "pack_bytes/pack_bytes.h"
#include "pack_bytes/step_armv6m.h"

EB_PACK_BYTES_DECL(eb_pack_bytes__armv6m);

// clang-format off
// r0 first pixel, r1 second pixel, r2 x, r3-r7 see step_armv6m.h, r8 bytes of a run, r9 pointers, r12 end of the run,
// lr end of the pointers. Stack: 0 bytes to the next run.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_pack_bytes__armv6m, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_pack_bytes__armv6m\n"
        ".type eb_pack_bytes__armv6m, %function\n"
        ".thumb_func\n"
        "eb_pack_bytes__armv6m:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "sub sp, #4\n"
        EB_PACK_CONSTANTS
        "mov r9, r0\n adds r0, #32\n mov lr, r0\n"
        "adds r2, #3\n lsrs r2, r2, #2\n lsls r2, r2, #4\n mov r8, r2\n"
        "lsls r3, r3, #2\n subs r3, r3, r2\n str r3, [sp]\n"
        "movs r2, r1\n"
        "1:\n"
        "mov r3, r9\n ldmia r3!, {r0, r1}\n mov r9, r3\n"
        "mov r4, r8\n adds r3, r4, r2\n mov r12, r3\n"
        "lsls r4, r4, #27\n"
        "bmi 3f\n"
        "2:\n"
        EB_PACK_STEP
        "3:\n"
        EB_PACK_STEP
        "cmp r2, r12\n"
        "bne 2b\n"
        "ldr r3, [sp]\n adds r2, r2, r3\n"
        "cmp r9, lr\n"
        "bne 1b\n"
        "add sp, #4\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ".size eb_pack_bytes__armv6m, . - eb_pack_bytes__armv6m\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(pack_bytes, armv6m, none);
