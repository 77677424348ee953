// SPDX-License-Identifier: Apache-2.0
// Requantisation of packed pixels in Thumb-2, for a file that includes it once and defines before:
//
//   EB_PIXELS_VARIANT: the variant's name, as in EB_KERNEL.
//
//   MULTIPLY(v), text: r4 = low half of `v` * r6 + r5, and v = its high half, rounded up by 0x8000, * r6 +
//   r5.
//
//   MULTIPLIER, text: makes of r6, whose low half is the factor, what MULTIPLY takes.
//
//   ADD_BLOCK, text: r4 += low half of r10, and r7 += its high half, rounded up by 0x8000; r10 is free then.
#include "requant_pixels/requant_pixels.h"

#include "tpixels_s8/tpixels_s8.h"

#define EB_PIXELS_PASTE(variant, suffix) eb_requant_pixels__##variant##suffix
#define EB_PIXELS_NAME(variant, suffix)  EB_PIXELS_PASTE(variant, suffix)
#define EB_PIXELS_KERNEL                 EB_PIXELS_NAME(EB_PIXELS_VARIANT, )
#define EB_PIXELS_ONE                    EB_PIXELS_NAME(EB_PIXELS_VARIANT, _one)
#define EB_PIXELS_BLOCKS                 EB_PIXELS_NAME(EB_PIXELS_VARIANT, _blocks)
#define EB_PIXELS_TEXT(name)             #name
#define EB_PIXELS_STRING(name)           EB_PIXELS_TEXT(name)
#define ONE                              EB_PIXELS_STRING(EB_PIXELS_ONE)
#define BLOCKS                           EB_PIXELS_STRING(EB_PIXELS_BLOCKS)

// Without pre-shift, to -128..127: one block of sums, or 1 + `more` of them, more >= 1.
void EB_PIXELS_ONE(const eb_requant_entry *entries, const uint32_t *acc, int8_t *y, int32_t rows,
                   int32_t step, int32_t apart);
void EB_PIXELS_BLOCKS(const eb_requant_entry *entries, const uint32_t *acc, int8_t *y, int32_t rows,
                      int32_t more, int32_t step, int32_t apart);

