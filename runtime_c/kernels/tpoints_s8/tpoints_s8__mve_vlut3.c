// SPDX-License-Identifier: Apache-2.0
// Ternary layers of points for cores with Helium (Cortex-M55, M85), 32 pixels at a time, by lookup.
//
// For every three inputs a, b, c a table holds the 13 sums that differ by more than their sign, each for 32
// pixels in int16 (64 bytes). A row names the sums to subtract and the sums to add by their byte offsets
// (layout "vlut3"), so up to 96 multiply-accumulates cost one offset, four loads and four additions. Tables
// are built for up to 24 groups (72 columns) at a time and used for all rows before the next tile replaces
// them; rows' sums wait in scratch meanwhile. Results of four rows are woven into words of four channels a
// pixel, and stored as such.
//
// Bounds: no row has more than 255 nonzero trits, |sum| <= 255 * 128 < 2^15 (the layout's limits). rows and
// cols are multiples of 4.
//
// Cost (Cortex-M55, llvm-mca model, which takes a gather or scatter for two cycles; no wait states), for 32
// pixels: 10 for each group of a row with a nonzero trit, 74 a row and 30 more a tile of columns, 180 a
// group.
//
// Scratch: 832 bytes for each group of a tile, rounded up to 4 groups; 64 bytes a row if there is more than
// one tile; 384 bytes.
#include <arm_mve.h>

#include "tpoints_s8/tpoints_s8.h"

EB_TPOINTS_S8_DECL(eb_tpoints_s8__mve_vlut3);

enum { PIXELS = 32, SUM = 2 * PIXELS, GROUP = 13 * SUM, CHUNK = 12, TILE = 24 };

// The first three sums of each group: the inputs themselves. at: offsets of the pixels, in the order of
// lanes.
//
// Twelve columns of eight pixels at a time, four of them from one word of each pixel: columns 0 and 2 are the
// low and high halves of its even bytes, widened, columns 1 and 3 of its odd ones, and the halves of two
// pixels change places. The multiplier widens as well, by 1, since it has nothing else to do.
static void take(const int8_t *x, const uint32_t *at, int32_t first, int32_t cols, int32_t end,
                 int8_t *table) {
    const int8x16_t one = vdupq_n_s8(1);
    for (int32_t eight = 0; eight < 4; eight++, at += 8) {
        const uint32x4_t even = vldrwq_u32(at);
        const uint32x4_t odd = vldrwq_u32(at + 4);
        int8_t *g0 = table + 16 * eight;
        for (int32_t k = first; k < end; k += CHUNK, g0 += 4 * GROUP) {
            const int8_t *x0 = x + k; // columns past the last have no trits
            const int8_t *x1 = k + 4 < cols ? x0 + 4 : x0;
            const int8_t *x2 = k + 8 < cols ? x0 + 8 : x0;
            int8x16_t e, o, a, b, c;
            // clang-format off
            __asm__ volatile(
                "vldrw.u32 %q[e], [%[x0], %q[even]]\n vldrw.u32 %q[o], [%[x0], %q[odd]]\n"
                "vmovlb.s8 %q[a], %q[e]\n vmullb.s8 %q[b], %q[o], %q[one]\n vmovnt.i32 %q[a], %q[b]\n"
                "vmullb.s8 %q[c], %q[e], %q[one]\n vsri.32 %q[b], %q[c], #16\n"
                "vstrw.32 %q[b], [%[g0], #128]\n vmullt.s8 %q[b], %q[o], %q[one]\n"
                "vstrw.32 %q[a], [%[g0]]\n vmullt.s8 %q[c], %q[e], %q[one]\n vmovlt.s8 %q[a], %q[e]\n"
                "vldrw.u32 %q[e], [%[x1], %q[even]]\n vmovnt.i32 %q[a], %q[b]\n"
                "vldrw.u32 %q[o], [%[x1], %q[odd]]\n vsri.32 %q[b], %q[c], #16\n"
                "vmullb.s8 %q[c], %q[e], %q[one]\n vstrw.32 %q[a], [%[g0], #64]\n"
                "vmovlb.s8 %q[a], %q[e]\n vstrw.32 %q[b], [%[g1]]\n vmullb.s8 %q[b], %q[o], %q[one]\n"
                "vmovnt.i32 %q[a], %q[b]\n vsri.32 %q[b], %q[c], #16\n vmullt.s8 %q[c], %q[e], %q[one]\n"
                "vstrw.32 %q[a], [%[g1], #64]\n vmovlt.s8 %q[a], %q[e]\n vstrw.32 %q[b], [%[g2]]\n"
                "vmullt.s8 %q[b], %q[o], %q[one]\n vldrw.u32 %q[e], [%[x2], %q[even]]\n"
                "vmovnt.i32 %q[a], %q[b]\n vldrw.u32 %q[o], [%[x2], %q[odd]]\n"
                "vsri.32 %q[b], %q[c], #16\n vstrw.32 %q[b], [%[g2], #64]\n"
                "vmullb.s8 %q[c], %q[e], %q[one]\n vstrw.32 %q[a], [%[g1], #128]\n"
                "vmovlb.s8 %q[a], %q[e]\n vmullb.s8 %q[b], %q[o], %q[one]\n vmovnt.i32 %q[a], %q[b]\n"
                "vsri.32 %q[b], %q[c], #16\n vstrw.32 %q[b], [%[g3], #64]\n"
                "vmullt.s8 %q[b], %q[o], %q[one]\n vstrw.32 %q[a], [%[g2], #128]\n"
                "vmovlt.s8 %q[a], %q[e]\n vmullt.s8 %q[c], %q[e], %q[one]\n vmovnt.i32 %q[a], %q[b]\n"
                "vstrw.32 %q[a], [%[g3]]\n vsri.32 %q[b], %q[c], #16\n vstrw.32 %q[b], [%[g3], #128]\n"
                : [e] "=&w"(e), [o] "=&w"(o), [a] "=&w"(a), [b] "=&w"(b), [c] "=&w"(c)
                : [x0] "r"(x0), [x1] "r"(x1), [x2] "r"(x2), [g0] "r"(g0), [g1] "r"(g0 + GROUP),
                  [g2] "r"(g0 + 2 * GROUP), [g3] "r"(g0 + 3 * GROUP), [even] "w"(even), [odd] "w"(odd),
                  [one] "w"(one)
                : "memory");
            // clang-format on
        }
    }
}

