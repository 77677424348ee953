// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products for cores with the DSP extension (Cortex-M4, M7, M33), two rows at once.
//
// One word (layout "smlad2") holds 8 rows x 2 columns. Rotated right by 4i and masked with 0xC003C003, each
// of its halves is u + 2^14 * d: u = trit + 1 of row i in bits 0 and 1, d = the trit of row 4 + i as a two's
// complement number in bits 14 and 15. One SMLAD with two inputs therefore does 4 multiply-accumulates, and
// leaves U + 2^14 * D with U = sum(u x) = T + X, T = sum(t x), X = sum(x). Accumulators start at -X, so that
// after a block of columns T is the signed low 14 bits and D what remains.
//
// Bounds, proven by the packer for every block of columns it makes:
//   at most 63 nonzero trits in rows 0..3:   |T| <= 63 * 128 = 8064 < 2^13
//   at most 1023 nonzero trits in rows 4..7: |T + 2^14 D| <= 8064 + 2^14 * 1023 * 128 < 2^31
//   Sums over blocks: |acc| <= 128 * nonzero trits < 2^31. |X| <= 128 * 32768.
//   Sums on the way to these wrap modulo 2^32, which SMLAD allows (it sets the Q flag, no more).
// Cost (modelled cycles, Cortex-M4, no wait states): 0.71 per weight, 65 per 8 rows and block of columns, 7
//   per column. In all, per weight, half of them 0: 0.82 at 128 x 640 (0.90 when none is 0), 0.79 at
//   1024 x 1024, 1.9 at 16 x 27. The reference takes 17.
// Scratch: int32 sums of x over the first 0, 16, 32 ... columns: 4 * (ceil(cols / 16) + 1) bytes, rounded up
// to a multiple of 8.
#include <arm_acle.h>

#include "tmatvec_s8/tmatvec_s8.h"

// One block of 8 rows. w: its bytes; acc: 8 accumulators, added to. Returns the end of the block's bytes.
const uint8_t *eb_tmatvec_s8__armv7em_rows(const uint8_t *w, const int8_t *x, int32_t *acc,
                                           const int32_t *prefix);

// 4 columns: words (0, 2) and (1, 3). r0 words, r1 x, r4-r7 accumulators, r3 r12 rotated words, lr mask.
#define QUAD_HALF(word, in)                                                                                  \
    "and r12, lr, " #word "\n and r3, lr, " #word ", ror #4\n"                                               \
    "smlad r4, r12, " #in ", r4\n smlad r5, r3, " #in ", r5\n"                                               \
    "and r12, lr, " #word ", ror #8\n and r3, lr, " #word ", ror #12\n"                                      \
    "smlad r6, r12, " #in ", r6\n smlad r7, r3, " #in ", r7\n"
#define QUAD                                                                                                 \
    "ldr r10, [r1], #4\n ldr r8, [r0], #4\n ldr r9, [r0], #4\n"                                              \
    "sxtb16 r11, r10, ror #8\n sxtb16 r10, r10\n" QUAD_HALF(r8, r10) QUAD_HALF(r9, r11)
// Rows i and 4 + i of the finished block; r2 acc.
#define FLUSH(i, a)                                                                                          \
    "ldr r8, [r2, #(4 * " #i ")]\n ldr r9, [r2, #(16 + 4 * " #i ")]\n sbfx r3, " #a ", #0, #14\n"            \
    "sub " #a ", " #a ", r3\n add r8, r8, r3\n add r9, r9, " #a ", asr #14\n"                                \
    "str r8, [r2, #(4 * " #i ")]\n str r9, [r2, #(16 + 4 * " #i ")]\n"

// clang-format off
// Stack: 0 the counts of 16 columns per block, 4 acc, 8 prefix.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tmatvec_s8__armv7em_rows, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tmatvec_s8__armv7em_rows\n"
        ".hidden eb_tmatvec_s8__armv7em_rows\n"
        ".type eb_tmatvec_s8__armv7em_rows, %function\n"
        ".thumb_func\n"
        "eb_tmatvec_s8__armv7em_rows:\n"
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "strd r0, r2, [sp]\n str r3, [sp, #8]\n"
        "ldrb r3, [r0]\n add r0, r0, r3, lsl #2\n"
        "movw lr, #0xC003\n movt lr, #0xC003\n"
        "1:\n"
        "ldr r8, [sp, #8]\n ldr r9, [sp]\n"
        "ldrb r2, [r9, #1]!\n"
        "cmp r2, #0\n beq.w 3f\n"
        "str r9, [sp]\n"
        "ldr r4, [r8]\n add r8, r8, r2, lsl #2\n ldr r5, [r8]\n str r8, [sp, #8]\n"
        "subs r4, r4, r5\n mov r5, r4\n mov r6, r4\n mov r7, r4\n"
        "2:\n"
        QUAD QUAD QUAD QUAD
        "subs r2, #1\n"
        "bne.w 2b\n"
        "ldr r2, [sp, #4]\n"
        FLUSH(0, r4) FLUSH(1, r5) FLUSH(2, r6) FLUSH(3, r7)
        "b.w 1b\n"
        "3:\n"
        "add sp, #12\n"
        "pop {r4-r11, pc}\n"
        ".size eb_tmatvec_s8__armv7em_rows, . - eb_tmatvec_s8__armv7em_rows\n"
        ".popsection\n");
// clang-format on

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv7em);

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__armv7em) {
    int32_t *prefix = (int32_t *)scratch;
    int32_t steps = (cols + 15) >> 4;
    int32_t sum = 0;
    prefix[0] = 0;
    for (int32_t s = 0; s < steps; s++) {
        for (int32_t k = 0; k < 16; k += 4) {
            int8x4_t four; // columns k and k + 2 are extended at once, then k + 1 and k + 3
            __builtin_memcpy(&four, x + 16 * s + k, 4);
            sum = __smlad(__sxtb16(four), 0x00010001, sum);
            sum = __smlad(__sxtb16(four >> 8), 0x00010001, sum);
        }
        prefix[s + 1] = sum;
    }
    for (int32_t r = 0; r < rows; r += 8) {
        for (int32_t i = 0; i < 8; i++) {
            acc[i] = 0;
        }
        w = eb_tmatvec_s8__armv7em_rows(w, x, acc, prefix);
        acc += 8;
    }
}

EB_KERNEL(tmatvec_s8, armv7em, smlad2);
