// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for cores with Helium (Cortex-M55, M85), four rows at once: layout "digits4",
// blocks of bytes that digits_mve.h explains, and 16 bytes that are read and ignored. Cost (Cortex-M55,
// llvm-mca model, no wait states): 9 cycles for 64 weights, 13 per 4 rows. Scratch: none.
#include "tmatvec_s8/digits_mve.h"
#include "tmatvec_s8/tmatvec_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__mve);

// clang-format off
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tmatvec_s8__mve, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tmatvec_s8__mve\n"
        ".type eb_tmatvec_s8__mve, %function\n"
        ".thumb_func\n"
        "eb_tmatvec_s8__mve:\n"
        "push {r4-r9, r11, lr}\n"
        "adds r3, #3\n"
        "ldr r9, [sp, #32]\n"
        "bic r3, r3, #3\n"
        "mov r5, r1\n mov r1, r0\n"
        "add r11, r2, r3, lsl #2\n"
        "vldrb.u8 q0, [r1], #16\n"
        "mov r7, r2\n mov r3, r5\n"
        "sub r9, r9, #1\n"
        "asr r9, r9, #4\n"
        EB_DIGITS_FOURS
        "pop {r4-r9, r11, pc}\n"
        ".size eb_tmatvec_s8__mve, . - eb_tmatvec_s8__mve\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(tmatvec_s8, mve, digits4);
