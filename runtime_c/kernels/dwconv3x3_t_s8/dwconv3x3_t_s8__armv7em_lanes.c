// SPDX-License-Identifier: Apache-2.0
// Bands of a 3 x 3 depthwise convolution with ternary weights for cores with the DSP extension: six output
// rows, rows i and i + 3 in the halves of a word, which SADD16 and SSUB16 keep apart.
//
// Four channels are packed at a time. The plane holds a record for each column of the window, for each
// channel 5 words of inputs (7 at stride 2): rows j (low) and j + 3 stride (high). Behind the records are the
// sums of one channel, three words an output column. For each of the 27 ways in which three trits can stand
// in a kernel column there is a piece of code for each place that the column can have in a window:
//   R  adds the column's words to the sums of the window that it completes, and stores them
//   M  makes the sums of the window that it is the middle of from those that L left
//   L  begins the sums of the next window
// so that a record is read once. Pieces jump to one another. The plane takes 92 * columns - 12 bytes at
// stride 1, 118 * columns - 6 at stride 2.
//
// Layout dwcols4: for channel c and kernel column k one byte, twice the number 9 t0 + 3 t1 + t2 + 13 of its
// trits; at least four channels, the last four of which are computed together. Bounds: |sum| <= 9 * 128 <
// 2^15. Cost (modelled cycles, Cortex-M4, no wait states): of an output at stride 1 about 3 to pack, 6 to
// add and 5 to requantise. With a pre-shift, which sums this small hardly ever get, plain C.
#include "dwconv3x3_t_s8/dwconv3x3_t_s8.h"

#include "dwconv3x3_s8/any.h"
#include "dwconv3x3_t_s8/dwcols.h"

_Static_assert(sizeof(void *) != 4 ||
                   (offsetof(eb_dwconv3x3_job, plane) == 36 && offsetof(eb_dwconv3x3_job, row) == 72),
               "the assembly addresses these fields");

void eb_dwconv3x3_t_s8__armv7em_lanes_one(const void *w, const eb_requant_entry *entries,
                                          const eb_dwconv3x3_job *job);
void eb_dwconv3x3_t_s8__armv7em_lanes_two(const void *w, const eb_requant_entry *entries,
                                          const eb_dwconv3x3_job *job);

// clang-format off
// A trit (m: -1, z: 0, p: +1) times x, added to d in place, and added to s with the result in d.
#define T_m(d, x) "ssub16 " d ", " d ", " x "\n"
#define T_z(d, x)
#define T_p(d, x) "sadd16 " d ", " d ", " x "\n"
#define F_m(d, s, x) "ssub16 " d ", " s ", " x "\n"
#define F_p(d, s, x) "sadd16 " d ", " s ", " x "\n"
#define COPY(d, x) "mov " d ", " x "\n"
#define MINUS(d, x) "mov " d ", #0\n" T_m(d, x)

