// SPDX-License-Identifier: Apache-2.0
// Copies of runs of words for Armv7-M: 32 bytes at a time, 21 cycles (modelled, Cortex-M4); runs of 16 bytes
// take 14, and others 10 or more besides their bytes.
#include "copy_runs/copy_runs.h"

EB_COPY_RUNS_DECL(eb_copy_runs__armv7em);

// clang-format off
// r0 to, r1 from, r2 bytes, r3 count, r4-r11 words, r12 bytes from behind a run to the next, lr bytes left.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_copy_runs__armv7em, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_copy_runs__armv7em\n"
        ".type eb_copy_runs__armv7em, %function\n"
        ".thumb_func\n"
        "eb_copy_runs__armv7em:\n"
        "push {r4-r11, lr}\n"
        "ldr r12, [sp, #36]\n"
        "cmp r2, #16\n beq 7f\n"
        "sub r12, r12, r2\n"
        "1:\n"
        "subs lr, r2, #32\n blo 3f\n"
        "2:\n"
        "ldmia r1!, {r4-r11}\n subs lr, lr, #32\n stmia r0!, {r4-r11}\n bhs 2b\n"
        "3:\n"
        "lsls r4, lr, #27\n beq 6f\n bpl 4f\n"
        "ldmia r1!, {r4-r7}\n stmia r0!, {r4-r7}\n"
        "4:\n"
        "lsls r4, lr, #29\n bcc 5f\n"
        "ldmia r1!, {r4-r5}\n stmia r0!, {r4-r5}\n"
        "5:\n"
        "bpl 6f\n"
        "ldr r4, [r1], #4\n str r4, [r0], #4\n"
        "6:\n"
        "add r0, r0, r12\n subs r3, #1\n bne 1b\n"
        "pop {r4-r11, pc}\n"
        /* runs of four words */
        "7:\n"
        "ldmia r1!, {r4-r7}\n stmia r0, {r4-r7}\n add r0, r0, r12\n subs r3, #1\n bne 7b\n"
        "pop {r4-r11, pc}\n"
        ".size eb_copy_runs__armv7em, . - eb_copy_runs__armv7em\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(copy_runs, armv7em, none);
