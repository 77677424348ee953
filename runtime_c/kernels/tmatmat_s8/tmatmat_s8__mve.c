// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products of several vectors for cores with Helium (Cortex-M55, M85): four rows and two
// vectors at once, so that both share the loads of weights and what is masked out of them.
//
// Weights are those of tmatvec_s8__mve (layout "digits4"), as they are and shifted right by 2, 4 and 6 bits:
// digits_mve.h says what the four products are and bounds them. Cost (Cortex-M55, llvm-mca model, no wait
// states): 16 cycles for 64 weights and two vectors, which is what the products take the multiplier; 33 for
// four rows of two vectors. Scratch: none.
#include "tmatmat_s8/tmatmat_s8.h"

EB_TMATMAT_S8_DECL(eb_tmatmat_s8__mve);

// Two vectors; `end` is where acc[0] stops, `more` the steps of 16 columns after the first.
typedef struct {
    const int8_t *x[2];
    int32_t *acc[2];
    const int32_t *end;
    int32_t more;
} pair;

void eb_tmatmat_s8__mve_pair(const uint8_t *w, pair *p);

// One step of 16 columns; X1 to X4 go between its products. A product takes the multiplier two cycles and
// everything else one issue slot beside it. Two sums have odd registers, which products cannot add to.
#define STEP(X1, X2, X3, X4)                                                                                 \
    "vmladava.s8 r6, q0, q1\n add r11, r12\n vmladav.s8 r12, q0, q2\n vrshr.s8 q6, q0, #6\n"                 \
    "vmladava.s8 r0, q3, q1\n add r9, r12\n vmladava.s8 r8, q3, q2\n vrshr.s8 q7, q0, #4\n"                  \
    "vmladava.s8 r4, q6, q1\n" X1 "vmladava.s8 r10, q6, q2\n" X2 "vmladava.s8 r2, q7, q1\n" X3               \
    "vmladav.s8 r12, q7, q2\n" X4

// clang-format off
// q0 weights, q1 q2 inputs, q3 q7 q6 weights shifted by 2, 4 and 6. r6 r0 r2 r4 sums of the first vector (rows 0, 1,
// 2, 3), r9 r8 r11 r10 of the second, r12 a product, r1 w, r3 r5 x or acc, r7 p.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tmatmat_s8__mve_pair, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tmatmat_s8__mve_pair\n"
        ".hidden eb_tmatmat_s8__mve_pair\n"
        ".type eb_tmatmat_s8__mve_pair, %function\n"
        ".thumb_func\n"
        "eb_tmatmat_s8__mve_pair:\n"
        "push {r4-r11, lr}\n"
        "vpush {d8-d15}\n"
        "mov r7, r1\n mov r1, r0\n"
        "1:\n"
        "vldrb.u8 q0, [r1], #16\n"
        "ldrd r3, r5, [r7]\n"
        "ldr lr, [r7, #20]\n"
        "movs r0, #0\n"
        "vldrb.u8 q1, [r3], #16\n"
        "mov r8, r0\n movs r2, #0\n mov r9, r0\n movs r4, #0\n"
        "vldrb.u8 q2, [r5], #16\n"
        "mov r10, r0\n movs r6, #0\n mov r11, r0\n mov r12, r0\n"
        "vrshr.s8 q3, q0, #2\n"
        "wls lr, lr, 3f\n"
        "2:\n"
        STEP("vldrb.u8 q0, [r1], #16\n", "vrshr.s8 q3, q0, #2\n", "vldrb.u8 q1, [r3], #16\n", "vldrb.u8 q2, [r5], #16\n")
        "le lr, 2b\n"
        "3:\n"
        STEP("ldrd r3, r5, [r7, #8]\n", "sub r6, r6, r0, lsl #2\n", "sub r9, r9, r8, lsl #2\n", "")
        "sub r0, r0, r2, lsl #2\n sub r2, r2, r4, lsl #2\n"
        "add r11, r12\n"
        "ldr r12, [r7, #16]\n"
        "strd r6, r0, [r3], #16\n"
        "sub r8, r8, r11, lsl #2\n sub r11, r11, r10, lsl #2\n"
        "strd r2, r4, [r3, #-8]\n"
        "strd r9, r8, [r5], #16\n strd r11, r10, [r5, #-8]\n"
        "strd r3, r5, [r7, #8]\n"
        "cmp r3, r12\n"
        "bne 1b\n"
        "vpop {d8-d15}\n"
        "pop {r4-r11, pc}\n"
        ".size eb_tmatmat_s8__mve_pair, . - eb_tmatmat_s8__mve_pair\n"
        ".popsection\n");
// clang-format on
#undef STEP

EB_TMATMAT_S8_DECL(eb_tmatmat_s8__mve) {
    (void)scratch;
    const int32_t steps = (cols + 15) >> 4;
    for (int32_t t = 0; t < tokens; t += 2) {
        pair p;
        for (int32_t i = 0; i < 2; i++) { // a last vector without a second one is taken twice
            const int32_t at = t + i < tokens ? t + i : t;
            p.x[i] = x + at * x_step;
            p.acc[i] = acc + at * acc_step;
        }
        p.end = p.acc[0] + ((rows + 3) & ~3);
        p.more = steps - 1;
        eb_tmatmat_s8__mve_pair(w, &p);
    }
}

EB_KERNEL(tmatmat_s8, mve, digits4);
