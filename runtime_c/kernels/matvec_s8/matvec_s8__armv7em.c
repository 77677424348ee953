// SPDX-License-Identifier: Apache-2.0
// int8 x int8 products for cores with the DSP extension (Cortex-M4, M7, M33), four rows at once.
//
// Four columns of four rows and of the input are five words (layout "s8r4"); SXTB16 makes pairs of them that
// SMLAD multiplies, so that an input is loaded and extended once for four rows.
//
// Bounds: sums are those of the family, |acc| < 2^31; SMLAD wraps modulo 2^32 on the way.
// Scratch: none.
// Cost (modelled cycles, Cortex-M4, no wait states): 1.6 a weight, 35 per 4 rows.
#include "matvec_s8/matvec_s8.h"

// blocks >= 1 of 4 rows. x is word-aligned.
void eb_matvec_s8__armv7em_rows(const int8_t *w, const int8_t *x, int32_t *acc, int32_t cols, int32_t blocks);

// clang-format off
// r0 w, r1 x, r2 free, r3 steps left, r4-r7 sums, r8-r11 weights, r12 lr inputs.
#define ROW(word, sum)                                                                                       \
    "sxtb16 r2, " #word ", ror #8\n sxtb16 " #word ", " #word "\n"                                           \
    "smlad " #sum ", r2, lr, " #sum "\n smlad " #sum ", " #word ", r12, " #sum "\n"
#define STEP                                                                                                 \
    "ldr r12, [r1], #4\n ldr r8, [r0], #4\n ldr r9, [r0], #4\n ldr r10, [r0], #4\n ldr r11, [r0], #4\n"      \
    "sxtb16 lr, r12, ror #8\n sxtb16 r12, r12\n" ROW(r8, r4) ROW(r9, r5) ROW(r10, r6) ROW(r11, r7)
// One column of 4 rows in a word.
#define LAST(turned, sum) "sxtb r2, r8" turned "\n mla " #sum ", r2, r12, " #sum "\n"

// Stack: 0 x, 4 acc, 8 cols; above the saved registers the blocks left.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_matvec_s8__armv7em_rows, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_matvec_s8__armv7em_rows\n"
        ".hidden eb_matvec_s8__armv7em_rows\n"
        ".type eb_matvec_s8__armv7em_rows, %function\n"
        ".thumb_func\n"
        "eb_matvec_s8__armv7em_rows:\n"
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "strd r1, r2, [sp]\n str r3, [sp, #8]\n"
        "1:\n"
        "movs r4, #0\n movs r5, #0\n movs r6, #0\n movs r7, #0\n"
        "ldr r3, [sp, #8]\n ldr r1, [sp]\n"
        "and r2, r3, #3\n cmp r2, #1\n"
        "add r3, r3, #2\n"
        "lsrs r3, r3, #2\n" // whole steps, and one for 2 or 3 columns that are left
        "beq.w 4f\n"
        "lsls r2, r3, #31\n"
        "it mi\n addmi r3, #1\n"
        "bmi.w 3f\n"
        "2:\n"
        STEP
        "3:\n"
        STEP
        "subs r3, #2\n"
        "bne.w 2b\n"
        "4:\n"
        "ldr r3, [sp, #8]\n and r2, r3, #3\n cmp r2, #1\n bne 5f\n"
        "ldr r8, [r0], #4\n ldrsb r12, [r1]\n"
        LAST("", r4) LAST(", ror #8", r5) LAST(", ror #16", r6) LAST(", ror #24", r7)
        "5:\n"
        "ldr r2, [sp, #4]\n stmia r2!, {r4-r7}\n str r2, [sp, #4]\n"
        "ldr r2, [sp, #48]\n subs r2, #1\n str r2, [sp, #48]\n"
        "bne.w 1b\n"
        "add sp, #12\n"
        "pop {r4-r11, pc}\n"
        ".size eb_matvec_s8__armv7em_rows, . - eb_matvec_s8__armv7em_rows\n"
        ".popsection\n");
// clang-format on

EB_MATVEC_S8_DECL(eb_matvec_s8__armv7em);

EB_MATVEC_S8_DECL(eb_matvec_s8__armv7em) {
    (void)scratch; // 0 bytes
    eb_matvec_s8__armv7em_rows(w, x, acc, cols, (rows + 3) >> 2);
}

EB_KERNEL(matvec_s8, armv7em, s8r4);
