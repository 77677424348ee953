// SPDX-License-Identifier: Apache-2.0
// Requantisation of packed pixels for Armv6-M: a row's entry is read once for eight pixels.
//
// Cost (modelled cycles, Cortex-M0+): 112 a row of eight pixels and 2 for each output outside qmin..qmax when
// there is one block and no pre-shift; else 180 and 44 for each further block.
#include "requant_pixels/requant_pixels.h"

// One block of sums, no pre-shift.
void eb_requant_pixels__armv6m_one(const eb_requant_params *params, const eb_requant_entry *entries,
                                   const uint32_t *acc, int8_t *y, int32_t rows, int32_t step, int32_t apart);
// Any number of blocks, any pre-shift.
void eb_requant_pixels__armv6m_any(const eb_requant_params *params, const eb_requant_entry *entries,
                                   const uint32_t *acc, int8_t *y, int32_t rows, int32_t blocks, int32_t step,
                                   int32_t apart);

// clang-format off
// Two pixels; each jumps to labels 1n and 2n (in the direction `back`) when it is clamped, and back to 3n.
#define PAIR(m, n, back)                                                                                     \
    "ldmia r0!, {r4}\n sxth r7, r4\n subs r4, r4, r7\n asrs r4, r4, #16\n"                                   \
    "muls r7, r6\n adds r7, r7, r5\n asrs r7, r3\n"                                                          \
    "cmp r7, r11\n blt 1" #m #back "\n cmp r7, r12\n bgt 2" #m #back "\n"                                    \
    "3" #m ":\n strb r7, [r2]\n add r2, r8\n"                                                                \
    "muls r4, r6\n adds r4, r4, r5\n asrs r4, r3\n"                                                          \
    "cmp r4, r11\n blt 1" #n #back "\n cmp r4, r12\n bgt 2" #n #back "\n"                                    \
    "3" #n ":\n strb r4, [r2]\n add r2, r10\n"
// What two pixels jump to when they are clamped; `to` is where they went on.
#define CLAMPED(m, n, to)                                                                                    \
    "1" #m ":\n mov r7, r11\n b 3" #m #to "\n 2" #m ":\n mov r7, r12\n b 3" #m #to "\n"                      \
    "1" #n ":\n mov r4, r11\n b 3" #n #to "\n 2" #n ":\n mov r4, r12\n b 3" #n #to "\n"

// r0 acc, r1 entries, r2 y, r3 shift, r4 second pixel, r5 add, r6 mul, r7 first pixel, r8 apart, r9 from
// behind the last pair of pixels to the next row, r10 step - apart, r11 qmin, r12 qmax, lr end of acc.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_requant_pixels__armv6m_one, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_requant_pixels__armv6m_one\n"
        ".hidden eb_requant_pixels__armv6m_one\n"
        ".type eb_requant_pixels__armv6m_one, %function\n"
        ".thumb_func\n"
        "eb_requant_pixels__armv6m_one:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "ldr r4, [sp, #36]\n ldr r5, [sp, #40]\n ldr r6, [sp, #44]\n"
        "mov r8, r6\n subs r6, r5, r6\n mov r10, r6\n"
        "lsls r5, r5, #2\n negs r5, r5\n adds r5, #1\n mov r9, r5\n"
        "lsls r5, r4, #4\n adds r5, r5, r2\n mov lr, r5\n"
        "ldr r5, [r0, #8]\n mov r11, r5\n ldr r5, [r0, #12]\n mov r12, r5\n"
        "movs r0, r2\n movs r2, r3\n"
        "b 4f\n"
        CLAMPED(0, 1, f) CLAMPED(2, 3, f)
        "4:\n"
        "ldmia r1!, {r5, r6}\n asrs r3, r6, #16\n sxth r6, r6\n"
        PAIR(0, 1, b) PAIR(2, 3, b) PAIR(4, 5, f) PAIR(6, 7, f)
        "add r2, r9\n"
        "cmp r0, lr\n"
        "bne 4b\n"
        "b 5f\n"
        CLAMPED(4, 5, b) CLAMPED(6, 7, b)
        "5:\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ".size eb_requant_pixels__armv6m_one, . - eb_requant_pixels__armv6m_one\n"
        ".popsection\n");
