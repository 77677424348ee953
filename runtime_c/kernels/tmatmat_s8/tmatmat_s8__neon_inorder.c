// SPDX-License-Identifier: Apache-2.0
// Ternary products with four int8 vectors for AArch64 cores that issue in order (Cortex-A53).
//
// The layout ("e2k") is that of tmatvec_s8__neon. The fields of 16 columns of four rows are cut out once for
// four vectors, all of them but the last one down to 0..2, so that every sum stays in 16 bits for 1024
// columns: 6 instructions for the weights and 8 for each vector do 256 multiply-accumulates. Their order is
// fixed: sixteen accumulators take turns, the fields of the next 16 columns replace the present ones as soon
// as those have been multiplied, and all loads for them stand together. Vectors that are missing repeat the
// one before, and their sums are dropped.
//
// Bounds: a 16-bit lane takes 2 products of each 16 columns, with codes in 0..2 and inputs in -128..127: 64
// times that is -32768..32512. Widened after that, 32-bit lanes hold every sum that the layout allows.
//
// Cost (instructions per weight and vector, four vectors): 0.184 at 640 x 2560, 0.200 at 128 x 640; modelled
// cycles of the inner loop on the Cortex-A53, compiled by clang or GCC alike (llvm-mca 22 by
// tests/tools/inorder_cycles.py): 0.178; tmatmat_s8__neon takes 0.223 and 0.234.
//
// Scratch: none.
#include <arm_neon.h>

#include "tmatmat_s8/tmatmat_s8.h"

EB_TMATMAT_S8_DECL(eb_tmatmat_s8__neon_inorder);

enum { CHUNK = 64 }; // groups of 16 columns before 16-bit sums are widened

// clang-format off
// A group is 16 columns of four rows. v0-v3: fields of rows 0..3; v4-v7 and v8-v11: inputs of this group and the next,
// in turn; v12: weights of the next group; v13, v14: its fields on their way; v15: mask; v16 on: 16-bit sums of row 0
// with the four vectors, of row 1 and so on.
#define PRODUCT(op, n, row, half, x) op " v" #n ".8h, v" #row half ", v" #x half "\n"
#define ROW(op, n0, n1, n2, n3, row, half, a, b, c, d)                                                       \
    PRODUCT(op, n0, row, half, a) PRODUCT(op, n1, row, half, b) PRODUCT(op, n2, row, half, c)                \
    PRODUCT(op, n3, row, half, d)
#define LOW(a, b, c, d)                                                                                      \
    ROW("smlal", 16, 17, 18, 19, 0, ".8b", a, b, c, d) ROW("smlal", 20, 21, 22, 23, 1, ".8b", a, b, c, d)    \
    ROW("smlal", 24, 25, 26, 27, 2, ".8b", a, b, c, d) ROW("smlal", 28, 29, 30, 31, 3, ".8b", a, b, c, d)
#define HIGH(a, b, c, d, cut0, cut1, cut2, cut3)                                                             \
    ROW("smlal2", 16, 17, 18, 19, 0, ".16b", a, b, c, d) cut0                                                \
    ROW("smlal2", 20, 21, 22, 23, 1, ".16b", a, b, c, d) cut1                                                \
    ROW("smlal2", 24, 25, 26, 27, 2, ".16b", a, b, c, d) cut2                                                \
    ROW("smlal2", 28, 29, 30, 31, 3, ".16b", a, b, c, d) cut3
// Weights from w + `at` on; inputs to v`a`..v`d`, of which group k / 16 is counted from `even` or `odd`.
#define LOAD(at, a, b, c, d, from)                                                                           \
    "ldr q12, [%[w], #" #at "]\n ldr q" #a ", [%[" #from "0], %[k]]\n ldr q" #b ", [%[" #from "1], %[k]]\n"  \
    "ldr q" #c ", [%[" #from "2], %[k]]\n ldr q" #d ", [%[" #from "3], %[k]]\n"
#define CUT_0 "and v0.16b, v12.16b, v15.16b\n ushr v13.16b, v12.16b, #2\n ushr v14.16b, v12.16b, #4\n"
#define CUT_1 "and v1.16b, v13.16b, v15.16b\n"
#define CUT_2 "and v2.16b, v14.16b, v15.16b\n"
#define CUT_3 "sshr v3.16b, v12.16b, #6\n"
// A group before the last one, behind the loads for the next.
#define MORE(a, b, c, d, loads) loads LOW(a, b, c, d) HIGH(a, b, c, d, CUT_0, CUT_1, CUT_2, CUT_3)
#define LAST(a, b, c, d) LOW(a, b, c, d) HIGH(a, b, c, d, "", "", "", "")
#define CLEAR(n) "movi v" #n ".2d, #0\n"
// Eight 16-bit sums from v`a` on, to wide + `at`.
#define WIDEN(at, at1, at2, at3, a, b, c, d, e, f, g, h)                                                     \
    "ldp q0, q1, [%[wide], #" #at "]\n ldp q2, q3, [%[wide], #" #at1 "]\n"                                   \
    "ldp q4, q5, [%[wide], #" #at2 "]\n ldp q6, q7, [%[wide], #" #at3 "]\n"                                  \
    "sadalp v0.4s, v" #a ".8h\n sadalp v1.4s, v" #b ".8h\n sadalp v2.4s, v" #c ".8h\n"                       \
    "sadalp v3.4s, v" #d ".8h\n sadalp v4.4s, v" #e ".8h\n sadalp v5.4s, v" #f ".8h\n"                       \
    "sadalp v6.4s, v" #g ".8h\n sadalp v7.4s, v" #h ".8h\n"                                                  \
    "stp q0, q1, [%[wide], #" #at "]\n stp q2, q3, [%[wide], #" #at1 "]\n"                                   \
    "stp q4, q5, [%[wide], #" #at2 "]\n stp q6, q7, [%[wide], #" #at3 "]\n"

