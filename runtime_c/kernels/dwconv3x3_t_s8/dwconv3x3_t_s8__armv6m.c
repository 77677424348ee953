// SPDX-License-Identifier: Apache-2.0
// Bands of a 3 x 3 depthwise convolution with ternary weights for Armv6-M, six output rows and one channel at
// a time, two rows in a word.
//
// Packed pixels (see tpixels_s8.h): a word holds numbers of rows i (low) and i + 3 (high) as low + high *
// 2^16 modulo 2^32; while both stay within int16 they can be told apart again. The plane holds a record for
// each column of the window: 5 words of inputs (7 at stride 2), then 3 of sums, together 32 (40) * columns
// bytes. For each of the 27 ways in which three trits can stand in a kernel column there is a piece of code
// that loads a record and adds and subtracts its words; the three pieces of a channel run one after the other
// for each output column, and jump to one another through registers.
//
// Layout dwcols: for channel c and kernel column k one byte, twice the number 9 t0 + 3 t1 + t2 + 13 of its
// trits. Bounds: |sum| <= 9 * 128 < 2^15. Cost (modelled cycles, Cortex-M0+, no wait states): of an output,
// 8 to pack, 9 to add, 13 to requantise and 2 more outside qmin..qmax; the sixth row is not requantised where
// nobody reads it. With a pre-shift, which sums this small hardly ever get, plain C.
#include "dwconv3x3_t_s8/dwconv3x3_t_s8.h"

#include "dwconv3x3_s8/any.h"
#include "dwconv3x3_t_s8/dwcols.h"

_Static_assert(sizeof(void *) != 4 ||
                   (offsetof(eb_dwconv3x3_job, plane) == 36 && offsetof(eb_dwconv3x3_job, wanted) == 68 &&
                    offsetof(eb_dwconv3x3_job, row) == 72),
               "the assembly addresses these fields");

void eb_dwconv3x3_t_s8__armv6m_one(const void *w, const eb_requant_entry *entries,
                                   const eb_dwconv3x3_job *job);
void eb_dwconv3x3_t_s8__armv6m_two(const void *w, const eb_requant_entry *entries,
                                   const eb_dwconv3x3_job *job);

// clang-format off
// A trit (m: -1, z: 0, p: +1) times x, added to a sum; and the first two of them, which begin it.
#define T_m(sum, x) "subs " sum ", " sum ", " x "\n"
#define T_z(sum, x)
#define T_p(sum, x) "adds " sum ", " sum ", " x "\n"
#define I_mm(sum, x, y) "negs " sum ", " x "\n" T_m(sum, y)
#define I_mz(sum, x, y) "negs " sum ", " x "\n"
#define I_mp(sum, x, y) "subs " sum ", " y ", " x "\n"
#define I_zm(sum, x, y) "negs " sum ", " y "\n"
#define I_zz(sum, x, y) "movs " sum ", #0\n"
#define I_zp(sum, x, y) "movs " sum ", " y "\n"
#define I_pm(sum, x, y) "subs " sum ", " x ", " y "\n"
#define I_pz(sum, x, y) "movs " sum ", " x "\n"
#define I_pp(sum, x, y) "adds " sum ", " x ", " y "\n"

// The parts of a sum at the left column of the window (A) and the other two (B, C).
#define A2(sum, x, y, a, b) I_##a##b(sum, x, y)
#define B2(sum, x, y, a, b) T_##a(sum, x) T_##b(sum, y)
#define C2 B2

// Where a piece goes on: to the next one; after the last, it stores and goes to the next output column.
#define A_END(rewind) "adds r0, #12\n mov pc, r9\n"
#define B_END(rewind) "adds r0, #12\n mov pc, r10\n"
#define C_END(rewind) "stmia r0!, {r5-r7}\n subs r0, #" rewind "\n cmp r0, r8\n beq 1f\n mov pc, r11\n 1: mov pc, r12\n"

// A piece. r0 record, r1-r4 inputs, r5-r7 sums of rows 0 and 3, 1 and 4, 2 and 5.
#define PIECE_1(P, a, b, c)                                                                                  \
    ".Leb_dw1" #P #a #b #c ":\n ldmia r0!, {r1-r4}\n"                                                        \
    P##2("r5", "r1", "r2", a, b) T_##c("r5", "r3") P##2("r6", "r2", "r3", a, b) T_##c("r6", "r4")            \
    P##2("r7", "r3", "r4", a, b) "ldmia r0!, {r1}\n" T_##c("r7", "r1") P##_END("64")
