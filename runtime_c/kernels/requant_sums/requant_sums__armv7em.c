// SPDX-License-Identifier: Apache-2.0
// Requantisation of sums for cores with the DSP extension: a row's entry is read once for eight pixels.
//
// Cost (modelled cycles, Cortex-M4): 80 a row of eight pixels for the whole range of int8, 200 otherwise, in
// plain
//   C.
#include "requant_sums/requant_sums.h"

// To -128..127.
void eb_requant_sums__armv7em_full(const eb_requant_params *params, const eb_requant_entry *entries,
                                   const int32_t *acc, int8_t *y, int32_t rows, int32_t step, int32_t apart);

// clang-format off
#define VALUE(v, at)                                                                                         \
    "add " #v ", r4\n asr " #v ", " #v ", r1\n mla " #v ", " #v ", r6, r5\n asr " #v ", " #v ", r3\n"        \
    "ssat " #v ", #8, " #v "\n strb " #v ", [" at "]\n"

// r0 acc, r1 entries, then pre-shift, r2 y of first pixels, r3 shift, r4 half, r5 add, r6 mul, r7-r10 sums, r11
// step, r12 y of second pixels, lr 3 steps. Stack: 0 entries, 4 pre-shift, 8 end of acc.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_requant_sums__armv7em_full, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_requant_sums__armv7em_full\n"
        ".hidden eb_requant_sums__armv7em_full\n"
        ".type eb_requant_sums__armv7em_full, %function\n"
        ".thumb_func\n"
        "eb_requant_sums__armv7em_full:\n"
        "push {r4-r11, lr}\n"
        "ldr r7, [sp, #36]\n ldr r11, [sp, #40]\n ldr r12, [sp, #44]\n"
        "sub sp, #12\n"
        "ldrd r4, r5, [r0]\n"
        "strd r1, r5, [sp]\n add r7, r2, r7, lsl #5\n str r7, [sp, #8]\n"
        "mov r0, r2\n mov r2, r3\n add r12, r2\n add lr, r11, r11, lsl #1\n"
        "1:\n"
        "ldr r1, [sp]\n ldrd r5, r6, [r1], #8\n str r1, [sp]\n ldr r1, [sp, #4]\n"
        "asrs r3, r6, #16\n sxth r6, r6\n"
        "ldmia r0!, {r7-r10}\n"
        VALUE(r7, "r2") VALUE(r8, "r2, r11") VALUE(r9, "r2, r11, lsl #1") VALUE(r10, "r2, lr")
        "ldmia r0!, {r7-r10}\n"
        VALUE(r7, "r12") VALUE(r8, "r12, r11") VALUE(r9, "r12, r11, lsl #1") VALUE(r10, "r12, lr")
        "ldr r1, [sp, #8]\n adds r2, #1\n add r12, r12, #1\n"
        "cmp r0, r1\n"
        "bne 1b\n"
        "add sp, #12\n"
        "pop {r4-r11, pc}\n"
        ".size eb_requant_sums__armv7em_full, . - eb_requant_sums__armv7em_full\n"
        ".popsection\n");
// clang-format on

EB_REQUANT_SUMS_DECL(eb_requant_sums__armv7em);

EB_REQUANT_SUMS_DECL(eb_requant_sums__armv7em) {
    if (params->qmin == -128 && params->qmax == 127) {
        eb_requant_sums__armv7em_full(params, entries, acc, y, rows, step, apart);
        return;
    }
    for (int32_t r = 0; r < rows; r++, acc += 8) {
        for (int32_t j = 0; j < 4; j++) {
            y[j * step + r] = eb_requant(acc[j], params, &entries[r]);
            y[j * step + apart + r] = eb_requant(acc[4 + j], params, &entries[r]);
        }
    }
}

EB_KERNEL(requant_sums, armv7em, none);
