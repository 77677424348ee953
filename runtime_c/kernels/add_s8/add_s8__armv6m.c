// SPDX-License-Identifier: Apache-2.0
// Scaled addition for Armv6-M (Thumb-1): four elements a step, from words; constants stay in registers.
//
// Bounds: those of the family; the sum before the shift is within int32.
// Cost (modelled cycles, Cortex-M0+, no wait states): 18 an element, 2 more when it is clamped; 30 where
// words
//   do not line up.
#include "add_s8/runs.h"

void eb_add_s8__armv6m_run(const int8_t *a, const int8_t *b, int8_t *y, const eb_add_s8_params *p,
                           int32_t words);

_Static_assert(offsetof(eb_add_s8_params, ma) == 12 && sizeof(eb_add_s8_params) == 36,
               "the assembly below addresses the numbers by offset");

// clang-format off
// One element from what `take_a` and `take_b` leave in r7. n: its place; labels 1n, 2n and 3n.
#define ELEMENT(n, take_a, take_b)                                                                           \
    "mov r6, r8\n" take_a "muls r6, r7\n" take_b "muls r7, r3\n adds r6, r6, r7\n add r6, r9\n"              \
    "mov r7, r10\n asrs r6, r7\n"                                                                            \
    "cmp r6, r11\n blt 1" #n "f\n cmp r6, r12\n bgt 2" #n "f\n"                                              \
    "3" #n ":\n strb r6, [r2, #" #n "]\n"
#define CLAMPED(n) "1" #n ":\n mov r6, r11\n b 3" #n "b\n 2" #n ":\n mov r6, r12\n b 3" #n "b\n"

// r0 a, r1 b, r2 y, r3 mb, r4 r5 words, r6 the sum, r7 free, r8 ma, r9 add, r10 shift, r11 qmin, r12 qmax, lr end
// of y.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_add_s8__armv6m_run, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_add_s8__armv6m_run\n"
        ".hidden eb_add_s8__armv6m_run\n"
        ".type eb_add_s8__armv6m_run, %function\n"
        ".thumb_func\n"
        "eb_add_s8__armv6m_run:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "ldr r4, [sp, #36]\n lsls r4, r4, #2\n adds r4, r4, r2\n mov lr, r4\n"
        "adds r3, #12\n ldmia r3!, {r4-r7}\n"
        "mov r8, r4\n mov r9, r6\n mov r10, r7\n"
        "ldmia r3!, {r6, r7}\n mov r11, r6\n mov r12, r7\n"
        "movs r3, r5\n"
        "1:\n"
        "ldmia r0!, {r4}\n ldmia r1!, {r5}\n"
        ELEMENT(0, "sxtb r7, r4\n", "sxtb r7, r5\n")
        ELEMENT(1, "lsls r7, r4, #16\n asrs r7, r7, #24\n", "lsls r7, r5, #16\n asrs r7, r7, #24\n")
        ELEMENT(2, "lsls r7, r4, #8\n asrs r7, r7, #24\n", "lsls r7, r5, #8\n asrs r7, r7, #24\n")
        ELEMENT(3, "asrs r7, r4, #24\n", "asrs r7, r5, #24\n")
        "adds r2, #4\n cmp r2, lr\n"
        "bne 1b\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        CLAMPED(0) CLAMPED(1) CLAMPED(2) CLAMPED(3)
        ".size eb_add_s8__armv6m_run, . - eb_add_s8__armv6m_run\n"
        ".popsection\n");
// clang-format on

EB_ADD_S8_DECL(eb_add_s8__armv6m) {
    eb_add_s8_runs(p, a, b, y, eb_add_s8__armv6m_run);
}

EB_KERNEL(add_s8, armv6m, none);
