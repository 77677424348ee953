// SPDX-License-Identifier: Apache-2.0
// Bands of a 3 x 3 depthwise convolution for cores with the DSP extension (Cortex-M4, M7, M33), one channel
// at a time: 6 output rows at stride 1, 3 at stride 2.
//
// The plane holds a record of ten words for each column of the window: four pairs of inputs, rows 2j (low
// half) and 2j + 1, then sums: of output rows 0 2 4 and 1 3 5, or 0 1 2 at stride 2. Its size is 40 * columns
// bytes. Two output rows of a column and its two neighbours to the left need two pairs of each:
//   even row  SMLAD pair j by (w[0][k], w[1][k]), SMLABT the low half of pair j + 1 by w[2][k]
//   odd row   SMLATB the high half of pair j by w[0][k], SMLAD pair j + 1 by (w[1][k], w[2][k])
// so that a column's pairs are read once while the sums of three output columns pass through registers.
//
// Layout dwquads: for channel c and kernel column k the bytes w[0][k] w[1][k] w[1][k] w[2][k].
// Bounds: sums are exact int32.
#ifndef EDGEBIT_DWCONV3X3_BAND_ARMV7EM_H
#define EDGEBIT_DWCONV3X3_BAND_ARMV7EM_H

#include "dwconv3x3_s8/any.h"

_Static_assert(sizeof(void *) != 4 ||
                   (offsetof(eb_dwconv3x3_job, plane) == 36 && offsetof(eb_dwconv3x3_job, row) == 72),
               "the assembly addresses these fields");

void eb_dwconv3x3_band__armv7em(const void *w, const eb_requant_entry *entries, const eb_dwconv3x3_job *job);

// clang-format off
// Two columns further: pairs of rows at r0 and r1.
#define EB_DW_PACK2(first, second)                                                                           \
    "ldrsb r4, [r0" first "]\n ldrsb r5, [r1" first "]\n ldrsb r6, [r0, " second "]\n ldrsb r7, [r1, " second "]\n" \
    "pkhbt r4, r4, r5, lsl #16\n pkhbt r6, r6, r7, lsl #16\n str r4, [r3], #40\n str r6, [r3], #40\n"

// What a column's pairs add to the sums of the output columns that it is the right, middle and left one of. The
// first are then complete.
#define EB_DW_RIGHT                                                                                          \
    "smlad r2, r11, r8, r2\n smlabt r2, r12, r9, r2\n smlatb r3, r11, r8, r3\n smlad r3, r12, r9, r3\n"      \
    "str r2, [r0, #-24]\n str r3, [r0, #-12]\n"
#define EB_DW_MIDDLE                                                                                         \
    "smlad r2, r11, r6, r1\n smlabt r2, r12, r7, r2\n smlatb r3, r11, r6, r10\n smlad r3, r12, r7, r3\n"
#define EB_DW_LEFT                                                                                           \
    "smuad r1, r11, r4\n smlabt r1, r12, r5, r1\n smultb r10, r11, r4\n smlad r10, r12, r5, r10\n"

// A sum to an output; `pre` is what a pre-shift takes.
#define EB_DW_VALUE(v, pre) pre(v) "mla " #v ", " #v ", r1, r3\n asrs " #v ", r10\n ssat " #v ", #8, " #v "\n"
#define EB_DW_NO_SHIFT(v)
#define EB_DW_SHIFT(v) "add " #v ", " #v ", r12\n asr " #v ", " #v ", lr\n"

// Six rows of a column. r0 sums, r1 mul, r2 y, r3 add, r4-r9 rows 0 2 4 1 3 5, r10 shift, r11 bytes of a row.
#define EB_DW_SIX(pre)                                                                                       \
    "ldm r0, {r4-r9}\n"                                                                                      \
    EB_DW_VALUE(r4, pre) EB_DW_VALUE(r5, pre) EB_DW_VALUE(r6, pre) EB_DW_VALUE(r7, pre)                      \
    EB_DW_VALUE(r8, pre) EB_DW_VALUE(r9, pre)                                                      \
    "strb r4, [r2]\n strb r7, [r2, r11]\n strb r5, [r2, r11, lsl #1]\n strb r6, [r2, r11, lsl #2]\n"         \
    "add r2, r2, r11\n strb r8, [r2, r11, lsl #1]\n strb r9, [r2, r11, lsl #2]\n"                            \
    "adds r0, #40\n"

// Three rows of a column at stride 2.
#define EB_DW_THREE(pre)                                                                                     \
    "ldm r0, {r4-r6}\n"                                                                                      \
    EB_DW_VALUE(r4, pre) EB_DW_VALUE(r5, pre) EB_DW_VALUE(r6, pre)                                           \
    "strb r4, [r2]\n strb r5, [r2, r11]\n strb r6, [r2, r11, lsl #1]\n"                                      \
    "add r2, r2, r11\n adds r0, #80\n"

