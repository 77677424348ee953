// SPDX-License-Identifier: Apache-2.0
// int8 x int8 products for Armv6-M (Thumb-1), four rows at once, two of them in one multiplication.
//
// With weights and inputs shifted to 0..255, u = w + 128 and v = x + 128, a word of two weights times an
// input is two products of 16 bits each, which do not touch: P = u0 v + 65536 u2 v. Both sums come from two
// additions: T = sum of P modulo 2^32 and H = sum of P >> 16, for sum(u2 v) = H and sum(u0 v) = T - 65536 H.
// Then sum(w x) = sum(u v) - 128 sum(v) - 128 sum(w). A word of layout "s8c4" holds one column of 4 rows.
//
// Bounds: a product is at most 255 * 255 < 2^16. sum(u v) < 2^32 for every cols the layout allows (65536),
// and
//   all else is modulo 2^32.
// Scratch: the shifted inputs, cols rounded up to a multiple of 8 bytes.
// Cost (modelled cycles, Cortex-M0+, no wait states): 4.0 a weight, 4 a column, 60 per 4 rows.
#include "matvec_s8/matvec_s8.h"

enum { COLUMNS = 8, COLUMN_CODE = 28 }; // unrolled, and bytes of code of one

// What the assembly needs; it knows the offsets.
typedef struct {
    const int8_t *w;  // of the current block of 4 rows
    const uint8_t *x; // shifted inputs
    const uint8_t *end;
    int32_t *acc;
    uint32_t skip;   // columns that the first pass of the unrolled loop leaves out
    uint32_t enter;  // their code in bytes
    int32_t start;   // -128 * sum of the shifted inputs
    uint32_t blocks; // >= 1
} s8c4_job;

_Static_assert(sizeof(s8c4_job) == 32, "the assembly below addresses these fields by offset");

void eb_matvec_s8__armv6m_rows(s8c4_job *job);

// Writes words >= 1 words of inputs + 128; returns the sums of the even and of the odd bytes in its halves.
uint32_t eb_matvec_s8__armv6m_shift(const int8_t *x, uint32_t *shifted, uint32_t words);

// clang-format off
__asm__(".syntax unified\n"
        ".pushsection .text.eb_matvec_s8__armv6m_shift, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_matvec_s8__armv6m_shift\n"
        ".hidden eb_matvec_s8__armv6m_shift\n"
        ".type eb_matvec_s8__armv6m_shift, %function\n"
        ".thumb_func\n"
        "eb_matvec_s8__armv6m_shift:\n"
        "push {r4-r7, lr}\n"
        "ldr r4, 2f\n ldr r5, 3f\n movs r6, #0\n"
        "1:\n"
        "ldmia r0!, {r3}\n eors r3, r4\n stmia r1!, {r3}\n"
        "movs r7, r5\n ands r7, r3\n adds r6, r6, r7\n lsrs r3, r3, #8\n ands r3, r5\n adds r6, r6, r3\n"
        "subs r2, #1\n bne 1b\n"
        "movs r0, r6\n"
        "pop {r4-r7, pc}\n"
        ".p2align 2\n"
        "2: .word 0x80808080\n"
        "3: .word 0x00FF00FF\n"
        ".size eb_matvec_s8__armv6m_shift, . - eb_matvec_s8__armv6m_shift\n"
        ".popsection\n");

// r0 x, r1 w, r2 input, r3 mask, r4 r5 weights then products, r6 end of x, r8 T of rows 0 and 2, r9 their H, r10
// T of rows 1 and 3, r11 their H, lr job.
#define COLUMN(i)                                                                                            \
    "ldmia r1!, {r4}\n ldrb r2, [r0, #" #i "]\n"                                                             \
    "movs r5, r3\n ands r5, r4\n lsrs r4, r4, #8\n ands r4, r3\n muls r5, r2, r5\n muls r4, r2, r4\n"        \
    "add r8, r5\n lsrs r5, r5, #16\n add r9, r5\n add r10, r4\n lsrs r4, r4, #16\n add r11, r4\n"