#define PIECE_2(P, a, b, c)                                                                                  \
    ".Leb_dw2" #P #a #b #c ":\n ldmia r0!, {r1-r3}\n"                                                        \
    P##2("r5", "r1", "r2", a, b) T_##c("r5", "r3") "ldmia r0!, {r1, r2}\n"                                   \
    P##2("r6", "r3", "r1", a, b) T_##c("r6", "r2") "ldmia r0!, {r1, r3}\n"                                   \
    P##2("r7", "r2", "r1", a, b) T_##c("r7", "r3") P##_END("40")
#define WHERE_1(P, a, b, c) ".hword .Leb_dw1" #P #a #b #c " - .Leb_dw1\n"
#define WHERE_2(P, a, b, c) ".hword .Leb_dw2" #P #a #b #c " - .Leb_dw2\n"

#define EACH_C(WHAT, P, a, b) WHAT(P, a, b, m) WHAT(P, a, b, z) WHAT(P, a, b, p)
#define EACH_B(WHAT, P, a) EACH_C(WHAT, P, a, m) EACH_C(WHAT, P, a, z) EACH_C(WHAT, P, a, p)
#define EACH(WHAT, P) EACH_B(WHAT, P, m) EACH_B(WHAT, P, z) EACH_B(WHAT, P, p)

// A pixel: values below qmin jump to label `low` (in the direction `to`), those above qmax to `high`, and back to `on`.
#define CLAMP(v, low, high, on, to)                                                                          \
    "muls " v ", r6\n adds " v ", " v ", r5\n asrs " v ", r3\n"                                              \
    "cmp " v ", r11\n blt " #low #to "\n cmp " v ", r12\n bgt " #high #to "\n" #on ":\n"
