// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for AArch64 cores that issue in order (Cortex-A53), five rows a byte: 1.6 bits a
// weight.
//
// The identity and the layout ("e16k") are those of tmatvec_s8__neon_e16: with S0 = sum(s x), S1 = sum(s' x)
// ... S5, where s' = 3 s mod 256, the row sums are exactly Ti = (3 Si - Si+1) / 256. Here s' is made by a
// multiplication, which costs an in-order core no more than one of the two additions it replaces: 46 vector
// instructions for 160 multiply-accumulates instead of 56. Their order is fixed: twelve products, each begun
// four instructions after the one before, finished nine instructions later and widened nine after that, so
// that none waits for another. Loads stand together, with offsets in a register: each load among vector
// instructions, and each that moves its pointer, would cost cycles.
//
// Bounds: |s| <= 127, so that two products fit 16 bits: 2 * 127 * 128 = 32512. The rest is exact modulo 2^32,
// and |256 Ti| <= 256 * 128 * cols < 2^31 for every cols the layout allows (65535).
//
// Cost (instructions per weight): 0.312 at 640 x 2560, 0.325 at 128 x 640, 0.44 at 10 x 64. Modelled cycles a
// weight of the inner loop on the Cortex-A53, compiled by clang or GCC alike (llvm-mca 22 by
// tests/tools/inorder_cycles.py): 0.325; tmatvec_s8__neon_e16 takes 0.491 as clang and 0.719 as GCC order it.
//
// Scratch: none.
#include "tmatvec_s8/e16k_neon.h"
#include "tmatvec_s8/tmatvec_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon_inorder_e16);

// clang-format off
// A group is 16 columns of the ten rows of two blocks: products 0, 2 .. 10 are those of s, s' ... of the first block,
// the odd ones those of the second. v0-v5: s of products n, n + 6; v6-v11: their 16-bit sums; v12: 3; v13, v14:
// inputs of this group and the next. Sums 0..11 are operands.

#define BEGIN(s, p, x) "smull v" #p ".8h, v" #s ".8b, " x ".8b\n"
#define FINISH(s, p, x) "smlal2 v" #p ".8h, v" #s ".16b, " x ".16b\n"
#define WIDEN(n, p) "sadalp %[s" #n "].4s, v" #p ".8h\n"
#define TRIPLE(to, from) "mul v" #to ".16b, v" #from ".16b, v12.16b\n"
// Ten of the twelve products of a group. x: its inputs, before: those of the group before, whose last products
// come to their end first.
#define HEAD(x, before)                                                                                      \
    BEGIN(0, 6, x) FINISH(4, 10, before) WIDEN(8, 8) TRIPLE(3, 1)                                            \
    BEGIN(1, 7, x) FINISH(5, 11, before) WIDEN(9, 9) TRIPLE(4, 2)                                            \
    BEGIN(2, 8, x) FINISH(0, 6, x) WIDEN(10, 10) TRIPLE(5, 3)                                                \
    BEGIN(3, 9, x) FINISH(1, 7, x) WIDEN(11, 11) TRIPLE(0, 4)                                                \
    BEGIN(4, 10, x) FINISH(2, 8, x) WIDEN(0, 6) TRIPLE(1, 5)                                                 \
    BEGIN(5, 11, x) FINISH(3, 9, x) WIDEN(1, 7) TRIPLE(2, 0)                                                 \
    BEGIN(0, 6, x) FINISH(4, 10, x) WIDEN(2, 8) TRIPLE(3, 1)                                                 \
    BEGIN(1, 7, x) FINISH(5, 11, x) WIDEN(3, 9) TRIPLE(4, 2)                                                 \
    BEGIN(2, 8, x) FINISH(0, 6, x) WIDEN(4, 10) TRIPLE(5, 3)                                                 \
    BEGIN(3, 9, x) FINISH(1, 7, x) WIDEN(5, 11)