// R: d += a x + b y + c z.
#define R_SUM(d, s, x, y, z, a, b, c) T_##a(d, x) T_##b(d, y) T_##c(d, z)
// M: d = s + a x + b y + c z.
#define M_SUM(d, s, x, y, z, a, b, c) M_##a(d, s, x, y, z, b, c)
#define M_m(d, s, x, y, z, b, c) F_m(d, s, x) T_##b(d, y) T_##c(d, z)
#define M_p(d, s, x, y, z, b, c) F_p(d, s, x) T_##b(d, y) T_##c(d, z)
#define M_z(d, s, x, y, z, b, c) MZ_##b(d, s, y, z, c)
#define MZ_m(d, s, y, z, c) F_m(d, s, y) T_##c(d, z)
#define MZ_p(d, s, y, z, c) F_p(d, s, y) T_##c(d, z)
#define MZ_z(d, s, y, z, c) MZZ_##c(d, s, z)
#define MZZ_m(d, s, z) F_m(d, s, z)
#define MZZ_p(d, s, z) F_p(d, s, z)
#define MZZ_z(d, s, z) COPY(d, s)
// L: d = a x + b y + c z. P_c: d = u + c v. N_c: d = c v - u.
#define P_m(d, u, v) F_m(d, u, v)
#define P_z(d, u, v) COPY(d, u)
#define P_p(d, u, v) F_p(d, u, v)
#define N_m(d, u, v) MINUS(d, u) T_m(d, v)
#define N_z(d, u, v) MINUS(d, u)
#define N_p(d, u, v) F_m(d, v, u)
#define L_SUM(d, s, x, y, z, a, b, c) L_##a(d, x, y, z, b, c)
#define L_p(d, x, y, z, b, c) LP_##b(d, x, y, z, c)
#define LP_p(d, x, y, z, c) F_p(d, x, y) T_##c(d, z)
#define LP_m(d, x, y, z, c) F_m(d, x, y) T_##c(d, z)
#define LP_z(d, x, y, z, c) P_##c(d, x, z)
#define L_z(d, x, y, z, b, c) LZ_##b(d, y, z, c)
#define LZ_p(d, y, z, c) P_##c(d, y, z)
#define LZ_m(d, y, z, c) N_##c(d, y, z)
#define LZ_z(d, y, z, c) LZZ_##c(d, z)
#define LZZ_p(d, z) COPY(d, z)
#define LZZ_m(d, z) MINUS(d, z)
#define LZZ_z(d, z) "mov " d ", #0\n"
#define L_m(d, x, y, z, b, c) LM_##b(d, x, y, z, c)
#define LM_p(d, x, y, z, c) F_m(d, y, x) T_##c(d, z)
#define LM_z(d, x, y, z, c) N_##c(d, x, z)
#define LM_m(d, x, y, z, c) N_##c(d, x, z) T_m(d, y)

// Stride 1. r0 next record, r1-r5 inputs, r6-r8 sums that L began, r9-r11 those of the window before, r12 where sums
// go, lr piece R, s0 end of the records, s1 piece M, s2 piece L.
#define R_SUMS_1(a, b, c)                                                                                    \
    R_SUM("r9", , "r1", "r2", "r3", a, b, c) R_SUM("r10", , "r2", "r3", "r4", a, b, c)                       \
    R_SUM("r11", , "r3", "r4", "r5", a, b, c)                                                                \
    "str r9, [r12], #4\n str r10, [r12], #4\n str r11, [r12], #4\n vmov r9, s1\n mov pc, r9\n"
#define M_SUMS_1(a, b, c)                                                                                    \
    M_SUM("r9", "r6", "r1", "r2", "r3", a, b, c) M_SUM("r10", "r7", "r2", "r3", "r4", a, b, c)               \
    M_SUM("r11", "r8", "r3", "r4", "r5", a, b, c) "vmov r6, s2\n mov pc, r6\n"
#define L_SUMS_1(a, b, c)                                                                                    \
    L_SUM("r6", , "r1", "r2", "r3", a, b, c) L_SUM("r7", , "r2", "r3", "r4", a, b, c)                        \
    L_SUM("r8", , "r3", "r4", "r5", a, b, c)                                                                 \
    "vmov r1, s0\n cmp r0, r1\n beq.w .Leb_dwl1_sums\n ldm r0, {r1-r5}\n adds r0, #80\n mov pc, lr\n"
#define START_1                                                                                              \
    "vmov s1, r4\n vmov s2, r3\n mov lr, r5\n mov r6, r3\n ldm r0, {r1-r5}\n adds r0, #80\n mov pc, r6\n"

// Stride 2. r0 next record, r1-r7 inputs, r8-r10 sums, r11 piece M, r12 where sums go, lr piece R, s0 end of the
// records, s1 piece L. L and R see the same record.
#define R_SUMS_2(a, b, c)                                                                                    \
    R_SUM("r8", , "r1", "r2", "r3", a, b, c) R_SUM("r9", , "r3", "r4", "r5", a, b, c)                        \
    R_SUM("r10", , "r5", "r6", "r7", a, b, c)                                                                \
    "str r8, [r12], #4\n str r9, [r12], #4\n str r10, [r12], #4\n"                                           \
    "vmov r9, s0\n cmp r0, r9\n beq.w .Leb_dwl2_sums\n vmov r8, s1\n mov pc, r8\n"
#define M_SUMS_2(a, b, c)                                                                                    \
    R_SUM("r8", , "r1", "r2", "r3", a, b, c) R_SUM("r9", , "r3", "r4", "r5", a, b, c)                        \
    R_SUM("r10", , "r5", "r6", "r7", a, b, c)                                                                \
    "ldm r0, {r1-r7}\n adds r0, #112\n mov pc, lr\n"