// The other ten. q0-q2 a, b and c, q3 a + b, q4 a - b.
static void build(int8_t *table, int32_t groups) {
    for (int32_t eight = 0; eight < 4; eight++) {
        int8_t *low = table + 16 * eight;
        int8_t *high = low + 8 * SUM;
        // clang-format off
        __asm__ volatile(
            "wls lr, %[groups], 2f\n"
            "1:\n"
            "vldrw.u32 q1, [%[low], #64]\n vldrw.u32 q0, [%[low]]\n vldrw.u32 q2, [%[low], #128]\n"
            "vadd.i16 q3, q0, q1\n vstrw.32 q3, [%[low], #192]\n vsub.i16 q4, q0, q1\n"
            "vstrw.32 q4, [%[low], #256]\n vadd.i16 q5, q0, q2\n vstrw.32 q5, [%[low], #320]\n"
            "vsub.i16 q6, q0, q2\n vstrw.32 q6, [%[low], #384]\n vadd.i16 q7, q1, q2\n"
            "vstrw.32 q7, [%[low], #448]\n vsub.i16 q5, q1, q2\n vstrw.32 q5, [%[high]]\n"
            "vadd.i16 q6, q3, q2\n vstrw.32 q6, [%[high], #64]\n vsub.i16 q7, q3, q2\n"
            "vstrw.32 q7, [%[high], #128]\n vadd.i16 q5, q4, q2\n vstrw.32 q5, [%[high], #192]\n"
            "vsub.i16 q6, q4, q2\n vstrw.32 q6, [%[high], #256]\n add %[low], %[low], #832\n"
            "add %[high], %[high], #832\n"
            "le lr, 1b\n"
            "2:\n"
            : [low] "+r"(low), [high] "+r"(high)
            : [groups] "r"(groups)
            : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "lr", "cc", "memory");
        // clang-format on
    }
}

// What the rows of one tile are computed from.
typedef struct {
    const uint16_t *list; // behind `next`
    uint32_t next;        // the number of it that was read last
    const int8_t *table;
    const int16_t *from; // sums that the rows begin with, of one row `from_step` bytes from those of the last
    int32_t from_step;
    int16_t *wait;                   // where the sums go unless this is the last tile
    const eb_requant_entry *entries; // of the last tile, else null
    int32_t rows;
    int8_t *four; // outputs of four rows, then words of theirs: 256 bytes
    int8_t *y;    // of the first pixel
    int32_t step; // 4 pixels of y
    int32_t count;
    uint32_t apart[4]; // y of pixels 0 to 3
    int32_t narrow;    // whether qmin..qmax is not all of int8
    int32_t qmin, qmax;
} job;

void eb_tpoints_s8__mve_vlut3_rows(job *j);

