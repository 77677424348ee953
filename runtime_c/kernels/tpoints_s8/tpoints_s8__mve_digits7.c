// SPDX-License-Identifier: Apache-2.0
// Ternary layers of points for cores with Helium (Cortex-M55, M85), pixel by pixel: a row of sums as
// tmatvec_s8__mve_digits7 makes it, requantised four at a time. What a fully connected layer is with one
// pixel.
//
// Layout "digits7", see digits7_mve.h; x is readable up to the last pixel's columns rounded up to 16. Bounds:
// those of digits_mve.h and, for what is requantised, those of eb_requant. Cost (Cortex-M55, llvm-mca model,
// no wait states): digits7_mve.h; 11 for 4 rows requantised, 13 a row that is left; some 75 a pixel. Scratch:
// sums, 4 bytes a row, rows rounded up to 4.
#include "epilogue/requant_mve.h"
#include "tmatvec_s8/digits7_mve.h"
#include "tpoints_s8/tpoints_s8.h"

EB_TPOINTS_S8_DECL(eb_tpoints_s8__mve_digits7);

// clang-format off
// q6 q7 the bounds. Stack: 64 end of acc, 68 end of its blocks of seven, 72 pixels left, 76 p, 80 x, 84 w, 88 entries;
// 128 y, 132 acc.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tpoints_s8__mve_digits7, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tpoints_s8__mve_digits7\n"
        ".type eb_tpoints_s8__mve_digits7, %function\n"
        ".thumb_func\n"
        "eb_tpoints_s8__mve_digits7:\n"
        "push {r0-r11, lr}\n"
        "sub sp, #12\n"
        "vpush {d8-d15}\n"
        "ldrd r4, r5, [r0]\n ldr r6, [r0, #8]\n ldrd r10, r11, [r0, #20]\n"
        "mov r3, r1\n mov r1, r2\n"
        "ldr r7, [sp, #132]\n"
        "adds r4, #3\n movs r2, #28\n"
        "str r6, [sp, #72]\n"
        "udiv r6, r4, r2\n"
        "vdup.32 q6, r10\n"
        "sub r9, r5, #1\n"
        "vdup.32 q7, r11\n"
        "bic r4, r4, #3\n"
        "asr r9, r9, #4\n"
        "add r4, r7, r4, lsl #2\n"
        "muls r6, r2, r6\n"
        "add r11, r7, r6, lsl #2\n"
        "strd r4, r11, [sp, #64]\n"
        "6:\n"
        EB_DIGITS7_ROWS("[sp, #64]")
        "movs r0, #1\n"
        "ldr r7, [sp, #76]\n"
        "movt r0, #0xFFFF\n"
        "ldr r5, [sp, #88]\n"
        "vdup.32 q5, r0\n"
        "ldr r1, [r7]\n"
        "ldrd r0, r6, [sp, #128]\n"
        "asrs r2, r1, #2\n"
        "beq 3f\n"
        "subs r2, #1\n"
        EB_REQUANT_FOURS__MVE("r6", "r5", "r0", "r2", "q5", "q6", "q7")
        "3:\n"
        "ands r1, r1, #3\n"
        "bne 5f\n"
        "4:\n"
        "ldr r4, [sp, #72]\n"
        "subs r4, #1\n"
        "bne 8f\n"
        "vpop {d8-d15}\n"
        "add sp, #28\n"
        "pop {r4-r11, pc}\n"
        "8:\n"
        "ldrd r3, r1, [sp, #80]\n"
        "str r0, [sp, #128]\n"
        "ldr r2, [r7, #4]\n"
        "str r4, [sp, #72]\n"
        "add r3, r2\n"
        "ldr r11, [sp, #68]\n"
        "str r3, [sp, #80]\n"
        "ldr r7, [sp, #132]\n"
        "b 6b\n"
        "5:\n"
        "ldrd r10, r11, [r7, #20]\n"
        "7:\n"
        "ldrd r3, r8, [r5], #8\n"
        "ldr r2, [r6], #4\n"
        "sxth r12, r8\n"
        "asr r8, r8, #16\n"
        "mla r2, r2, r12, r3\n"
        "asr r2, r2, r8\n"
        "cmp r2, r10\n it lt\n movlt r2, r10\n"
        "cmp r2, r11\n it gt\n movgt r2, r11\n"
        "strb r2, [r0], #1\n"
        "subs r1, #1\n"
        "bne 7b\n"
        "b 4b\n"
        ".size eb_tpoints_s8__mve_digits7, . - eb_tpoints_s8__mve_digits7\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(tpoints_s8, mve_digits7, digits7);
