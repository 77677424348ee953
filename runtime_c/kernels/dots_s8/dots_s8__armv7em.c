// SPDX-License-Identifier: Apache-2.0
// int8 weights by lanes of pixels for cores with the DSP extension and an FPU: two rows times four pixels,
// whose eight sums stay in registers until they are outputs.
//
// A word of a window is two inputs of four pixels, one LDM; it meets the weights of both rows in eight SMLAD,
// 16 products in 15 cycles (modelled, Cortex-M4, no wait states). Weights of the last sixteen words wait in
// s0-s31, those before on the stack (16 cycles): there is no core register for a pointer to them. The words'
// code is unrolled and entered where as many are left as the window has. A pixel pair of rows costs 79 cycles
// besides: its first word, which begins the sums with `half`, and requantisation.
//
// Layout s16p2: see dots_s8__ref.c. Bounds: see dots_s8.h. Other ranges than int8 are clamped afterwards.
#include "dots_s8/dots_s8.h"

_Static_assert(sizeof(void *) != 4 ||
                   (offsetof(eb_dots_job, y_lane) == 20 && offsetof(eb_dots_job, requant) == 32),
               "the assembly addresses these fields");

void eb_dots_s8_run__armv7em(const uint32_t *w, const eb_requant_entry *entries, const eb_dots_job *job);

// clang-format off
#define FOUR(a, b, c, d)                                                                                     \
    "smlad " a ", r1, r12, " a "\n smlad " b ", r2, r12, " b "\n smlad " c ", r3, r12, " c "\n smlad " d ", r4, r12, " d "\n"
