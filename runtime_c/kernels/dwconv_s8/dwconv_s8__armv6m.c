// SPDX-License-Identifier: Apache-2.0
// int8 depthwise products for Armv6-M: four channels from one word of inputs and one of weights.
//
// Bounds: sums are those of the family.
// Cost (modelled cycles, Cortex-M0+, no wait states): 7.1 a weight, 45 per 4 channels. Other channel counts
// than
//   multiples of 4, and more than one output a channel, take 15 a weight.
#include "dwconv_s8/any.h"

enum { TAPS = 3, TAP_CODE = 48 }; // unrolled, and bytes of code of one

// What the assembly needs; it knows the offsets.
typedef struct {
    const int8_t *w;
    const int8_t *const *tap;
    const int8_t *const *end;
    int32_t *acc;
    uint32_t enter;    // code of the taps that the first pass of the unrolled loop leaves out
    uint32_t channels; // a multiple of 4
} dwconv_job;

_Static_assert(sizeof(void *) != 4 || sizeof(dwconv_job) == 24, "the assembly addresses these fields");

void eb_dwconv_s8__armv6m_blocks(dwconv_job *job);

// clang-format off
// r0 tap, r1 channel, r2 w, r3 channels, r4 inputs, r5 weights, r6 r7 products, r8-r11 sums, r12 end of tap, lr job.
#define TAP                                                                                                  \
    "ldmia r0!, {r7}\n ldr r4, [r7, r1]\n ldr r5, [r2]\n adds r2, r2, r3\n"                                  \
    "sxtb r6, r4\n sxtb r7, r5\n muls r6, r7, r6\n add r8, r6\n"                                             \
    "lsls r6, r4, #16\n asrs r6, r6, #24\n lsls r7, r5, #16\n asrs r7, r7, #24\n muls r6, r7, r6\n add r9, r6\n" \
    "lsls r6, r4, #8\n asrs r6, r6, #24\n lsls r7, r5, #8\n asrs r7, r7, #24\n muls r6, r7, r6\n add r10, r6\n"  \
    "asrs r4, r4, #24\n asrs r5, r5, #24\n muls r4, r5, r4\n add r11, r4\n"

__asm__(".syntax unified\n"
        ".pushsection .text.eb_dwconv_s8__armv6m_blocks, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_dwconv_s8__armv6m_blocks\n"
        ".hidden eb_dwconv_s8__armv6m_blocks\n"
        ".type eb_dwconv_s8__armv6m_blocks, %function\n"
        ".thumb_func\n"
        "eb_dwconv_s8__armv6m_blocks:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "mov lr, r0\n"
        "ldr r4, [r0, #8]\n mov r12, r4\n ldr r3, [r0, #20]\n"
        "movs r1, #0\n"
        "1:\n"
        "mov r7, lr\n"
        "ldr r2, [r7, #0]\n adds r2, r2, r1\n ldr r0, [r7, #4]\n ldr r4, [r7, #16]\n"
        "movs r5, #0\n mov r8, r5\n mov r9, r5\n mov r10, r5\n mov r11, r5\n"
        "add pc, r4\n"
        "nop\n"
        "2:\n"
        TAP TAP TAP
        "cmp r0, r12\n bne 2b\n"
        "mov r0, lr\n ldr r2, [r0, #12]\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "stmia r2!, {r4-r7}\n str r2, [r0, #12]\n"
        "adds r1, #4\n cmp r1, r3\n bne 1b\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ".size eb_dwconv_s8__armv6m_blocks, . - eb_dwconv_s8__armv6m_blocks\n"
        ".popsection\n");
// clang-format on

EB_DWCONV_S8_DECL(eb_dwconv_s8__armv6m);

EB_DWCONV_S8_DECL(eb_dwconv_s8__armv6m) {
    if ((channels & 3) != 0 || multiplier != 1) {
        eb_dwconv_s8_any(w, tap, acc, taps, channels, multiplier);
        return;
    }
    int32_t first = taps; // of the first pass
    while (first > TAPS) {
        first -= TAPS;
        __asm__("" : "+r"(first)); // keeps compilers from calling a division
    }
    uint32_t skip = (uint32_t)(TAPS - first);
    dwconv_job job = {.w = w,
                      .tap = tap,
                      .end = tap + taps,
                      .acc = acc,
                      .enter = TAP_CODE * skip,
                      .channels = (uint32_t)channels};
    eb_dwconv_s8__armv6m_blocks(&job);
}

EB_KERNEL(dwconv_s8, armv6m, s8);