// Stack: 0 job, 4 w, 8 entries, 12 channel, 16 inside, then where the last pair of rows begins, 20 from a pixel
// of the second row to the next of the first, 24 from the end of a pair to the next one, then the end of the sums,
// 28 output columns.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_dwconv3x3_band__armv7em, \"axG\", %progbits, eb_dwconv3x3_band__armv7em, comdat\n"
        ".p2align 2\n"
        ".thumb\n"
        ".weak eb_dwconv3x3_band__armv7em\n"
        ".hidden eb_dwconv3x3_band__armv7em\n"
        ".type eb_dwconv3x3_band__armv7em, %function\n"
        ".thumb_func\n"
        "eb_dwconv3x3_band__armv7em:\n"
        "push {r4-r11, lr}\n"
        "sub sp, #36\n"
        "str r2, [sp]\n strd r0, r1, [sp, #4]\n ldr r0, [r2, #28]\n str r0, [sp, #28]\n"
        "movs r0, #0\n ldr r1, [r2, #20]\n strd r0, r1, [sp, #12]\n"
        "ldr r4, [r2, #4]\n ldr r5, [r2, #64]\n subs r5, r5, r4\n str r5, [sp, #20]\n"
        // pairs of rows. r0 r1 rows, r2 step, r3 to, r8 3 steps, r9 channel, r10 columns left, r11 first
        // record, r12 pairs left, lr rows.
        "1:\n"
        "ldr r10, [sp]\n ldr r9, [sp, #12]\n"
        "ldr r2, [r10, #60]\n ldr r11, [r10, #36]\n ldr r12, [r10, #16]\n"
        "add r12, r12, r12, lsl #2\n add r11, r11, r12, lsl #3\n"
        "add r8, r2, r2, lsl #1\n add lr, r10, #72\n mov r12, #4\n"
        "2:\n"
        "ldm lr!, {r0, r3, r4, r5}\n"
        "ldr r10, [sp, #16]\n add r0, r0, r9\n add r1, r4, r9\n"
        "cmp r3, r2\n bne 7f\n cmp r5, r2\n bne 7f\n"
        "mov r3, r11\n"
        "subs r10, #4\n"
        "blt 4f\n"
        "3:\n"
        EB_DW_PACK2("", "r2") EB_DW_PACK2(", r2, lsl #1", "r8")
        "add r0, r0, r2, lsl #2\n add r1, r1, r2, lsl #2\n"
        "subs r10, #4\n"
        "bge 3b\n"
        "4:\n"
        "adds r10, #4\n"
        "beq 6f\n"
        "5:\n"
        "ldrsb r4, [r0]\n ldrsb r5, [r1]\n add r0, r0, r2\n add r1, r1, r2\n"
        "pkhbt r4, r4, r5, lsl #16\n str r4, [r3], #40\n"
        "subs r10, #1\n"
        "bne 5b\n"
        "6:\n"
        "add r11, r11, #4\n"
        "subs r12, #1\n"
        "bne 2b\n"
        "b 8f\n"
        "7:\n" // one of the rows is padding
        "mov r4, r11\n"
        "71:\n"
        "ldrsb r6, [r0]\n ldrsb r7, [r1]\n add r0, r0, r3\n add r1, r1, r5\n"
        "pkhbt r6, r6, r7, lsl #16\n str r6, [r4], #40\n"
        "subs r10, #1\n"
        "bne 71b\n"
        "b 6b\n"
        // sums. r0 records, r4-r9 weights, r1 r10 sums of one column, r2 r3 of two, r11 r12 pairs, lr end.
        "8:\n"
        "ldr r0, [sp, #4]\n ldm r0!, {r1-r3}\n str r0, [sp, #4]\n"
        "sxtb16 r4, r1\n sxtb16 r5, r1, ror #8\n sxtb16 r6, r2\n sxtb16 r7, r2, ror #8\n"
        "sxtb16 r8, r3\n sxtb16 r9, r3, ror #8\n"
        "ldr r1, [sp]\n ldr r0, [r1, #36]\n ldr r2, [r1, #12]\n ldr r3, [r1, #24]\n"
        "add r2, r2, r2, lsl #2\n lsls r2, r2, #3\n add lr, r0, r2\n subs r2, #4\n str r2, [sp, #24]\n"
        "add r12, r0, #12\n str r12, [sp, #16]\n"
        "cmp r3, #2\n beq 20f\n"
        "9:\n"
        "ldrd r11, r12, [r0], #40\n ldr r2, [sp, #28]\n" EB_DW_LEFT
        "ldrd r11, r12, [r0], #40\n lsls r2, r2, #31\n" EB_DW_MIDDLE EB_DW_LEFT
        "bmi 92f\n"
        "91:\n"
        "ldrd r11, r12, [r0], #40\n" EB_DW_RIGHT EB_DW_MIDDLE EB_DW_LEFT
        "92:\n"
        "ldrd r11, r12, [r0], #40\n" EB_DW_RIGHT EB_DW_MIDDLE EB_DW_LEFT
        "cmp r0, lr\n bne 91b\n"
        "ldr r11, [sp, #24]\n ldr r12, [sp, #16]\n sub r0, r0, r11\n add lr, lr, #4\n"
        "cmp r0, r12\n bne 9b\n"
        "add r4, lr, #4\n str r4, [sp, #24]\n"
        // outputs
        "ldr r7, [sp]\n ldr r1, [sp, #8]\n ldr r3, [r1], #4\n ldr r10, [r1], #4\n str r1, [sp, #8]\n"
        "sxth r1, r10\n asr r10, r10, #16\n"
        "ldr r2, [r7]\n ldr r4, [sp, #12]\n add r2, r2, r4\n ldr r11, [r7, #4]\n"
        "ldr r0, [r7, #36]\n adds r0, #96\n"
        "ldr r12, [r7, #44]\n ldr lr, [r7, #48]\n"
        "cmp lr, #0\n bne 12f\n"
        "ldrd r12, lr, [sp, #20]\n"
        "11:\n"
        EB_DW_SIX(EB_DW_NO_SHIFT)
        "add r2, r2, r12\n cmp r0, lr\n bne 11b\n"
        "b 13f\n"
        "12:\n"
        EB_DW_SIX(EB_DW_SHIFT)
        "ldrd r4, r5, [sp, #20]\n add r2, r2, r4\n cmp r0, r5\n bne 12b\n"
        "13:\n"
        "ldr r7, [sp]\n ldr r0, [sp, #12]\n ldr r1, [r7, #20]\n ldr r2, [r7, #8]\n"
        "adds r0, #1\n strd r0, r1, [sp, #12]\n"
        "cmp r0, r2\n bne 1b\n"
        "add sp, #36\n"
        "pop {r4-r11, pc}\n"
        // stride 2. r1 sums of one column, r2 r3 r10 free.
        "20:\n"
        "ldrd r11, r12, [r0], #40\n"
        "smuad r1, r11, r4\n smlabt r1, r12, r5, r1\n"
        "21:\n"
        "ldrd r11, r12, [r0], #40\n smlad r1, r11, r6, r1\n smlabt r1, r12, r7, r1\n"
        "ldrd r11, r12, [r0], #40\n smlad r1, r11, r8, r1\n smlabt r1, r12, r9, r1\n"
        "str r1, [r0, #-24]\n"
        "smuad r1, r11, r4\n smlabt r1, r12, r5, r1\n"
        "cmp r0, lr\n bne 21b\n"
        "ldr r11, [sp, #24]\n ldr r12, [sp, #16]\n sub r0, r0, r11\n add lr, lr, #4\n"
        "cmp r0, r12\n bne 20b\n"
        "add r4, lr, #44\n str r4, [sp, #24]\n"
        "ldr r7, [sp]\n ldr r1, [sp, #8]\n ldr r3, [r1], #4\n ldr r10, [r1], #4\n str r1, [sp, #8]\n"
        "sxth r1, r10\n asr r10, r10, #16\n"
        "ldr r2, [r7]\n ldr r4, [sp, #12]\n add r2, r2, r4\n ldr r11, [r7, #4]\n"
        "ldr r0, [r7, #36]\n adds r0, #96\n"
        "ldr r12, [r7, #44]\n ldr lr, [r7, #48]\n"
                "22:\n"
        EB_DW_THREE(EB_DW_SHIFT)
        "ldrd r4, r5, [sp, #20]\n add r2, r2, r4\n cmp r0, r5\n bne 22b\n"
        "b 13b\n"
        ".size eb_dwconv3x3_band__armv7em, . - eb_dwconv3x3_band__armv7em\n"
        ".popsection\n");
// clang-format on

// The kernel: padding at the sides of the plane, which channels do not touch, then all channels.
EB_INLINE void eb_dwconv3x3_run__armv7em(const void *w, const eb_requant_entry *entries,
                                         const eb_dwconv3x3_job *job) {
    uint32_t pad = ((uint32_t)job->padding & 0xFFFF) * 0x10001;
    eb_dwconv3x3_sides(job, 4, 10, pad);
    eb_dwconv3x3_band__armv7em(w, entries, job);
    eb_dwconv3x3_clamp(job);
}

#endif
