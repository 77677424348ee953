// SPDX-License-Identifier: Apache-2.0
// Ternary products of two pixels for cores with the DSP extension and floating-point registers (Cortex-M4,
// M7, M33), two rows at once.
//
// Weights, lanes and bounds are those of tmatvec_s8__armv7em: one word holds 8 rows x 2 columns, and a masked
// rotation of it is u + 2^14 * d in each half, u = trit + 1 of row i, d = the trit of row 4 + i. Here each of
// them meets two pixels, so that loads and masks are shared: 8 multiply-accumulates in AND, SMLAD, SMLAD. Ten
// core registers hold sums and inputs; pointers live in floating-point registers meanwhile.
//
// Columns past cols have zero trits, u = 1 and d = 0: whatever their inputs hold is in X as well and cancels.
// Cost (modelled cycles, Cortex-M4, no wait states): 0.56 a weight and pixel, 130 per 8 rows and block of
// columns
//   (some 110 columns when half of the weights are zero), 2.5 a column. The reference takes 17 a weight and
//   pixel.
// Scratch: int32 sums of both pixels' inputs over the first 0, 16, 32 ... columns: 8 * (ceil(cols / 16) + 1)
// bytes.
#include "tdots_s8/tdots_s8.h"

// One block of 8 rows. w: its bytes; a, b: 8 sums of each pixel. Returns the end of the block's
// bytes.
const uint8_t *eb_tdots_s8__armv7em_rows(const uint8_t *w, const uint32_t *x, int32_t *a,
                                         const int32_t *prefix, int32_t *b);
// Sums of both pixels' inputs before every 16 columns up to `end`, and at the end.
void eb_tdots_s8__armv7em_prefix(const uint32_t *x, int32_t *prefix, const uint32_t *end);

// clang-format off
#define FIELD(i, p, q)                                                                                       \
    "and r12, lr, r0, ror #(4 * " #i ")\n smlad " #p ", r12, r2, " #p "\n smlad " #q ", r12, r3, " #q "\n"
// Two columns. r0 word, r1 x, r2 r3 inputs, r4-r7 sums of the first pixel, r8-r11 of the second, lr mask.
#define WORD(s)                                                                                              \
    "vmov r0, " #s "\n ldrd r2, r3, [r1], #8\n"                                                              \
    "and r12, lr, r0\n smlad r4, r12, r2, r4\n smlad r8, r12, r3, r8\n"                                      \
    FIELD(1, r5, r9) FIELD(2, r6, r10) FIELD(3, r7, r11)
// Rows i and 4 + i of a finished block; r12 acc.
#define FLUSH(i, v)                                                                                          \
    "ldr r2, [r12, #(4 * " #i ")]\n ldr r3, [r12, #(16 + 4 * " #i ")]\n sbfx r0, " #v ", #0, #14\n"          \
    "sub " #v ", " #v ", r0\n add r2, r2, r0\n add r3, r3, " #v ", asr #14\n"                                \
    "str r2, [r12, #(4 * " #i ")]\n str r3, [r12, #(16 + 4 * " #i ")]\n"

// s8 words, s9 end of x in the block, s10 block lengths, s11 prefix, s12 sums of the first pixel, s13 of the second.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tdots_s8__armv7em_rows, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tdots_s8__armv7em_rows\n"
        ".hidden eb_tdots_s8__armv7em_rows\n"
        ".type eb_tdots_s8__armv7em_rows, %function\n"
        ".thumb_func\n"
        "eb_tdots_s8__armv7em_rows:\n"
        "push {r4-r11, lr}\n"
        "ldr r12, [sp, #36]\n"
        "vmov s10, r0\n vmov s11, r3\n vmov s12, r2\n vmov s13, r12\n"
        "movs r4, #0\n movs r5, #0\n movs r6, #0\n movs r7, #0\n"
        "mov r8, r4\n mov r9, r4\n mov r10, r4\n mov r11, r4\n"
        "stmia r2, {r4-r11}\n stmia.w r12, {r4-r11}\n"
        "ldrb r3, [r0]\n add r0, r0, r3, lsl #2\n vmov s8, r0\n"
        "movw lr, #0xC003\n movt lr, #0xC003\n"
        "1:\n"
        "vmov r12, s10\n ldrb r2, [r12, #1]!\n vmov s10, r12\n"
        "cmp r2, #0\n"
        "beq.w 3f\n"
        "add r3, r1, r2, lsl #6\n vmov s9, r3\n"
        "vmov r12, s11\n ldrd r4, r8, [r12]\n add r12, r12, r2, lsl #3\n ldrd r5, r9, [r12]\n vmov s11, r12\n"
        "subs r4, r4, r5\n mov r5, r4\n mov r6, r4\n mov r7, r4\n"
        "sub r8, r8, r9\n mov r9, r8\n mov r10, r8\n mov r11, r8\n"
        "2:\n"
        "vmov r0, s8\n vldmia r0!, {s0-s7}\n vmov s8, r0\n"
        WORD(s0) WORD(s1) WORD(s2) WORD(s3) WORD(s4) WORD(s5) WORD(s6) WORD(s7)
        "vmov r12, s9\n cmp r1, r12\n"
        "bne.w 2b\n"
        "vmov r12, s12\n"
        FLUSH(0, r4) FLUSH(1, r5) FLUSH(2, r6) FLUSH(3, r7)
        "vmov r12, s13\n"
        FLUSH(0, r8) FLUSH(1, r9) FLUSH(2, r10) FLUSH(3, r11)
        "b.w 1b\n"
        "3:\n"
        "vmov r0, s8\n"
        "pop {r4-r11, pc}\n"
        ".size eb_tdots_s8__armv7em_rows, . - eb_tdots_s8__armv7em_rows\n"
        ".popsection\n");
// clang-format on

// r0 x, r1 prefix, r2 end of x, r3 sum of the first pixel's inputs so far, r12 of the second's, lr ones.
#define SUM                                                                                                  \
    "ldmia r0!, {r4-r7}\n smlad r3, r4, lr, r3\n smlad r12, r5, lr, r12\n"                                   \
    "smlad r3, r6, lr, r3\n smlad r12, r7, lr, r12\n"

// clang-format off
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tdots_s8__armv7em_prefix, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tdots_s8__armv7em_prefix\n"
        ".hidden eb_tdots_s8__armv7em_prefix\n"
        ".type eb_tdots_s8__armv7em_prefix, %function\n"
        ".thumb_func\n"
        "eb_tdots_s8__armv7em_prefix:\n"
        "push {r4-r7, lr}\n"
        "movs r3, #0\n mov r12, #0\n mov lr, #0x10001\n"
        "1:\n"
        "strd r3, r12, [r1], #8\n"
        SUM SUM SUM SUM
        "cmp r0, r2\n"
        "bne 1b\n"
        "strd r3, r12, [r1]\n"
        "pop {r4-r7, pc}\n"
        ".size eb_tdots_s8__armv7em_prefix, . - eb_tdots_s8__armv7em_prefix\n"
        ".popsection\n");
// clang-format on

EB_TDOTS_S8_DECL(eb_tdots_s8__armv7em);

EB_TDOTS_S8_DECL(eb_tdots_s8__armv7em) {
    (void)cols;
    int32_t *second = acc + ((rows + 7) & ~7);
    eb_tdots_s8__armv7em_prefix(x, scratch, x + stride);
    for (int32_t r = 0; r < rows; r += 8) {
        w = eb_tdots_s8__armv7em_rows(w, x, acc + r, scratch, second + r);
    }
}

EB_KERNEL(tdots_s8, armv7em, smlad2);