#define TAIL(x)                                                                                              \
    BEGIN(4, 10, x) FINISH(2, 8, x) WIDEN(6, 6)                                                              \
    BEGIN(5, 11, x) FINISH(3, 9, x) WIDEN(7, 7)
// The other two, and the beginning of the next group, behind its loads.
#define MORE(x, loads) loads TAIL(x) TRIPLE(2, 0)
#define LAST(x)                                                                                              \
    TAIL(x) FINISH(4, 10, x) FINISH(5, 11, x) WIDEN(8, 8) WIDEN(9, 9) WIDEN(10, 10) WIDEN(11, 11)
#define CLEAR(n) "movi v" #n ".2d, #0\n"
#define CLEAR_SUM(n) "movi %[s" #n "].2d, #0\n"

// The sums of ten rows over `groups` >= 1 groups, those of the blocks in turn. Returns where the next rows' weights
// are.
EB_INLINE const uint8_t *e16k_rows(const uint8_t *w, const int8_t *x, int32_t groups, int32x4_t s[12]) {
    const int32_t pairs = (groups - 1) >> 1; // less the last one or two groups
    const int8_t *end = x + 32 * (int64_t)pairs;
    int64_t k = -32 * (int64_t)pairs;
    __asm__("ldp q0, q1, [%[w]]\n ldr q13, [%[end], %[k]]\n"
            "movi v12.16b, #3\n"
            CLEAR(4) CLEAR(5) CLEAR(8) CLEAR(9) CLEAR(10) CLEAR(11) CLEAR(14) TRIPLE(2, 0)
            CLEAR_SUM(0) CLEAR_SUM(1) CLEAR_SUM(2) CLEAR_SUM(3) CLEAR_SUM(4) CLEAR_SUM(5)
            CLEAR_SUM(6) CLEAR_SUM(7) CLEAR_SUM(8) CLEAR_SUM(9) CLEAR_SUM(10) CLEAR_SUM(11)
            HEAD("v13", "v14")
            "cbz %[k], 2f\n"
            "1:\n"
            MORE("v13", "ldp q0, q1, [%[w], #32]\n ldr q14, [%[end1], %[k]]\n"
                        "adds %[k], %[k], #32\n add %[w], %[w], #64\n")
            HEAD("v14", "v13")
            MORE("v14", "ldp q0, q1, [%[w]]\n ldr q13, [%[end], %[k]]\n")
            HEAD("v13", "v14")
            "b.ne 1b\n"
            "2:\n"
            "add %[w], %[w], #32\n"
            "tbnz %w[groups], #0, 3f\n"
            MORE("v13", "ldp q0, q1, [%[w]]\n ldr q14, [%[end1]]\n add %[w], %[w], #32\n")
            HEAD("v14", "v13") LAST("v14")
            "b 4f\n"
            "3:\n"
            LAST("v13")
            "4:\n"
            : [w] "+r"(w), [k] "+r"(k), [s0] "=&w"(s[0]), [s1] "=&w"(s[1]),
              [s2] "=&w"(s[2]), [s3] "=&w"(s[3]), [s4] "=&w"(s[4]), [s5] "=&w"(s[5]), [s6] "=&w"(s[6]),
              [s7] "=&w"(s[7]), [s8] "=&w"(s[8]), [s9] "=&w"(s[9]), [s10] "=&w"(s[10]), [s11] "=&w"(s[11])
            : [groups] "r"(groups), [end] "r"(end), [end1] "r"(end + 16)
            : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",
              "cc", "memory");
    return w;
}
// clang-format on

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__neon_inorder_e16) {
    (void)scratch;
    const int32_t steps = (cols + 15) >> 4;
    for (int32_t r = 0; r < rows; r += 10) {
        int32x4_t s[12];
        w = e16k_rows(w, x, steps, s);
        eb_e16k_store(acc + r, s, 2);
        eb_e16k_store(acc + r + 5, s + 1, 2);
    }
}

EB_KERNEL(tmatvec_s8, neon_inorder_e16, e16k);
