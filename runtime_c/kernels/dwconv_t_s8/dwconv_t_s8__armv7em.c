// SPDX-License-Identifier: Apache-2.0
// Ternary depthwise products for cores with the DSP extension (Cortex-M4, M7, M33), four channels at once.
//
// A word of inputs is flipped and masked (layout "dwmask4") to four bytes x + 128, 127 - x or 0, which
// UXTAB16 adds to two pairs of 16-bit sums. The layout's constants take the offsets out again.
//
// Bounds: a half holds at most 255 * taps < 2^16 for every count of taps the layout allows (257).
// Cost (modelled cycles, Cortex-M4, no wait states): 2.3 a weight, 30 per 4 channels. Other channel counts
// than
//   multiples of 4, and more than one output a channel, take 11 a weight.
#include "dwconv_t_s8/dwmask4.h"

// channels is a multiple of 4, and pixels begin at multiples of 4 bytes.
void eb_dwconv_t_s8__armv7em_blocks(const uint8_t *w, const int8_t *const *tap, int32_t *acc, int32_t taps,
                                    int32_t channels);

// clang-format off
// r0 w, r1 tap, r2 channel, r3 taps left, r4 even and r5 odd sums, r6-r11 flip and keep of three taps, r12 lr inputs.
#define ADD(input, flip, keep)                                                                               \
    "eor " #input ", " #input ", " #flip "\n and " #input ", " #input ", " #keep "\n"                        \
    "uxtab16 r4, r4, " #input "\n uxtab16 r5, r5, " #input ", ror #8\n"

// Stack: 0 tap, 4 acc, 8 taps; above the saved registers the channels.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_dwconv_t_s8__armv7em_blocks, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_dwconv_t_s8__armv7em_blocks\n"
        ".hidden eb_dwconv_t_s8__armv7em_blocks\n"
        ".type eb_dwconv_t_s8__armv7em_blocks, %function\n"
        ".thumb_func\n"
        "eb_dwconv_t_s8__armv7em_blocks:\n"
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "strd r1, r2, [sp]\n str r3, [sp, #8]\n"
        "movs r2, #0\n"
        "1:\n"
        "ldr r1, [sp]\n ldr r3, [sp, #8]\n"
        "movs r4, #0\n movs r5, #0\n"
        "subs r3, #3\n"
        "blt 3f\n"
        "2:\n"
        "ldm r1!, {r12, lr}\n ldr r6, [r1], #4\n"
        "ldr r12, [r12, r2]\n ldr lr, [lr, r2]\n ldr r11, [r6, r2]\n"
        "ldr r6, [r0], #4\n ldr r7, [r0], #4\n ldr r8, [r0], #4\n ldr r9, [r0], #4\n"
        ADD(r12, r6, r7) ADD(lr, r8, r9)
        "ldr r6, [r0], #4\n ldr r7, [r0], #4\n"
        ADD(r11, r6, r7)
        "subs r3, #3\n"
        "bge 2b\n"
        "3:\n"
        "adds r3, #3\n"
        "beq 5f\n"
        "4:\n"
        "ldr r12, [r1], #4\n ldr r6, [r0], #4\n ldr r7, [r0], #4\n ldr r12, [r12, r2]\n"
        ADD(r12, r6, r7)
        "subs r3, #1\n"
        "bne 4b\n"
        "5:\n"
        "ldr r1, [sp, #4]\n"
        "ldr r6, [r0], #4\n ldr r7, [r0], #4\n ldr r8, [r0], #4\n ldr r9, [r0], #4\n"
        "uxtah r6, r6, r4\n uxtah r7, r7, r5\n add r8, r8, r4, lsr #16\n add r9, r9, r5, lsr #16\n"
        "stmia r1!, {r6, r7, r8, r9}\n str r1, [sp, #4]\n"
        "adds r2, #4\n ldr r6, [sp, #48]\n cmp r2, r6\n bne 1b\n"
        "add sp, #12\n"
        "pop {r4-r11, pc}\n"
        ".size eb_dwconv_t_s8__armv7em_blocks, . - eb_dwconv_t_s8__armv7em_blocks\n"
        ".popsection\n");
// clang-format on

EB_DWCONV_T_S8_DECL(eb_dwconv_t_s8__armv7em);

EB_DWCONV_T_S8_DECL(eb_dwconv_t_s8__armv7em) {
    if ((channels & 3) != 0 || multiplier != 1) {
        eb_dwmask4_any(w, tap, acc, taps, channels, multiplier);
        return;
    }
    eb_dwconv_t_s8__armv7em_blocks(w, tap, acc, taps, channels);
}

EB_KERNEL(dwconv_t_s8, armv7em, dwmask4);
