// SPDX-License-Identifier: Apache-2.0
// int8 depthwise products for cores with the DSP extension (Cortex-M4, M7, M33): four channels from one word
// of inputs and one of weights, extended to pairs that SMLABB and SMLATT multiply.
//
// Bounds: sums are those of the family.
// Cost (modelled cycles, Cortex-M4, no wait states): 3.4 a weight, 25 per 4 channels. Other channel counts
// than
//   multiples of 4, and more than one output a channel, take 12 a weight.
#include "dwconv_s8/any.h"

// channels is a multiple of 4, and pixels begin at multiples of 4 bytes.
void eb_dwconv_s8__armv7em_blocks(const int8_t *w, const int8_t *const *tap, int32_t *acc, int32_t taps,
                                  int32_t channels);

// clang-format off
// r0 w, r1 tap, r2 channel, r3 taps left, r4-r7 sums, r8 input then odd ones, r9 weights then odd ones, r10 even inputs,
// r11 even weights, r12 channels.
#define TAP                                                                                                  \
    "ldr r8, [r1], #4\n ldr r9, [r0]\n ldr r8, [r8, r2]\n add r0, r0, r12\n"                                 \
    "sxtb16 r10, r8\n sxtb16 r11, r9\n sxtb16 r8, r8, ror #8\n sxtb16 r9, r9, ror #8\n"                      \
    "smlabb r4, r10, r11, r4\n smlatt r6, r10, r11, r6\n smlabb r5, r8, r9, r5\n smlatt r7, r8, r9, r7\n"

// Stack: 0 w, 4 tap, 8 acc, 12 taps; above the saved registers the channels.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_dwconv_s8__armv7em_blocks, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_dwconv_s8__armv7em_blocks\n"
        ".hidden eb_dwconv_s8__armv7em_blocks\n"
        ".type eb_dwconv_s8__armv7em_blocks, %function\n"
        ".thumb_func\n"
        "eb_dwconv_s8__armv7em_blocks:\n"
        "push {r4-r11, lr}\n"
        "sub sp, #20\n"
        "strd r0, r1, [sp]\n strd r2, r3, [sp, #8]\n"
        "ldr r12, [sp, #56]\n"
        "movs r2, #0\n"
        "1:\n"
        "ldr r0, [sp]\n ldr r1, [sp, #4]\n ldr r3, [sp, #12]\n add r0, r0, r2\n"
        "movs r4, #0\n movs r5, #0\n movs r6, #0\n movs r7, #0\n"
        "subs r3, #3\n"
        "blt 3f\n"
        "2:\n"
        TAP TAP TAP
        "subs r3, #3\n"
        "bge 2b\n"
        "3:\n"
        "adds r3, #3\n"
        "beq 5f\n"
        "4:\n"
        TAP
        "subs r3, #1\n"
        "bne 4b\n"
        "5:\n"
        "ldr r1, [sp, #8]\n stmia r1!, {r4-r7}\n str r1, [sp, #8]\n"
        "adds r2, #4\n cmp r2, r12\n bne 1b\n"
        "add sp, #20\n"
        "pop {r4-r11, pc}\n"
        ".size eb_dwconv_s8__armv7em_blocks, . - eb_dwconv_s8__armv7em_blocks\n"
        ".popsection\n");
// clang-format on

EB_DWCONV_S8_DECL(eb_dwconv_s8__armv7em);

EB_DWCONV_S8_DECL(eb_dwconv_s8__armv7em) {
    if ((channels & 3) != 0 || multiplier != 1) {
        eb_dwconv_s8_any(w, tap, acc, taps, channels, multiplier);
        return;
    }
    eb_dwconv_s8__armv7em_blocks(w, tap, acc, taps, channels);
}

EB_KERNEL(dwconv_s8, armv7em, s8);