#define EIGHT(next) FOUR("r5", "r6", "r7", "r8") next FOUR("r9", "r10", "r11", "lr")
// A word whose weights are at `at` and `at` + 4 of the frame (50 bytes of code), or in two FPU registers (42).
#define FRAMED(at, second)                                                                                   \
    "ldr.w r12, [sp, #" #at "]\n ldr.n r2, [r0, #4]\n ldr.n r3, [r0, #8]\n ldr.n r4, [r0, #12]\n ldr.w r1, [r0], #16\n" \
    EIGHT("ldr.w r12, [sp, #" #second "]\n")
#define WORD(s, t) "ldmia.n r0!, {r1-r4}\n vmov r12, s" #s "\n" EIGHT("vmov r12, s" #t "\n")
#define VALUES(op, a, b, c, d) op(a) op(b) op(c) op(d)
#define PRE(v) "asr.w " v ", " v ", r4\n"
#define MUL(v) "mla " v ", " v ", r1, r2\n"
#define SHIFT(v) "asr.w " v ", " v ", r3\n"
#define CLAMP(v) "ssat " v ", #8, " v "\n"
#define FINISH(a, b, c, d) VALUES(MUL, a, b, c, d) VALUES(SHIFT, a, b, c, d) VALUES(CLAMP, a, b, c, d)

// r0 x, r1-r4 inputs, r12 weights, r5-r8 sums of the first row, r9-r11 lr of the second.
// Frame: 0 weights of words, 128 those of the first word, 136 half, 140 where words begin, 144 mul add shift of both
// rows, 168 y, 172 y_lane, 176 to the next pixel, 180 to the next window, 184 end of x, 188 x, 192 pre_shift, 196 job,
// 200 entries, 204 w, 208 row, 212 rows, 216 words in the frame.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_dots_s8_run__armv7em, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_dots_s8_run__armv7em\n"
        ".hidden eb_dots_s8_run__armv7em\n"
        ".type eb_dots_s8_run__armv7em, %function\n"
        ".thumb_func\n"
        "eb_dots_s8_run__armv7em:\n"
        "push {r4-r11, lr}\n"
        "vpush {s16-s31}\n"
        "sub sp, #220\n"
        "str r2, [sp, #196]\n str r1, [sp, #200]\n str r0, [sp, #204]\n"
        "movs r3, #0\n str r3, [sp, #208]\n str r3, [sp, #216]\n"
        "ldr r3, [r2, #24]\n str r3, [sp, #212]\n"
        "ldr r4, [r2]\n ldr r5, [r2, #8]\n ldr r6, [r2, #12]\n ldr r8, [r2, #28]\n"
        "lsls r7, r6, #2\n mla r7, r5, r7, r4\n sub r9, r6, r8, lsl #2\n lsl r9, r9, #2\n"
        "str r4, [sp, #188]\n str r7, [sp, #184]\n str r9, [sp, #180]\n"
        "ldr r10, [r2, #16]\n ldr r11, [r2, #20]\n sub r10, r10, r11\n str r11, [sp, #172]\n str r10, [sp, #176]\n"
        "ldr r3, [r2, #32]\n ldr r4, [r2, #36]\n str r3, [sp, #136]\n str r4, [sp, #192]\n"
        "subs r8, #1\n adr.w r3, .Leb_dots_end\n cmp r8, #16\n ble 1f\n"
        "sub r8, #16\n str r8, [sp, #216]\n adr.w r3, .Leb_dots_fpu\n movs r4, #50\n b 2f\n"
        "1:\n movs r4, #42\n"
        "2:\n mls r3, r4, r8, r3\n str r3, [sp, #140]\n"
        /* two rows */
        "3:\n"
        "ldr r0, [sp, #204]\n ldr r5, [sp, #216]\n ldrd r3, r4, [r0], #8\n strd r3, r4, [sp, #128]\n"
        "add r6, sp, #128\n sub r6, r6, r5, lsl #3\n cbz r5, 5f\n"
        "4:\n ldrd r3, r4, [r0], #8\n strd r3, r4, [r6], #8\n subs r5, #1\n bne 4b\n"
        "5:\n vldm r0!, {s0-s31}\n str r0, [sp, #204]\n"
        "ldr r1, [sp, #208]\n ldr r2, [sp, #200]\n add r2, r2, r1, lsl #3\n"
        "ldrd r3, r4, [r2]\n ldrd r5, r6, [r2, #8]\n"
        "sxth r7, r4\n asrs r4, r4, #16\n sxth r8, r6\n asrs r6, r6, #16\n"
        "strd r7, r3, [sp, #144]\n strd r4, r8, [sp, #152]\n strd r5, r6, [sp, #160]\n"
        "ldr r3, [sp, #196]\n ldr r4, [r3, #4]\n add r4, r4, r1\n str r4, [sp, #168]\n"
        "ldr r0, [sp, #188]\n"
        /* four pixels */
        "6:\n"
        "ldr lr, [sp, #136]\n ldr r12, [sp, #128]\n ldmia.n r0!, {r1-r4}\n"
        "smlad r5, r1, r12, lr\n smlad r6, r2, r12, lr\n smlad r7, r3, r12, lr\n smlad r8, r4, r12, lr\n"
        "ldr r12, [sp, #132]\n"
        "smlad r9, r1, r12, lr\n smlad r10, r2, r12, lr\n smlad r11, r3, r12, lr\n smlad lr, r4, r12, lr\n"
        "ldr r12, [sp, #140]\n mov pc, r12\n"
        ".p2align 2\n"
        FRAMED(0, 4) FRAMED(8, 12) FRAMED(16, 20) FRAMED(24, 28) FRAMED(32, 36) FRAMED(40, 44) FRAMED(48, 52)
        FRAMED(56, 60) FRAMED(64, 68) FRAMED(72, 76) FRAMED(80, 84) FRAMED(88, 92) FRAMED(96, 100) FRAMED(104, 108)
        FRAMED(112, 116) FRAMED(120, 124)
        ".Leb_dots_fpu:\n"
        WORD(0, 1) WORD(2, 3) WORD(4, 5) WORD(6, 7) WORD(8, 9) WORD(10, 11) WORD(12, 13) WORD(14, 15)
        WORD(16, 17) WORD(18, 19) WORD(20, 21) WORD(22, 23) WORD(24, 25) WORD(26, 27) WORD(28, 29) WORD(30, 31)
        ".Leb_dots_end:\n"
        "ldr r1, [sp, #144]\n ldr r2, [sp, #148]\n ldr r3, [sp, #152]\n ldr r4, [sp, #192]\n cbz r4, 7f\n"
        VALUES(PRE, "r5", "r6", "r7", "r8") VALUES(PRE, "r9", "r10", "r11", "lr")
        "7:\n"
        FINISH("r5", "r6", "r7", "r8")
        "ldr r1, [sp, #156]\n ldr r2, [sp, #160]\n ldr r3, [sp, #164]\n"
        FINISH("r9", "r10", "r11", "lr")
        "bfi r5, r9, #8, #8\n bfi r6, r10, #8, #8\n bfi r7, r11, #8, #8\n bfi r8, lr, #8, #8\n"
        "ldr r1, [sp, #168]\n ldr r2, [sp, #172]\n ldr r3, [sp, #176]\n ldr r4, [sp, #180]\n ldr r12, [sp, #184]\n"
        "strh r5, [r1]\n strh r6, [r1, r2]\n strh r7, [r1, r2, lsl #1]\n add r1, r1, r2\n strh r8, [r1, r2, lsl #1]\n"
        "add r1, r1, r3\n str r1, [sp, #168]\n add r0, r0, r4\n cmp r0, r12\n bne.w 6b\n"
        "ldr r1, [sp, #208]\n ldr r2, [sp, #212]\n adds r1, #2\n cmp r1, r2\n bge 8f\n"
        "subs r2, #2\n cmp r1, r2\n it gt\n movgt r1, r2\n str r1, [sp, #208]\n b.w 3b\n"
        "8:\n"
        "add sp, #220\n"
        "vpop {s16-s31}\n"
        "pop {r4-r11, pc}\n"
        ".size eb_dots_s8_run__armv7em, . - eb_dots_s8_run__armv7em\n"
        ".popsection\n");
// clang-format on

EB_DOTS_S8_DECL(eb_dots_s8__armv7em);

EB_DOTS_S8_DECL(eb_dots_s8__armv7em) {
    eb_dots_s8_run__armv7em(w, entries, job);
    if (job->requant.qmin == -128 && job->requant.qmax == 127) {
        return;
    }
    for (int32_t q = 0; q < EB_DOTS_LANES; q++) {
        for (int32_t u = 0; u < job->pixels; u++) {
            int8_t *y = job->y + q * job->y_lane + u * job->y_pixel;
            for (int32_t r = 0; r < job->rows; r++) {
                y[r] = (int8_t)eb_clamp_s32(y[r], job->requant.qmin, job->requant.qmax);
            }
        }
    }
}

EB_KERNEL(dots_s8, armv7em, s16p2);