#define L_SUMS_2(a, b, c)                                                                                    \
    L_SUM("r8", , "r1", "r2", "r3", a, b, c) L_SUM("r9", , "r3", "r4", "r5", a, b, c)                        \
    L_SUM("r10", , "r5", "r6", "r7", a, b, c)                                                                \
    "ldm r0, {r1-r7}\n adds r0, #112\n mov pc, r11\n"
#define START_2                                                                                              \
    "vmov s1, r3\n mov r11, r4\n mov lr, r5\n mov r8, r3\n ldm r0, {r1-r7}\n adds r0, #112\n mov pc, r8\n"

#define PIECE(S, P, a, b, c) ".Leb_dwl" #S #P #a #b #c ":\n" P##_SUMS_##S(a, b, c)
#define WHERE(S, P, a, b, c) ".hword .Leb_dwl" #S #P #a #b #c " - .Leb_dwl" #S "\n"
#define EACH_C(WHAT, S, P, a, b) WHAT(S, P, a, b, m) WHAT(S, P, a, b, z) WHAT(S, P, a, b, p)
#define EACH_B(WHAT, S, P, a) EACH_C(WHAT, S, P, a, m) EACH_C(WHAT, S, P, a, z) EACH_C(WHAT, S, P, a, p)
#define EACH(WHAT, S, P) EACH_B(WHAT, S, P, m) EACH_B(WHAT, S, P, z) EACH_B(WHAT, S, P, p)

// Two rows of a column, four channels each in registers x and y: words `next`, 2 `next` and 3 `next` bytes apart.
#define PACK(x, y, next, next2, next3, record)                                                               \
    "pkhbt r6, " x ", " y ", lsl #16\n pkhtb r7, " y ", " x ", asr #16\n"                                     \
    "sxtb16 r8, r6\n sxtb16 r6, r6, ror #8\n sxtb16 r9, r7\n sxtb16 r7, r7, ror #8\n"                       \
    "str r6, [r12, #" next "]\n str r9, [r12, #" next2 "]\n str r7, [r12, #" next3 "]\n str r8, [r12], #" record "\n"

// Sums of a column to outputs; the shift is in r10, or a literal, which saves an instruction an output.
#define VALUE(v) "asr " v ", " v ", r10\n ssat " v ", #8, " v "\n"
#define VALUE_BY(N, v) "ssat " v ", #8, " v ", asr #" #N "\n"
#define PRODUCTS                                                                                             \
    "ldm r0!, {r4-r6}\n"                                                                                     \
    "smlabb r7, r4, r1, r3\n smlatb r4, r4, r1, r3\n smlabb r8, r5, r1, r3\n smlatb r5, r5, r1, r3\n"        \
    "smlabb r9, r6, r1, r3\n smlatb r6, r6, r1, r3\n"
#define STORES                                                                                               \
    "strb r7, [r2]\n strb r8, [r2, r11]\n strb r9, [r2, r11, lsl #1]\n"                                      \
    "strb r4, [r12]\n strb r5, [r12, r11]\n strb r6, [r12, r11, lsl #1]\n add r2, r2, lr\n add r12, r12, lr\n"
#define LOOP(S, N)                                                                                           \
    ".Leb_dwl" #S "_by" #N ":\n" PRODUCTS                                                                    \
    VALUE_BY(N, "r7") VALUE_BY(N, "r4") VALUE_BY(N, "r8") VALUE_BY(N, "r5") VALUE_BY(N, "r9") VALUE_BY(N, "r6") \
    STORES "cmp r0, r10\n bne .Leb_dwl" #S "_by" #N "\n b.w .Leb_dwl" #S "_next\n"
#define PLACE(S, N) ".hword (.Leb_dwl" #S "_by" #N " - .Leb_dwl" #S "_shifts) / 2\n"
// The shifts of layers whose sums keep their size, more or less.
#define SHIFTS(WHAT, S)                                                                                      \
    WHAT(S, 12) WHAT(S, 13) WHAT(S, 14) WHAT(S, 15) WHAT(S, 16) WHAT(S, 17) WHAT(S, 18) WHAT(S, 19)

