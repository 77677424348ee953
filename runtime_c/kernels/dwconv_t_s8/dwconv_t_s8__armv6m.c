// SPDX-License-Identifier: Apache-2.0
// Ternary depthwise products for Armv6-M, four channels at once.
//
// A word of inputs is flipped and masked (layout "dwmask4") to four bytes x + 128, 127 - x or 0. They are
// summed in two ways: T adds whole words, O adds the odd bytes as two halves of 16 bits, and the sums of the
// even bytes are what T holds besides 256 O. The layout's constants take the offsets out again.
//
// Bounds: a half holds at most 255 * taps < 2^16 for every count of taps the layout allows (257); T is modulo
//   2^32, and so is what is left of it.
// Cost (modelled cycles, Cortex-M0+, no wait states): 3.25 a weight, 50 per 4 channels. Other channel counts
// than
//   multiples of 4, and more than one output a channel, take 15 a weight.
#include "dwconv_t_s8/dwmask4.h"

enum { TAPS = 9, TAP_CODE = 18 }; // unrolled, and bytes of code of one

// What the assembly needs; it knows the offsets.
typedef struct {
    const uint8_t *w;
    const int8_t *const *tap; // the first less those skipped
    const int8_t *const *end;
    int32_t *acc;
    uint32_t enter;    // code of the taps that the first pass of the unrolled loop leaves out
    uint32_t channels; // a multiple of 4
} dwmask4_job;

_Static_assert(sizeof(void *) != 4 || sizeof(dwmask4_job) == 24, "the assembly addresses these fields");

void eb_dwconv_t_s8__armv6m_blocks(const dwmask4_job *job);

// clang-format off
// r0 tap, r1 channel, r2 w, r3 low bytes of halves, r4 input, r5 flip, r6 keep, r7 pixel, r8 T, r9 O, r10 acc, r11 end
// of tap, r12 end of channels, lr job.
#define TAP                                                                                                  \
    "ldmia r0!, {r7}\n ldmia r2!, {r5, r6}\n ldr r4, [r7, r1]\n eors r4, r5\n ands r4, r6\n"                 \
    "add r8, r4\n lsrs r4, r4, #8\n ands r4, r3\n add r9, r4\n"

__asm__(".syntax unified\n"
        ".pushsection .text.eb_dwconv_t_s8__armv6m_blocks, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_dwconv_t_s8__armv6m_blocks\n"
        ".hidden eb_dwconv_t_s8__armv6m_blocks\n"
        ".type eb_dwconv_t_s8__armv6m_blocks, %function\n"
        ".thumb_func\n"
        "eb_dwconv_t_s8__armv6m_blocks:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "mov lr, r0\n"
        "ldr r2, [r0, #0]\n ldr r4, [r0, #8]\n mov r11, r4\n ldr r4, [r0, #12]\n mov r10, r4\n"
        "ldr r4, [r0, #20]\n mov r12, r4\n"
        "movs r1, #0\n"
        "1:\n"
        "mov r7, lr\n"
        "ldr r0, [r7, #4]\n ldr r4, [r7, #16]\n ldr r3, 4f\n"
        "movs r5, #0\n mov r8, r5\n mov r9, r5\n"
        "add pc, r4\n"
        "nop\n"
        "2:\n"
        TAP TAP TAP TAP TAP TAP TAP TAP TAP
        "cmp r0, r11\n bne 2b\n"
        // halves: r4 channels 0 and 2, r5 channels 1 and 3
        "mov r4, r8\n mov r5, r9\n lsls r6, r5, #8\n subs r4, r4, r6\n"
        "mov r0, r10\n"
        "ldmia r2!, {r6, r7}\n uxth r3, r4\n adds r6, r6, r3\n uxth r3, r5\n adds r7, r7, r3\n stmia r0!, {r6, r7}\n"
        "ldmia r2!, {r6, r7}\n lsrs r4, r4, #16\n adds r6, r6, r4\n lsrs r5, r5, #16\n adds r7, r7, r5\n"
        "stmia r0!, {r6, r7}\n"
        "mov r10, r0\n"
        "adds r1, #4\n cmp r1, r12\n bne 1b\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ".p2align 2\n"
        "4: .word 0x00FF00FF\n"
        ".size eb_dwconv_t_s8__armv6m_blocks, . - eb_dwconv_t_s8__armv6m_blocks\n"
        ".popsection\n");
// clang-format on

EB_DWCONV_T_S8_DECL(eb_dwconv_t_s8__armv6m);

EB_DWCONV_T_S8_DECL(eb_dwconv_t_s8__armv6m) {
    if ((channels & 3) != 0 || multiplier != 1) {
        eb_dwmask4_any(w, tap, acc, taps, channels, multiplier);
        return;
    }
    int32_t first = taps; // of the first pass
    while (first > TAPS) {
        first -= TAPS;
        __asm__("" : "+r"(first)); // keeps compilers from calling a division
    }
    uint32_t skip = (uint32_t)(TAPS - first);
    dwmask4_job job = {.w = w,
                       .tap = tap,
                       .end = tap + taps,
                       .acc = acc,
                       .enter = TAP_CODE * skip,
                       .channels = (uint32_t)channels};
    eb_dwconv_t_s8__armv6m_blocks(&job);
}

EB_KERNEL(dwconv_t_s8, armv6m, dwmask4);