// Subtracts (adds) the table sums of a list. A list lies behind its length, and the length of the one after
// it behind it, so that what is read ahead is always wanted. MOVE1 to MOVE3 go between the first steps.
#define LIST(op, MOVE1, MOVE2, MOVE3, MOVE4)                                                                 \
    MOVE1 "mov lr, r5\n" MOVE2 "ldrh r5, [r0], #2\n" MOVE3 "add r6, r5, r1\n" MOVE4 "wls lr, lr, 2f\n"       \
          "1:\n"                                                                                             \
          "vldrw.u32 q4, [r6]\n" op " q0, q0, q4\n"                                                          \
          "vldrw.u32 q5, [r6, #16]\n" op " q1, q1, q5\n"                                                     \
          "ldrh r5, [r0], #2\n"                                                                              \
          "vldrw.u32 q4, [r6, #32]\n" op " q2, q2, q4\n"                                                     \
          "vldrw.u32 q5, [r6, #48]\n"                                                                        \
          "add r6, r5, r1\n" op " q3, q3, q5\n"                                                              \
          "le lr, 1b\n"                                                                                      \
          "2:\n"

// Four rows of sixteen pixels from q0-q3 to words of a pixel's four channels.
#define WEAVE                                                                                                \
    "cbz r5, 1f\n"                                                                                           \
    "vmax.s8 q0, q0, q4\n vmax.s8 q1, q1, q4\n vmax.s8 q2, q2, q4\n vmax.s8 q3, q3, q4\n"                    \
    "vmin.s8 q0, q0, q5\n vmin.s8 q1, q1, q5\n vmin.s8 q2, q2, q5\n vmin.s8 q3, q3, q5\n"                    \
    "1:\n"                                                                                                   \
    "vst40.8 {q0, q1, q2, q3}, [r8]\n vst41.8 {q0, q1, q2, q3}, [r8]\n"                                      \
    "vst42.8 {q0, q1, q2, q3}, [r8]\n vst43.8 {q0, q1, q2, q3}, [r8]!\n"

// clang-format off
// r0 list, r1 table, r2 from, r3 entries, r4 four or wait, r5 next, r6 a table sum, r7 j, r8 add, r9 free, r10 2^32
// shifted, which a product's high half shifts by, r11 rows left, r12 from_step. q0-q3 sums of 32 pixels.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_tpoints_s8__mve_vlut3_rows, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_tpoints_s8__mve_vlut3_rows\n"
        ".hidden eb_tpoints_s8__mve_vlut3_rows\n"
        ".type eb_tpoints_s8__mve_vlut3_rows, %function\n"
        ".thumb_func\n"
        "eb_tpoints_s8__mve_vlut3_rows:\n"
        "push {r4-r11, lr}\n"
        "vpush {d8-d15}\n"
        "mov r7, r0\n"
        "ldrd r0, r5, [r7]\n ldrd r1, r2, [r7, #8]\n ldrd r12, r4, [r7, #16]\n ldrd r3, r11, [r7, #24]\n"
        "cbz r3, 3f\n"
        "ldr r4, [r7, #32]\n"
        "3:\n"
        LIST("vsub.i16", "vldrw.u32 q0, [r2]\n", "vldrw.u32 q1, [r2, #16]\n", "vldrw.u32 q2, [r2, #32]\n",
             "vldrw.u32 q3, [r2, #48]\n add r2, r12\n")
        LIST("vadd.i16", "", "", "", "")
        "cmp r3, #0\n"
        "beq 4f\n"
        "ldr r8, [r3], #8\n ldrsh r9, [r3, #-4]\n ldrsh r10, [r3, #-2]\n"
        "vdup.16 q4, r9\n"
        "rsb r10, r10, #32\n mov.w r9, #1\n"
        "vmullb.s16 q6, q0, q4\n"
        "lsl r10, r9, r10\n"
        "vmullt.s16 q0, q0, q4\n vdup.32 q5, r10\n"
        "vmullb.s16 q7, q1, q4\n vadd.i32 q0, q0, r8\n vmullt.s16 q1, q1, q4\n vadd.i32 q7, q7, r8\n"
        "vmulh.s32 q7, q7, q5\n vadd.i32 q6, q6, r8\n vmulh.s32 q6, q6, q5\n vadd.i32 q1, q1, r8\n"
        "vmulh.s32 q0, q0, q5\n vqmovnb.s32 q6, q6\n vqmovnb.s32 q7, q7\n vmulh.s32 q1, q1, q5\n"
        "vqmovnt.s32 q6, q0\n vmullb.s16 q0, q2, q4\n vqmovnt.s32 q7, q1\n vmullb.s16 q1, q3, q4\n"
        "vadd.i32 q0, q0, r8\n vmullt.s16 q2, q2, q4\n vqmovnb.s16 q6, q6\n vmulh.s32 q0, q0, q5\n"
        "vadd.i32 q2, q2, r8\n vadd.i32 q1, q1, r8\n vmulh.s32 q1, q1, q5\n vqmovnt.s16 q6, q7\n"
        "vmullt.s16 q3, q3, q4\n vqmovnb.s32 q0, q0\n vmulh.s32 q2, q2, q5\n vadd.i32 q3, q3, r8\n"
        "vqmovnt.s32 q0, q2\n vmulh.s32 q3, q3, q5\n vqmovnb.s32 q1, q1\n vqmovnb.s16 q0, q0\n"
        "vqmovnt.s32 q1, q3\n vstrw.32 q6, [r4], #32\n vqmovnt.s16 q0, q1\n vstrw.32 q0, [r4, #-16]\n"
        "subs r11, #1\n"
        "lsls r6, r11, #30\n"
        "bne 3b\n"
        // four rows are done: clamp, weave and store them
        "ldrd r4, r9, [r7, #32]\n ldrd r10, lr, [r7, #40]\n"
        "strd r0, r5, [r7]\n"
        "ldr r5, [r7, #64]\n"
        "add r8, r4, #128\n"
        "ldrd r6, r0, [r7, #68]\n"
        "vdup.8 q4, r6\n vdup.8 q5, r0\n"
        "vldrw.u32 q0, [r4]\n vldrw.u32 q1, [r4, #32]\n vldrw.u32 q2, [r4, #64]\n vldrw.u32 q3, [r4, #96]\n"
        WEAVE
        "vldrw.u32 q0, [r4, #16]\n vldrw.u32 q1, [r4, #48]\n"
        "vldrw.u32 q2, [r4, #80]\n vldrw.u32 q3, [r4, #112]\n"
        WEAVE
        "add r8, r4, #128\n"
        "vldrw.u32 q1, [r7, #48]\n"
        "mov r6, r9\n"
        "wlstp.32 lr, lr, 2f\n"
        "1:\n"
        "vldrw.u32 q0, [r8], #16\n"
        "vstrw.32 q0, [r6, q1]\n"
        "add r6, r10\n"
        "letp lr, 1b\n"
        "2:\n"
        "adds r9, #4\n str r9, [r7, #36]\n"
        "ldrd r0, r5, [r7]\n"
        "cmp r11, #0\n"
        "bne 3b\n"
        "b 5f\n"
        "4:\n"
        "vstrw.32 q0, [r4], #64\n vstrw.32 q1, [r4, #-48]\n"
        "vstrw.32 q2, [r4, #-32]\n vstrw.32 q3, [r4, #-16]\n"
        "subs r11, #1\n"
        "bne 3b\n"
        "5:\n"
        "strd r0, r5, [r7]\n"
        "vpop {d8-d15}\n"
        "pop {r4-r11, pc}\n"
        ".size eb_tpoints_s8__mve_vlut3_rows, . - eb_tpoints_s8__mve_vlut3_rows\n"
        ".popsection\n");
