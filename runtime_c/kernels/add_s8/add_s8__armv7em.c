// SPDX-License-Identifier: Apache-2.0
// Scaled addition for cores with the DSP extension (Cortex-M4, M7, M33): four elements a step, from words.
//
// Bounds: those of the family; the sum before the shift is within int32, products and sums wrap nowhere.
// Cost (modelled cycles, Cortex-M4, no wait states): 8.5 an element, 13 where the range is not all of int8;
// 20
//   where words do not line up.
#include "add_s8/runs.h"

void eb_add_s8__armv7em_full(const int8_t *a, const int8_t *b, int8_t *y, const eb_add_s8_params *p,
                             int32_t words);
void eb_add_s8__armv7em_range(const int8_t *a, const int8_t *b, int8_t *y, const eb_add_s8_params *p,
                              int32_t words);

_Static_assert(offsetof(eb_add_s8_params, ma) == 12 && offsetof(eb_add_s8_params, qmin) == 28,
               "the assembly below addresses the numbers by offset");

// clang-format off
#define SUM(at)                                                                                              \
    "sxtb r10, r8" at "\n sxtb r11, r9" at "\n mla r10, r10, r4, r6\n mla r10, r11, r5, r10\n"               \
    "asr r10, r10, r7\n"
#define FULL(at) SUM(at) "ssat r10, #8, r10\n strb r10, [r2], #1\n"
#define RANGE(at)                                                                                            \
    SUM(at) "cmp r10, r12\n it lt\n movlt r10, r12\n cmp r10, lr\n it gt\n movgt r10, lr\n"                  \
    "strb r10, [r2], #1\n"
// r0 a, r1 b, r2 y, r3 end of y, r4 ma, r5 mb, r6 add, r7 shift, r8 r9 words, r10 r11 free, r12 qmin, lr qmax.
#define RUN(name, ELEMENT)                                                                                   \
    __asm__(".syntax unified\n"                                                                              \
            ".pushsection .text." name ", \"ax\", %progbits\n"                                               \
            ".p2align 2\n"                                                                                   \
            ".thumb\n"                                                                                       \
            ".global " name "\n"                                                                             \
            ".hidden " name "\n"                                                                             \
            ".type " name ", %function\n"                                                                    \
            ".thumb_func\n"                                                                                  \
            name ":\n"                                                                                       \
            "push {r4-r11, lr}\n"                                                                            \
            "ldr r8, [sp, #36]\n"                                                                            \
            "ldrd r12, lr, [r3, #28]\n"                                                                      \
            "adds r3, #12\n ldmia r3, {r4-r7}\n"                                                             \
            "add r3, r2, r8, lsl #2\n"                                                                       \
            "1:\n"                                                                                           \
            "ldr r8, [r0], #4\n ldr r9, [r1], #4\n"                                                          \
            ELEMENT("") ELEMENT(", ror #8") ELEMENT(", ror #16") ELEMENT(", ror #24")                        \
            "cmp r2, r3\n"                                                                                   \
            "bne 1b\n"                                                                                       \
            "pop {r4-r11, pc}\n"                                                                             \
            ".size " name ", . - " name "\n"                                                                 \
            ".popsection\n");

RUN("eb_add_s8__armv7em_full", FULL)
RUN("eb_add_s8__armv7em_range", RANGE)
// clang-format on

EB_ADD_S8_DECL(eb_add_s8__armv7em) {
    if (p->qmin == -128 && p->qmax == 127) {
        eb_add_s8_runs(p, a, b, y, eb_add_s8__armv7em_full);
    } else {
        eb_add_s8_runs(p, a, b, y, eb_add_s8__armv7em_range);
    }
}

EB_KERNEL(add_s8, armv7em, none);
