// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for cores with Helium (Cortex-M55, M85), seven rows at once, as many as there are
// registers for their sums: so many share each load of inputs.
//
// Layout "mask7": rows in blocks of seven as long as 28 are left, then of four. A column of seven rows is two
// bytes, 16 columns two vectors: the first holds rows 0 to 3 as in mask4_mve.h, the second trit + 1 of row 4
// in its lowest two bits, that of row 5 in the next two, and the trit of row 6 in the highest two. Vectors
// masked with 0x03 and 0x0C, shifted right by 6, and as they are give seven products, from which the sums are
// taken.
//
// Bounds. With T(i) the sum of row i and X that of the inputs, the accumulators of the first vector start at
// -X, -4 X, 0 and -21 X and end at T(0), 4 T(1), T(3) and T(0) + 4 T(1) + 16 T(2) + 64 T(3), those of the
// second at -X, 0 and -5 X and at T(4), T(6) and T(4) + 4 T(5) + 64 T(6), modulo 2^32. |16 T| < 2^31 for cols
// <= 131072, the layout's limit, so the shifts by 2 and 4 divide exactly. Cost (Cortex-M55, llvm-mca model,
// no wait states): 15 cycles for 112 weights, 32 per 7 rows. Scratch: none.
#include "tmatvec_s8/mask4_mve.h"
#include "tmatvec_s8/sum_mve.h"
#include "tmatvec_s8/tmatvec_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__mve_mask7);

// start: -X, -21 X, -5 X.
typedef struct {
    const int8_t *x;
    int32_t more; // steps of 16 columns after the first
    int32_t *acc;
    const int32_t *end; // of acc, a multiple of seven rows from it
    int32_t start[3];
} job;

// Returns the end of the weights.
const uint8_t *eb_tmatvec_s8__mve_mask7_blocks(const uint8_t *w, const job *j);

// One step of 16 columns, its inputs loaded and the codes of row 0 made; X1 to X4 go behind its last
// products.
#define STEP(X1, X2, X3, X4)                                                                                 \
    "vmladava.s8 r6, q0, q2\n vand q7, q0, q4\n vmladava.s8 r12, q1, q2\n vshr.s8 q6, q0, #6\n"              \
    "vmladava.s8 r0, q5, q2\n vshr.s8 q5, q1, #6\n vmladava.s8 r2, q7, q2\n vand q7, q1, q3\n"               \
    "vmladava.s8 r4, q6, q2\n" X1 "vmladava.s8 r10, q5, q2\n" X2 "vmladava.s8 r8, q7, q2\n" X3 X4

// clang-format off
// q0 q1 codes, q2 inputs, q3 q4 masks, q5-q7 codes of one row. r0 r2 r6 r4 r8 r12 r10 sums of rows 0 to 6, r1 w,
// r3 x, r5 r9 r11 start, r7 acc; on the stack x, more and end.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tmatvec_s8__mve_mask7_blocks, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tmatvec_s8__mve_mask7_blocks\n"
        ".hidden eb_tmatvec_s8__mve_mask7_blocks\n"
        ".type eb_tmatvec_s8__mve_mask7_blocks, %function\n"
        ".thumb_func\n"
        "eb_tmatvec_s8__mve_mask7_blocks:\n"
        "push {r4-r11, lr}\n"
        "vpush {d8-d15}\n"
        "sub sp, #12\n"
        "mov r2, r1\n mov r1, r0\n"
        "vmov.i8 q3, #0x03\n vmov.i8 q4, #0x0C\n"
        "ldrd r3, r4, [r2]\n ldrd r7, r6, [r2, #8]\n ldrd r5, r9, [r2, #16]\n ldr r11, [r2, #24]\n"
        "strd r3, r4, [sp]\n str r6, [sp, #8]\n"
        "1:\n"
        "ldrd r3, lr, [sp]\n"
        "vldrb.u8 q0, [r1], #16\n"
        "mov r0, r5\n mov r6, r9\n"
        "vldrb.u8 q1, [r1], #16\n"
        "lsls r2, r5, #2\n mov r8, r5\n"
        "vldrb.u8 q2, [r3], #16\n"
        "movs r4, #0\n mov r12, r11\n"
        "vand q5, q0, q3\n"
        "mov r10, #0\n"
        "wls lr, lr, 3f\n"
        "2:\n"
        STEP("vldrb.u8 q0, [r1], #16\n", "vldrb.u8 q1, [r1], #16\n", "vldrb.u8 q2, [r3], #16\n", "vand q5, q0, q3\n")
        "le lr, 2b\n"
        "3:\n"
        STEP("subs r6, r6, r0\n", "subs r6, r6, r2\n", "", "")
        "asrs r2, r2, #2\n"
        "sub r6, r6, r4, lsl #6\n sub r12, r12, r10, lsl #6\n"
        "strd r0, r2, [r7], #28\n"
        "ldr r3, [sp, #8]\n"
        "asrs r6, r6, #4\n sub r12, r12, r8\n asr r12, r12, #2\n"
        "strd r6, r4, [r7, #-20]\n strd r8, r12, [r7, #-12]\n str r10, [r7, #-4]\n"
        "cmp r7, r3\n"
        "bne 1b\n"
        "mov r0, r1\n"
        "add sp, #12\n"
        "vpop {d8-d15}\n"
        "pop {r4-r11, pc}\n"
        ".size eb_tmatvec_s8__mve_mask7_blocks, . - eb_tmatvec_s8__mve_mask7_blocks\n"
        ".popsection\n");
// clang-format on
#undef STEP

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__mve_mask7) {
    (void)scratch;
    const int32_t steps = (cols + 15) >> 4;
    const int32_t sum = eb_sum__mve(x, steps);
    const int32_t sevens = (rows + 3) / 28 * 28;
    const uint8_t *codes = w;
    int32_t *to = acc + sevens;
    if (sevens > 0) {
        const job j = {x, steps - 1, acc, to, {-sum, -21 * sum, -5 * sum}};
        codes = eb_tmatvec_s8__mve_mask7_blocks(w, &j);
    }
    const eb_mask4 m = eb_mask4_make();
    for (const int32_t *end = acc + rows; to < end;) {
        eb_mask4_rows(&codes, x, &to, steps, sum, &m);
    }
}

EB_KERNEL(tmatvec_s8, mve_mask7, mask7);