// clang-format off
#define BEGIN(name)                                                                                          \
    __asm__(".syntax unified\n"                                                                              \
            ".pushsection .text." name ", \"ax\", %progbits\n"                                               \
            ".p2align 2\n"                                                                                   \
            ".thumb\n"                                                                                       \
            ".global " name "\n"                                                                             \
            ".hidden " name "\n"                                                                             \
            ".type " name ", %function\n"                                                                    \
            ".thumb_func\n"                                                                                  \
            name ":\n"
#define END(name) ".size " name ", . - " name "\n.popsection\n");

// Two pixels from `v`, stored at the addresses low and high.
#define PAIR(v, low, high)                                                                                   \
    MULTIPLY(v)                                                                                              \
    "asrs r4, r3\n asr " #v ", " #v ", r3\n ssat r4, #8, r4\n ssat " #v ", #8, " #v "\n"                     \
    "strb r4, [" low "]\n strb " #v ", [" high "]\n"

// r0 acc, r1 entries, r2 y of pixel 0, r3 shift, r4 first pixel, r5 add, r6 mul, r7-r10 sums, r11 step, r12 y of
// pixel 1, lr 3 steps; on the stack the end of acc.
BEGIN(ONE)
        "push {r4-r11, lr}\n"
        "ldrd r11, r12, [sp, #36]\n"
        "sub sp, #4\n"
        "add r4, r1, r3, lsl #4\n str r4, [sp]\n"
        "add r12, r2\n add lr, r11, r11, lsl #1\n"
        "mov r4, r0\n mov r0, r1\n mov r1, r4\n"
        "1:\n"
        "ldrd r5, r6, [r1], #8\n asrs r3, r6, #16\n" MULTIPLIER
        "ldmia r0!, {r7-r10}\n"
        PAIR(r7, "r2", "r12") PAIR(r8, "r2, r11", "r12, r11")
        PAIR(r9, "r2, r11, lsl #1", "r12, r11, lsl #1") PAIR(r10, "r2, lr", "r12, lr")
        "ldr r4, [sp]\n adds r2, #1\n add r12, r12, #1\n"
        "cmp r0, r4\n"
        "bne 1b\n"
        "add sp, #4\n"
        "pop {r4-r11, pc}\n"
END(ONE)

// r0 acc, r1 entries, r2 y, r3 shift, r4 first pixel, r5 add, r6 mul, r7 second pixel, r8 apart, r9 bytes of a
// block, r10 a block's sum, r11 its distance from r0, r12 blocks left, lr end of the first block; on the stack `more`, the
// bytes of y from behind the last pair of pixels to the next row, and step.
BEGIN(BLOCKS)
        "push {r4-r11, lr}\n"
        "ldr r4, [sp, #36]\n ldr r6, [sp, #40]\n ldr r8, [sp, #44]\n"
        "sub sp, #12\n"
        "rsb r5, r6, #0\n lsl r5, r5, #2\n adds r5, #1\n strd r4, r5, [sp]\n str r6, [sp, #8]\n"
        "lsl r9, r3, #4\n add lr, r1, r9\n"
        "mov r4, r0\n mov r0, r1\n mov r1, r4\n"
        "1:\n"
        "ldrd r5, r6, [r1], #8\n asrs r3, r6, #16\n sxth r6, r6\n"
        "2:\n"
        "sub r11, r9, #4\n"
        "ldr r7, [r0], #4\n ldr r12, [sp]\n ldr r10, [r0, r11]\n"
        "sxth r4, r7\n add r7, r7, #0x8000\n asrs r7, r7, #16\n"
        "3:\n"
        ADD_BLOCK
        "subs r12, #1\n"
        "bne 4f\n"
        "mla r4, r4, r6, r5\n mla r7, r7, r6, r5\n"
        "asrs r4, r3\n asrs r7, r3\n ssat r4, #8, r4\n ssat r7, #8, r7\n"
        "strb r4, [r2]\n strb r7, [r2, r8]\n ldr r4, [sp, #8]\n add r2, r4\n"
        "lsls r4, r0, #28\n"
        "bne 2b\n"
        "ldr r4, [sp, #4]\n add r2, r2, r4\n"
        "cmp r0, lr\n"
        "bne 1b\n"
        "add sp, #12\n"
        "pop {r4-r11, pc}\n"
        "4:\n"
        "add r11, r11, r9\n ldr r10, [r0, r11]\n"
        "b 3b\n"
END(BLOCKS)
    // clang-format on

    EB_REQUANT_PIXELS_DECL(EB_PIXELS_KERNEL);

EB_REQUANT_PIXELS_DECL(EB_PIXELS_KERNEL) {
    if (params->pre_shift == 0 && params->qmin == -128 && params->qmax == 127) {
        if (blocks == 1) {
            EB_PIXELS_ONE(entries, acc, y, rows, step, apart);
        } else {
            EB_PIXELS_BLOCKS(entries, acc, y, rows, blocks - 1, step, apart);
        }
        return;
    }
    for (int32_t r = 0; r < rows; r++, acc += EB_PIXEL_PAIRS) {
        for (int32_t j = 0; j < EB_PIXEL_PAIRS; j++) {
            int32_t low = 0;
            int32_t high = 0;
            const uint32_t *word = acc + j;
            for (int32_t b = 0; b < blocks; b++, word += rows * EB_PIXEL_PAIRS) {
                low += eb_pixel_low(*word);
                high += eb_pixel_high(*word);
            }
            y[j * step + r] = eb_requant(low, params, &entries[r]);
            y[j * step + apart + r] = eb_requant(high, params, &entries[r]);
        }
    }
}
