// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for cores with Helium (Cortex-M55, M85), seven rows at once: layout "digits7", see
// digits7_mve.h. Scratch: none.
#include "tmatvec_s8/digits7_mve.h"
#include "tmatvec_s8/tmatvec_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__mve_digits7);

// clang-format off
// Stack: 32 end of acc.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tmatvec_s8__mve_digits7, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tmatvec_s8__mve_digits7\n"
        ".type eb_tmatvec_s8__mve_digits7, %function\n"
        ".thumb_func\n"
        "eb_tmatvec_s8__mve_digits7:\n"
        "push {r3-r11, lr}\n"
        "vpush {d8-d11}\n"
        "adds r3, #3\n movs r4, #28\n"
        "udiv r6, r3, r4\n"
        "ldr r9, [sp, #72]\n"
        "bic r3, r3, #3\n"
        "add r3, r2, r3, lsl #2\n"
        "str r3, [sp, #32]\n"
        "mul r6, r6, r4\n"
        "mov r3, r1\n mov r1, r0\n mov r7, r2\n"
        "sub r9, r9, #1\n"
        "add r11, r2, r6, lsl #2\n"
        "asr r9, r9, #4\n"
        EB_DIGITS7_ROWS("[sp, #32]")
        "vpop {d8-d11}\n"
        "pop {r3-r11, pc}\n"
        ".size eb_tmatvec_s8__mve_digits7, . - eb_tmatvec_s8__mve_digits7\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(tmatvec_s8, mve_digits7, digits7);