// r0 acc, r1 and r3 free, then entries and shift, r2 y, r4 second pixel, r5 acc of a block, then add, r6 blocks
// left, then mul, r7 first pixel, r8 apart, r9 bytes of a block, r10 half, r11 qmin, r12 qmax, lr pre-shift.
// Stack: 0 blocks - 1, 4 entries, 8 end of the first block, 12 from behind the last pair of
// pixels to the next row, 16 step - apart.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_requant_pixels__armv6m_any, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_requant_pixels__armv6m_any\n"
        ".hidden eb_requant_pixels__armv6m_any\n"
        ".type eb_requant_pixels__armv6m_any, %function\n"
        ".thumb_func\n"
        "eb_requant_pixels__armv6m_any:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "ldr r4, [sp, #36]\n ldr r6, [sp, #40]\n ldr r5, [sp, #44]\n ldr r7, [sp, #48]\n"
        "sub sp, #20\n"
        "subs r6, #1\n str r6, [sp]\n str r1, [sp, #4]\n"
        "mov r8, r7\n subs r7, r5, r7\n str r7, [sp, #16]\n"
        "lsls r5, r5, #2\n negs r5, r5\n adds r5, #1\n str r5, [sp, #12]\n"
        "lsls r5, r4, #4\n mov r9, r5\n adds r5, r5, r2\n str r5, [sp, #8]\n"
        "ldmia r0!, {r4-r7}\n"
        "mov r10, r4\n mov lr, r5\n mov r11, r6\n mov r12, r7\n"
        "movs r0, r2\n movs r2, r3\n"
        "1:\n"
        "ldr r4, [r0]\n sxth r7, r4\n subs r4, r4, r7\n asrs r4, r4, #16\n"
        "movs r5, r0\n ldr r6, [sp]\n"
        "b 3f\n"
        "2:\n"
        "add r5, r9\n ldr r3, [r5]\n sxth r1, r3\n adds r7, r7, r1\n"
        "subs r3, r3, r1\n asrs r3, r3, #16\n adds r4, r4, r3\n"
        "3:\n"
        "subs r6, #1\n"
        "bpl 2b\n"
        "ldr r1, [sp, #4]\n ldmia r1!, {r5, r6}\n asrs r3, r6, #16\n sxth r6, r6\n"
        "mov r1, lr\n add r7, r10\n asrs r7, r1\n add r4, r10\n asrs r4, r1\n"
        "muls r7, r6\n adds r7, r7, r5\n asrs r7, r3\n"
        "cmp r7, r11\n bge 4f\n mov r7, r11\n"
        "4:\n"
        "cmp r7, r12\n ble 5f\n mov r7, r12\n"
        "5:\n"
        "strb r7, [r2]\n add r2, r8\n"
        "muls r4, r6\n adds r4, r4, r5\n asrs r4, r3\n"
        "cmp r4, r11\n bge 6f\n mov r4, r11\n"
        "6:\n"
        "cmp r4, r12\n ble 7f\n mov r4, r12\n"
        "7:\n"
        "strb r4, [r2]\n ldr r1, [sp, #16]\n adds r2, r2, r1\n"
        "adds r0, #4\n lsls r3, r0, #28\n"
        "bne 1b\n"
        "ldr r1, [sp, #4]\n adds r1, #8\n str r1, [sp, #4]\n"
        "ldr r1, [sp, #12]\n adds r2, r2, r1\n"
        "ldr r1, [sp, #8]\n cmp r0, r1\n"
        "bne 1b\n"
        "add sp, #20\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ".size eb_requant_pixels__armv6m_any, . - eb_requant_pixels__armv6m_any\n"
        ".popsection\n");
// clang-format on

EB_REQUANT_PIXELS_DECL(eb_requant_pixels__armv6m);

EB_REQUANT_PIXELS_DECL(eb_requant_pixels__armv6m) {
    if (blocks == 1 && params->pre_shift == 0) {
        eb_requant_pixels__armv6m_one(params, entries, acc, y, rows, step, apart);
    } else {
        eb_requant_pixels__armv6m_any(params, entries, acc, y, rows, blocks, step, apart);
    }
}

EB_KERNEL(requant_pixels, armv6m, none);