// clang-format on
#undef LIST
#undef WEAVE

static const int16_t zeros[PIXELS];

EB_TPOINTS_S8_DECL(eb_tpoints_s8__mve_vlut3) {
    const int32_t cols = p->cols;
    const int32_t groups = (cols + 2) / 3;
    const int32_t tiles = (groups + TILE - 1) / TILE;
    const int32_t tile = ((groups + tiles - 1) / tiles + 3) & ~3;
    const uint32_t step = (uint32_t)p->rows;
    uint32_t *at = scratch;
    int8_t *four = (int8_t *)scratch + 4 * PIXELS;
    int8_t *table = four + 8 * PIXELS;
    int16_t *wait = (int16_t *)(void *)(table + tile * GROUP);
    for (int32_t left = p->pixels; left > 0; left -= PIXELS, x += PIXELS * cols, y += PIXELS * p->rows) {
        for (int32_t i = 0; i < PIXELS;
             i++) { // halves, in each the even pixels and the odd, of each every second
            const int32_t n = (i & 16) | (i >> 3 & 1) | (i & 3) << 2 | (i >> 1 & 2);
            at[i] = (uint32_t)((n < left ? n : left - 1) * cols);
        }
        job j = {.list = (const uint16_t *)(const void *)w + 1,
                 .next = *(const uint16_t *)(const void *)w,
                 .table = table,
                 .from = zeros,
                 .wait = wait,
                 .rows = p->rows,
                 .four = four,
                 .y = y,
                 .step = 4 * p->rows,
                 .count = left < PIXELS ? left : PIXELS,
                 .apart = {0, step, 2 * step, 3 * step},
                 .narrow = p->requant.qmin != -128 || p->requant.qmax != 127,
                 .qmin = p->requant.qmin,
                 .qmax = p->requant.qmax};
        for (int32_t g = 0; g < groups; g += tile) {
            const int32_t here = groups - g < tile ? groups - g : tile;
            take(x, at, 3 * g, cols, 3 * (g + here), table);
            build(table, here);
            j.entries = g + here == groups ? entries : NULL;
            eb_tpoints_s8__mve_vlut3_rows(&j);
            j.from = wait;
            j.from_step = SUM;
        }
    }
}

EB_KERNEL(tpoints_s8, mve_vlut3, vlut3);
