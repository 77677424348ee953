// SPDX-License-Identifier: Apache-2.0
// Copies of runs of words for Armv6-M: 16 bytes at a time, 13 cycles (modelled, Cortex-M0+), and 12 to 22 a
// run besides.
#include "copy_runs/copy_runs.h"

EB_COPY_RUNS_DECL(eb_copy_runs__armv6m);

// clang-format off
// r0 to, r1 from, r2 bytes left, r3 count, r4-r7 words, r8 bytes, r12 bytes from behind a run to the next.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_copy_runs__armv6m, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_copy_runs__armv6m\n"
        ".type eb_copy_runs__armv6m, %function\n"
        ".thumb_func\n"
        "eb_copy_runs__armv6m:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n push {r4}\n"
        "ldr r4, [sp, #24]\n subs r4, r4, r2\n mov r12, r4\n"
        "mov r8, r2\n"
        "1:\n"
        "subs r2, #16\n blo 3f\n"
        "2:\n"
        "ldmia r1!, {r4-r7}\n stmia r0!, {r4-r7}\n subs r2, #16\n bhs 2b\n"
        "3:\n"
        "lsls r2, r2, #28\n beq 6f\n bpl 4f\n"
        "ldmia r1!, {r4, r5}\n stmia r0!, {r4, r5}\n"
        "4:\n"
        "lsls r2, r2, #1\n bpl 6f\n"
        "ldmia r1!, {r4}\n stmia r0!, {r4}\n"
        "6:\n"
        "mov r2, r8\n add r0, r12\n subs r3, #1\n bne 1b\n"
        "pop {r4}\n mov r8, r4\n"
        "pop {r4-r7, pc}\n"
        ".size eb_copy_runs__armv6m, . - eb_copy_runs__armv6m\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(copy_runs, armv6m, none);