// Adds to the 16 sums in `wide`, of row 0 with the four vectors, of row 1 and so on, what `groups` <= CHUNK groups make;
// group 0 of the inputs is `first` bytes from their starts. Returns where the weights of the next group are.
EB_INLINE const uint8_t *e2k_rows(const uint8_t *w, const int8_t *const x[EB_TMATMAT_TOKENS], int64_t first,
                                  int32_t groups, int32x4_t wide[16]) {
    const int32_t pairs = (groups - 1) >> 1; // less the last one or two groups
    const int64_t end = first + 32 * (int64_t)pairs;
    int64_t k = -32 * (int64_t)pairs;
    __asm__ volatile(
            LOAD(0, 4, 5, 6, 7, even)
            "movi v15.16b, #3\n"
            CLEAR(16) CLEAR(17) CLEAR(18) CLEAR(19) CLEAR(20) CLEAR(21) CLEAR(22) CLEAR(23) CLEAR(24) CLEAR(25)
            CLEAR(26) CLEAR(27) CLEAR(28) CLEAR(29) CLEAR(30) CLEAR(31)
            CUT_0 CUT_3 CUT_1 CUT_2
            "cbz %[k], 2f\n"
            "1:\n"
            MORE(4, 5, 6, 7, LOAD(32, 8, 9, 10, 11, odd) "adds %[k], %[k], #32\n add %[w], %[w], #64\n")
            MORE(8, 9, 10, 11, LOAD(0, 4, 5, 6, 7, even))
            "b.ne 1b\n"
            "2:\n"
            "add %[w], %[w], #32\n"
            "tbnz %w[groups], #0, 3f\n"
            MORE(4, 5, 6, 7, LOAD(0, 8, 9, 10, 11, odd) "add %[w], %[w], #32\n")
            LAST(8, 9, 10, 11)
            "b 4f\n"
            "3:\n"
            LAST(4, 5, 6, 7)
            "4:\n"
            WIDEN(0, 32, 64, 96, 16, 17, 18, 19, 20, 21, 22, 23)
            WIDEN(128, 160, 192, 224, 24, 25, 26, 27, 28, 29, 30, 31)
            : [w] "+r"(w), [k] "+r"(k)
            : [groups] "r"(groups), [even0] "r"(x[0] + end), [even1] "r"(x[1] + end), [even2] "r"(x[2] + end),
              [even3] "r"(x[3] + end), [odd0] "r"(x[0] + end + 16), [odd1] "r"(x[1] + end + 16),
              [odd2] "r"(x[2] + end + 16), [odd3] "r"(x[3] + end + 16), [wide] "r"(wide)
            : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",
              "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28",
              "v29", "v30", "v31", "cc", "memory");
    return w;
}
// clang-format on

// What the sums of rows 0, 1 and 2 are too large by, bytes past cols included: their trits are 0 too.
EB_INLINE int32x4_t e2k_total(const int8_t *x, int32_t steps) {
    int32x4_t sum = vdupq_n_s32(0);
    for (int32_t i = 0; i < steps; i++) {
        sum = vpadalq_s16(sum, vpaddlq_s8(vld1q_s8(x + 16 * (int64_t)i)));
    }
    return vsetq_lane_s32(0, vdupq_n_s32(vaddvq_s32(sum)), 3);
}

EB_TMATMAT_S8_DECL(eb_tmatmat_s8__neon_inorder) {
    (void)scratch;
    const int32_t steps = (cols + 15) >> 4;
    const int8_t *in[EB_TMATMAT_TOKENS];
    int32x4_t total[EB_TMATMAT_TOKENS];
    for (int32_t t = 0; t < EB_TMATMAT_TOKENS; t++) {
        in[t] = t == 0 ? x : t < tokens ? in[t - 1] + x_step : in[t - 1];
        total[t] = e2k_total(in[t], steps);
    }
    for (int32_t r = 0; r < ((rows + 7) & ~7); r += 4) { // blocks of four rows take turns: 32 bytes a step
        const uint8_t *at = w + (r & 4) * 4;
        int32x4_t wide[16];
        for (int32_t i = 0; i < 16; i++) {
            wide[i] = vdupq_n_s32(0);
        }
        for (int32_t done = 0; done < steps; done += CHUNK) {
            const int32_t now = steps - done < CHUNK ? steps - done : CHUNK;
            at = e2k_rows(at, in, 16 * (int64_t)done, now, wide);
        }
        for (int32_t t = 0; t < tokens; t++) {
            const int32x4_t sums =
                vpaddq_s32(vpaddq_s32(wide[t], wide[4 + t]), vpaddq_s32(wide[8 + t], wide[12 + t]));
            vst1q_s32(acc + t * (int64_t)acc_step + r, vsubq_s32(sums, total[t]));
        }
        w += (r & 4) * 8 * (int64_t)steps;
    }
}

EB_KERNEL(tmatmat_s8, neon_inorder, e2k);