// Stack: 0 job, 4 w, 8 entries, 12 first channel of the four, 16 channel of them, 20 columns in the image, 24 end of
// the pairs of rows, 28 bytes of records, 32 sums of the first output column, 36 rows, 40 first record.
#define BAND(name, S, words, next, next2, next3, record, high)                                               \
    __asm__(".syntax unified\n"                                                                              \
        ".pushsection .text." name ", \"ax\", %progbits\n"                                                   \
        ".p2align 2\n .thumb\n .global " name "\n .hidden " name "\n .type " name ", %function\n .thumb_func\n" \
        name ":\n"                                                                                           \
        "push {r4-r11, lr}\n"                                                                                \
        "sub sp, #44\n str r2, [sp]\n str r0, [sp, #4]\n str r1, [sp, #8]\n"                           \
        "movs r0, #0\n ldr r3, [r2, #20]\n str r0, [sp, #12]\n str r3, [sp, #20]\n"                          \
        "ldr r0, [r2, #12]\n movs r1, #" record "\n muls r0, r1, r0\n ldr r3, [r2, #36]\n str r0, [sp, #28]\n" \
        "add r0, r0, r3\n str r0, [sp, #32]\n"                                                               \
        /* pairs of rows. r0 r1 rows, r2 r3 their steps, r4 r5 r10 r11 inputs of two columns, r6-r9 packed, r12 to, lr \
           columns left */                                                                                   \
        "1:\n"                                                                                               \
        "ldr r10, [sp]\n ldr r11, [r10, #36]\n ldr r0, [r10, #16]\n movs r1, #" record "\n mla r11, r0, r1, r11\n" \
        "add r0, r11, #" next "\n str r0, [sp, #24]\n add r10, r10, #72\n"                                   \
        "2:\n"                                                                                               \
        "ldrd r0, r2, [r10]\n ldrd r1, r3, [r10, #" high "]\n add r10, r10, #8\n"                            \
        "ldr r4, [sp, #12]\n ldr lr, [sp, #20]\n str r10, [sp, #36]\n str r11, [sp, #40]\n"                  \
        "add r0, r0, r4\n add r1, r1, r4\n mov r12, r11\n lsls r4, lr, #31\n bpl 3f\n"                       \
        "ldr r4, [r0]\n ldr r5, [r1]\n add r0, r0, r2\n add r1, r1, r3\n"                                    \
        PACK("r4", "r5", next, next2, next3, record)                                                         \
        "subs lr, lr, #1\n beq 4f\n"                                                                         \
        "3:\n ldr r4, [r0]\n ldr r10, [r0, r2]\n ldr r5, [r1]\n ldr r11, [r1, r3]\n"                         \
        "add r0, r0, r2, lsl #1\n add r1, r1, r3, lsl #1\n"                                                 \
        PACK("r4", "r5", next, next2, next3, record) PACK("r10", "r11", next, next2, next3, record)          \
        "subs lr, lr, #2\n bne 3b\n"                                                                         \
        "4:\n ldr r10, [sp, #36]\n ldr r11, [sp, #40]\n"                                                     \
        "ldr r4, [sp, #24]\n add r11, r11, #4\n cmp r11, r4\n bne 2b\n"                                      \
        "movs r1, #0\n str r1, [sp, #16]\n"                                                                  \
        /* sums of channel r1 of the four */                                                                 \
        "5:\n"                                                                                               \
        "ldr r10, [sp]\n ldr r0, [sp, #12]\n ldr r2, [sp, #4]\n add r0, r0, r1\n"                       \
        "add r0, r0, r0, lsl #1\n add r2, r2, r0\n"                                                          \
        "ldrb r3, [r2]\n ldrb r4, [r2, #1]\n ldrb r5, [r2, #2]\n adr.w r6, .Leb_dwl" #S "\n"                 \
        "add r4, r4, #54\n add r5, r5, #108\n ldrh r3, [r6, r3]\n ldrh r4, [r6, r4]\n ldrh r5, [r6, r5]\n"   \
        "add r3, r3, r6\n add r4, r4, r6\n add r5, r5, r6\n"                                   \
        "ldr r7, [r10, #36]\n ldr r8, [sp, #28]\n ldr r12, [sp, #32]\n movs r2, #" next "\n mla r0, r1, r2, r7\n" \
        "add r8, r8, r0\n vmov s0, r8\n"                                                                     \
        START_##S                                                                                            \
        /* outputs. r0 sums, r1 mul, r2 y of row 0, r3 add, r4-r9 values of rows 3 4 5 0 1 2, r10 shift, r11 bytes of a row, \
           r12 y of row 3, lr bytes to the next column, s0 end, or r10 where the shift is a literal */                                            \
        ".Leb_dwl" #S "_sums:\n"                                                                             \
        "ldr r4, [sp]\n ldr r5, [sp, #12]\n ldr r6, [sp, #16]\n ldr r7, [sp, #8]\n add r5, r5, r6\n"    \
        "add r7, r7, r5, lsl #3\n ldrd r3, r1, [r7]\n asr r10, r1, #16\n"                                    \
        "ldr r2, [r4]\n ldr r11, [r4, #4]\n ldr r0, [sp, #32]\n ldr lr, [r4, #64]\n ldr r6, [r4, #28]\n"     \
        "add r2, r2, r5\n add r12, r11, r11, lsl #1\n add r12, r12, r2\n"                                    \
        "add r6, r6, r6, lsl #1\n" FIRST_##S "add r6, r0, r6, lsl #2\n vmov s0, r6\n"                        \
        "sub r4, r10, #12\n cmp r4, #7\n bhi 6f\n mov r10, r6\n tbh [pc, r4, lsl #1]\n"                      \
        ".Leb_dwl" #S "_shifts:\n" SHIFTS(PLACE, S) SHIFTS(LOOP, S)                                          \
        "6:\n" PRODUCTS                                                                                      \
        VALUE("r7") VALUE("r4") VALUE("r8") VALUE("r5") VALUE("r9") VALUE("r6")                              \
        STORES "vmov r4, s0\n cmp r0, r4\n bne 6b\n"                                                        \
        ".Leb_dwl" #S "_next:\n"                                                                             \
        "ldr r1, [sp, #16]\n adds r1, #1\n str r1, [sp, #16]\n cmp r1, #4\n bne.w 5b\n"                      \
        "ldr r2, [sp]\n ldr r0, [sp, #12]\n ldr r1, [r2, #8]\n"                                          \
        "subs r1, #4\n cmp r0, r1\n beq 7f\n adds r0, #4\n cmp r0, r1\n it gt\n movgt r0, r1\n str r0, [sp, #12]\n b 1b\n" \
        "7:\n"                                                                                               \
        "add sp, #44\n pop {r4-r11, pc}\n"                                                                   \
        ".p2align 2\n .Leb_dwl" #S ":\n"                                                                     \
        EACH(WHERE, S, L) EACH(WHERE, S, M) EACH(WHERE, S, R)                                                \
        EACH(PIECE, S, L) EACH(PIECE, S, M) EACH(PIECE, S, R)                                                \
        ".size " name ", . - " name "\n .popsection\n");
