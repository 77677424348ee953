// SPDX-License-Identifier: Apache-2.0
// int8 x int8 products for cores with Helium (Cortex-M55, M85), four rows at once (layout "s8b4"), which
// share each load of inputs.
//
// VMLADAVA.S8 adds 16 products to a 32-bit sum. Loads of weights go between products: both take two cycles of
// their own part of the core. Up to 64 columns of inputs stay in registers, and there is no loop over
// columns.
//
// Bounds: sums are those of the family, |acc| < 2^31. Cost (Cortex-M55, llvm-mca model, no wait states): 10
// cycles for 64 weights and about 20 for four rows; with at most 64 columns, 8 and 6. Scratch: none.
#include <arm_mve.h>

#include "matvec_s8/matvec_s8.h"

EB_MATVEC_S8_DECL(eb_matvec_s8__mve);

// Four rows over 16 * (more + 1) columns; returns the end of their weights.
EB_INLINE const int8_t *eb_matvec_s8_four__mve(const int8_t *w, const int8_t *x, int32_t *acc, int32_t more) {
    int8x16_t in, w0, w1, w2, w3;
    int32_t a0, a1, a2, a3;
    __asm__ volatile(
        "vldrb.u8 %q[in], [%[x]], #16\n"
        "mov %[a0], #0\n"
        "vldrb.u8 %q[w0], [%[w]], #16\n"
        "mov %[a1], #0\n"
        "vldrb.u8 %q[w1], [%[w]], #16\n"
        "mov %[a2], #0\n"
        "mov %[a3], #0\n"
        "wls lr, %[more], 2f\n"
        "1:\n"
        "vmladava.s8 %[a0], %q[w0], %q[in]\n"
        "vldrb.u8 %q[w2], [%[w]], #16\n"
        "vmladava.s8 %[a1], %q[w1], %q[in]\n"
        "vldrb.u8 %q[w3], [%[w]], #16\n"
        "vmladava.s8 %[a2], %q[w2], %q[in]\n"
        "vldrb.u8 %q[w0], [%[w]], #16\n"
        "vmladava.s8 %[a3], %q[w3], %q[in]\n"
        "vldrb.u8 %q[in], [%[x]], #16\n"
        "vldrb.u8 %q[w1], [%[w]], #16\n"
        "le lr, 1b\n"
        "2:\n"
        "vmladava.s8 %[a0], %q[w0], %q[in]\n"
        "vldrb.u8 %q[w2], [%[w]], #16\n"
        "vmladava.s8 %[a1], %q[w1], %q[in]\n"
        "vldrb.u8 %q[w3], [%[w]], #16\n"
        "vmladava.s8 %[a2], %q[w2], %q[in]\n"
        "vmladava.s8 %[a3], %q[w3], %q[in]\n"
        "strd %[a0], %[a1], [%[acc]]\n"
        "strd %[a2], %[a3], [%[acc], #8]\n"
        : [w] "+r"(w), [x] "+r"(x), [in] "=&w"(in), [w0] "=&w"(w0), [w1] "=&w"(w1), [w2] "=&w"(w2),
          [w3] "=&w"(w3), [a0] "=&Te"(a0), [a1] "=&Te"(a1), [a2] "=&Te"(a2), [a3] "=&Te"(a3)
        : [acc] "r"(acc), [more] "r"(more)
        : "lr", "cc", "memory");
    return w;
}

// All rows, 1 to 4 steps of 16 columns. q0 q1 weights, q4 to q7 inputs of the steps. A step is a product for
// each of four rows; `a` is "a", which adds to the sums, in all steps but the first. The last step stores two
// sums behind each of its last two products.
#define FIRST(a, x)                                                                                          \
    "vldrb.u8 q1, [%[w]], #16\n vmladav" a ".s8 %[a0], q0, " x "\n"                                          \
    "vldrb.u8 q0, [%[w]], #16\n vmladav" a ".s8 %[a1], q1, " x "\n"
#define STEP(a, x)                                                                                           \
    FIRST(a, x)                                                                                              \
    "vldrb.u8 q1, [%[w]], #16\n vmladav" a ".s8 %[a2], q0, " x "\n"                                          \
    "vldrb.u8 q0, [%[w]], #16\n vmladav" a ".s8 %[a3], q1, " x "\n"
#define LAST(a, x)                                                                                           \
    FIRST(a, x)                                                                                              \
    "vldrb.u8 q1, [%[w]], #16\n vmladav" a ".s8 %[a2], q0, " x "\n strd %[a0], %[a1], [%[acc]], #8\n"        \
    "vmladav" a ".s8 %[a3], q1, " x "\n strd %[a2], %[a3], [%[acc]], #8\n"
#define ROWS(inputs, steps)                                                                                  \
    __asm__ volatile(inputs "dls lr, %[blocks]\n 1:\n vldrb.u8 q0, [%[w]], #16\n" steps "le lr, 1b\n"        \
                     : [w] "+r"(w), [x] "+r"(x), [acc] "+r"(acc), [a0] "=&Te"(a0), [a1] "=&Te"(a1),          \
                       [a2] "=&Te"(a2), [a3] "=&Te"(a3)                                                      \
                     : [blocks] "r"(blocks)                                                                  \
                     : "q0", "q1", "q4", "q5", "q6", "q7", "lr", "cc", "memory")
#define INPUT(q) "vldrb.u8 " q ", [%[x]], #16\n"

static void few_columns(const int8_t *w, const int8_t *x, int32_t *acc, int32_t blocks, int32_t steps) {
    int32_t a0, a1, a2, a3;
    if (steps == 1) {
        ROWS(INPUT("q4"), LAST("", "q4"));
    } else if (steps == 2) {
        ROWS(INPUT("q4") INPUT("q5"), STEP("", "q4") LAST("a", "q5"));
    } else if (steps == 3) {
        ROWS(INPUT("q4") INPUT("q5") INPUT("q6"), STEP("", "q4") STEP("a", "q5") LAST("a", "q6"));
    } else {
        ROWS(INPUT("q4") INPUT("q5") INPUT("q6") INPUT("q7"),
             STEP("", "q4") STEP("a", "q5") STEP("a", "q6") LAST("a", "q7"));
    }
}

EB_MATVEC_S8_DECL(eb_matvec_s8__mve) {
    (void)scratch;
    const int32_t more = ((cols + 15) >> 4) - 1;
    if (more < 4) {
        few_columns(w, x, acc, (rows + 3) >> 2, more + 1);
        return;
    }
    for (int32_t *end = acc + rows; acc < end; acc += 4) {
        w = eb_matvec_s8_four__mve(w, x, acc, more);
    }
}

EB_KERNEL(matvec_s8, mve, s8b4);