// The first and the second pixel of a word, and both.
#define FIRST(k, to)                                                                                         \
    "ldmia r0!, {r4}\n sxth r7, r4\n subs r4, r4, r7\n asrs r4, r4, #16\n" CLAMP("r7", 3##k, 4##k, 5##k, to)   \
    "strb r7, [r2]\n"
#define SECOND(k, to) CLAMP("r4", 6##k, 7##k, 8##k, to) "strb r4, [r2, r1]\n"
#define WORD(k, to) FIRST(k, to) SECOND(k, to)
// Where they jump to; `to` is the direction back.
#define FAR_FIRST(k, to)                                                                                     \
    "3" #k ":\n mov r7, r11\n b 5" #k #to "\n 4" #k ":\n mov r7, r12\n b 5" #k #to "\n"
#define FAR(k, to)                                                                                           \
    FAR_FIRST(k, to) "6" #k ":\n mov r4, r11\n b 8" #k #to "\n 7" #k ":\n mov r4, r12\n b 8" #k #to "\n"
#define NEXT(next, back) "add r2, r9\n adds r0, #" next "\n cmp r0, r10\n bne " back "b\n"

// Pairs of inputs: both in the image; only the first; only the second. r5 is the other one, where it is padding.
#define PACK(at)                                                                                             \
    "ldrsb r4, [r0, r2]\n ldrsb r5, [r3, r2]\n adds r2, r2, r1\n lsls r5, r5, #16\n adds r4, r4, r5\n"       \
    "str r4, [r6, #" at "]\n"
#define PACK_LOW(at) "ldrsb r4, [r0, r2]\n adds r2, r2, r1\n adds r4, r4, r5\n str r4, [r6, #" at "]\n"
#define PACK_HIGH(at)                                                                                        \
    "ldrsb r4, [r3, r2]\n adds r2, r2, r1\n lsls r4, r4, #16\n adds r4, r4, r5\n str r4, [r6, #" at "]\n"
// r7 of them, >= 1; then to label 6. n: a digit of its own.
#define RUN(STEP, n, to, records1, records2, records3, records4)                                             \
    "subs r7, #4\n blt 4" #n "f\n 3" #n ":\n"                                                                \
    STEP("0") STEP(records1) STEP(records2) STEP(records3)                                                   \
    "adds r6, #" records4 "\n subs r7, #4\n bge 3" #n "b\n 4" #n ":\n adds r7, #4\n beq 6" #to "\n 5" #n ":\n" \
    STEP("0") "adds r6, #" records1 "\n subs r7, #1\n bne 5" #n "b\n"

// Stack: 0 job, 4 w, 8 entries, 12 channel, 16 inside, 20 bytes of sums, 24 from the first row of a column to the
// second of the next.
#define BAND(name, S, words, record, record2, record3, record4, other, other_step, first, next)                \
    __asm__(".syntax unified\n"                                                                              \
        ".pushsection .text." name ", \"ax\", %progbits\n"                                                   \
        ".p2align 2\n .thumb\n .global " name "\n .hidden " name "\n .type " name ", %function\n .thumb_func\n" \
        name ":\n"                                                                                           \
        "push {r4-r7, lr}\n"                                                                                 \
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n push {r4-r7}\n"                               \
        "sub sp, #28\n str r2, [sp]\n str r0, [sp, #4]\n str r1, [sp, #8]\n"                                 \
        "movs r0, #0\n str r0, [sp, #12]\n ldr r0, [r2, #20]\n str r0, [sp, #16]\n"                          \
        "ldr r0, [r2, #28]\n movs r1, #" #S " * " record "\n muls r0, r1\n str r0, [sp, #20]\n"              \
        "ldr r0, [r2, #64]\n ldr r1, [r2, #4]\n lsls r2, r1, #1\n adds r1, r1, r2\n subs r0, r0, r1\n str r0, [sp, #24]\n" \
        /* pairs of rows. r0 r3 rows, r1 step, r2 offset in both, r4 r5 inputs, r6 to, r7 columns left, r8 step of r3, \
           r9 rows, r11 first record, r12 its end */                                                         \
        "1:\n"                                                                                               \
        "ldr r7, [sp]\n ldr r2, [r7, #36]\n ldr r3, [r7, #16]\n movs r4, #" record "\n muls r3, r4\n"        \
        "adds r2, r2, r3\n mov r11, r2\n adds r2, #4 * " words "\n mov r12, r2\n adds r7, #72\n"             \
        "2:\n"                                                                                               \
        "ldmia r7!, {r0, r1}\n ldr r3, [r7, #" other "]\n ldr r4, [r7, #" other_step "]\n mov r9, r7\n"      \
        "ldr r5, [sp, #12]\n adds r0, r0, r5\n adds r3, r3, r5\n ldr r7, [sp, #16]\n mov r6, r11\n movs r2, #0\n" \
        "cmp r1, r4\n bne 7f\n"                                                                              \
        RUN(PACK, 0, f, record, record2, record3, record4)                                                   \
        "6:\n"                                                                                               \
        "mov r6, r11\n adds r6, #4\n mov r11, r6\n mov r7, r9\n cmp r6, r12\n bne 2b\n"                      \
        "b 8f\n"                                                                                             \
        "7:\n" /* one row is padding */                                                                      \
        "cmp r1, #0\n beq 71f\n"                                                                             \
        "ldrsb r5, [r3, r2]\n lsls r5, r5, #16\n"                                                            \
        RUN(PACK_LOW, 1, b, record, record2, record3, record4)                                               \
        "b 6b\n"                                                                                             \
        "71:\n"                                                                                              \
        "movs r1, r4\n ldrsb r5, [r0, r2]\n"                                                                 \
        RUN(PACK_HIGH, 2, b, record, record2, record3, record4)                                              \
        "b 6b\n"                                                                                             \
        "8:\n"                                                                                               \
        /* sums. r8 where the last output column's records end, r11 r9 r10 pieces, r12 what comes after */   \
        "ldr r1, [sp, #4]\n ldrb r2, [r1]\n ldrb r3, [r1, #1]\n ldrb r4, [r1, #2]\n adds r1, #3\n str r1, [sp, #4]\n" \
        "ldr r5, 91f\n mov r6, r5\n"                                                                         \
        "ldrh r2, [r5, r2]\n adds r2, r2, r6\n mov r11, r2\n adds r5, #54\n"                                 \
        "ldrh r3, [r5, r3]\n adds r3, r3, r6\n mov r9, r3\n adds r5, #54\n"                                  \
        "ldrh r4, [r5, r4]\n adds r4, r4, r6\n mov r10, r4\n"                                                \
        "ldr r4, 92f\n mov r12, r4\n"                                                                        \
        "ldr r0, [sp]\n ldr r0, [r0, #36]\n ldr r4, [sp, #20]\n adds r4, r4, r0\n mov r8, r4\n"              \
        "mov pc, r11\n"                                                                                      \
        ".p2align 2\n 91: .word .Leb_dw" #S "\n 92: .word .Leb_dw" #S "_done\n"                              \
        /* outputs. r0 sums, r1 three rows, r2 y, r3 shift, r4 r7 values, r5 add, r6 mul, r8 bytes of a row, r9 to the \
           next column, r10 end, r11 qmin, r12 qmax */                                                       \
        ".Leb_dw" #S "_done:\n"                                                                              \
        "ldr r7, [sp]\n ldr r3, [sp, #8]\n ldmia r3!, {r5, r6}\n str r3, [sp, #8]\n asrs r3, r6, #16\n sxth r6, r6\n" \
        "ldr r2, [r7, #52]\n mov r11, r2\n ldr r2, [r7, #56]\n mov r12, r2\n"                                \
        "ldr r2, [r7]\n ldr r4, [sp, #12]\n adds r2, r2, r4\n"                                               \
        "ldr r4, [r7, #4]\n mov r8, r4\n lsls r1, r4, #1\n adds r1, r1, r4\n"                                \
        "ldr r4, [sp, #24]\n mov r9, r4\n"                                                                   \
        "ldr r0, [r7, #36]\n adds r0, #" first "\n ldr r4, [sp, #20]\n adds r4, r4, r0\n mov r10, r4\n"      \
        "ldr r4, [r7, #68]\n cmp r4, #6\n beq 90f\n b 95f\n"                                                 \
        FAR(0, f) FAR(1, f) FAR(2, f)                                                                        \
        "90:\n"                                                                                              \
        WORD(0, b) "add r2, r8\n" WORD(1, b) "add r2, r8\n" WORD(2, b) "add r2, r8\n" NEXT(next, "90")       \
        "b 93f\n"                                                                                            \
        FAR(0, f) FAR(1, f) FAR_FIRST(2, f)                                                                  \
        "95:\n" /* nobody reads the last row */                                                              \
        WORD(0, b) "add r2, r8\n" WORD(1, b) "add r2, r8\n" FIRST(2, b) "add r2, r8\n" NEXT(next, "95")      \
        "93:\n"                                                                                              \
        "ldr r7, [sp]\n ldr r0, [sp, #12]\n adds r0, #1\n str r0, [sp, #12]\n ldr r1, [r7, #8]\n"            \
        "cmp r0, r1\n beq 94f\n b 1b\n"                                                                      \
        "94:\n"                                                                                              \
        "add sp, #28\n"                                                                                      \
        "pop {r4-r7}\n mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n pop {r4-r7, pc}\n"              \
        ".p2align 2\n .Leb_dw" #S ":\n"                                                                      \
        EACH(WHERE_##S, A) EACH(WHERE_##S, B) EACH(WHERE_##S, C)                                             \
        EACH(PIECE_##S, A) EACH(PIECE_##S, B) EACH(PIECE_##S, C)                                             \
        ".size " name ", . - " name "\n .popsection\n");

BAND("eb_dwconv3x3_t_s8__armv6m_one", 1, "5", "32", "64", "96", "128", "16", "20", "84", "20")
BAND("eb_dwconv3x3_t_s8__armv6m_two", 2, "7", "40", "80", "120", "160", "40", "44", "108", "68")
// clang-format on

EB_DWCONV3X3_T_S8_DECL(eb_dwconv3x3_t_s8__armv6m);

EB_DWCONV3X3_T_S8_DECL(eb_dwconv3x3_t_s8__armv6m) {
    if (job->requant.pre_shift != 0) {
        eb_dwconv3x3_law(w, entries, job, eb_dwcols_weight);
        return;
    }
    const int32_t words = job->stride == 1 ? 5 : 7;
    uint32_t pad = (uint32_t)job->padding + ((uint32_t)job->padding << 16);
    eb_dwconv3x3_sides(job, words, words + 3, pad);
    if (job->stride == 1) {
        eb_dwconv3x3_t_s8__armv6m_one(w, entries, job);
    } else {
        eb_dwconv3x3_t_s8__armv6m_two(w, entries, job);
    }
}

EB_KERNEL(dwconv3x3_t_s8, armv6m, dwcols);