#define FIRST_1 "adds r0, #12\n" // R has stored sums of no column first
#define FIRST_2

BAND("eb_dwconv3x3_t_s8__armv7em_lanes_one", 1, 5, "20", "40", "60", "80", "24")
BAND("eb_dwconv3x3_t_s8__armv7em_lanes_two", 2, 7, "28", "56", "84", "112", "48")
// clang-format on

EB_DWCONV3X3_T_S8_DECL(eb_dwconv3x3_t_s8__armv7em_lanes);

EB_DWCONV3X3_T_S8_DECL(eb_dwconv3x3_t_s8__armv7em_lanes) {
    if (job->requant.pre_shift != 0) {
        eb_dwconv3x3_law(w, entries, job, eb_dwcols_weight);
        return;
    }
    const int32_t words = job->stride == 1 ? 20 : 28; // of a record
    uint32_t pad = ((uint32_t)job->padding & 0xFFFF) * 0x10001;
    eb_dwconv3x3_sides(job, words, words, pad);
    if (job->stride == 1) {
        eb_dwconv3x3_t_s8__armv7em_lanes_one(w, entries, job);
    } else {
        eb_dwconv3x3_t_s8__armv7em_lanes_two(w, entries, job);
    }
    eb_dwconv3x3_clamp(job);
}

EB_KERNEL(dwconv3x3_t_s8, armv7em_lanes, dwcols4);