__asm__(".syntax unified\n"
        ".pushsection .text.eb_matvec_s8__armv6m_rows, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_matvec_s8__armv6m_rows\n"
        ".hidden eb_matvec_s8__armv6m_rows\n"
        ".type eb_matvec_s8__armv6m_rows, %function\n"
        ".thumb_func\n"
        "eb_matvec_s8__armv6m_rows:\n"
        "push {r4-r7, lr}\n"
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
        "push {r4-r7}\n"
        "mov lr, r0\n"
        "1:\n"
        "mov r7, lr\n"
        "ldr r1, [r7, #0]\n ldr r0, [r7, #4]\n ldr r6, [r7, #8]\n"
        "ldr r4, [r7, #16]\n subs r0, r0, r4\n"
        "movs r3, #0\n mov r8, r3\n mov r9, r3\n mov r10, r3\n mov r11, r3\n"
        "ldr r3, 4f\n"
        "ldr r4, [r7, #20]\n"
        "add pc, r4\n"
        "nop\n"
        "2:\n"
        COLUMN(0) COLUMN(1) COLUMN(2) COLUMN(3) COLUMN(4) COLUMN(5) COLUMN(6) COLUMN(7)
        "adds r0, #8\n cmp r0, r6\n bne 2b\n"
        // r1 is at what the rows start at
        "mov r3, lr\n"
        "ldr r2, [r3, #24]\n"
        "ldmia r1!, {r4-r7}\n"
        "str r1, [r3, #0]\n"
        "adds r4, r4, r2\n adds r5, r5, r2\n adds r6, r6, r2\n adds r7, r7, r2\n"
        "add r4, r8\n add r6, r9\n mov r0, r9\n lsls r0, r0, #16\n subs r4, r4, r0\n"
        "add r5, r10\n add r7, r11\n mov r0, r11\n lsls r0, r0, #16\n subs r5, r5, r0\n"
        "ldr r2, [r3, #12]\n stmia r2!, {r4-r7}\n str r2, [r3, #12]\n"
        "ldr r2, [r3, #28]\n subs r2, #1\n str r2, [r3, #28]\n"
        "beq 3f\n b 1b\n"
        "3:\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n"
        "pop {r4-r7, pc}\n"
        ".p2align 2\n"
        "4: .word 0x00FF00FF\n"
        ".size eb_matvec_s8__armv6m_rows, . - eb_matvec_s8__armv6m_rows\n"
        ".popsection\n");
// clang-format on

// Writes x + 128 to `shifted` and returns the sum of it over [cols].
static int32_t shift_inputs(const int8_t *x, uint32_t *shifted, int32_t cols) {
    uint32_t total = 0;
    uint32_t words = (uint32_t)cols >> 2;
    while (words != 0) {
        uint32_t n = words < 128 ? words : 128; // 128 words of 255 stay below 2^16
        uint32_t sums = eb_matvec_s8__armv6m_shift(x, shifted, n);
        total += (sums & 0xFFFF) + (sums >> 16);
        x += 4 * n;
        shifted += n;
        words -= n;
    }
    uint8_t *last = (uint8_t *)shifted;
    for (uint32_t k = (uint32_t)cols & 3; k != 0; k--) {
        uint8_t v = (uint8_t)(*x++ ^ 0x80);
        *last++ = v;
        total += v;
    }
    return (int32_t)total;
}

EB_MATVEC_S8_DECL(eb_matvec_s8__armv6m);

EB_MATVEC_S8_DECL(eb_matvec_s8__armv6m) {
    const uint8_t *shifted = scratch;
    uint32_t skip = (0u - (uint32_t)cols) & (COLUMNS - 1);
    s8c4_job job = {.w = w,
                    .x = shifted,
                    .end = shifted + cols,
                    .acc = acc,
                    .skip = skip,
                    .enter = COLUMN_CODE * skip,
                    .start = -128 * shift_inputs(x, scratch, cols),
                    .blocks = ((uint32_t)rows + 3) >> 2};
    eb_matvec_s8__armv6m_rows(&job);
}

EB_KERNEL(matvec_s8, armv6m, s8c4);
