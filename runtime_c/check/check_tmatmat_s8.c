// SPDX-License-Identifier: Apache-2.0
// Ternary products with several int8 vectors: every number of vectors, every kind of tail, sums at their
// bounds.
#include "check.h"

#include "tmatmat_s8/tmatmat_s8.h"

typedef void (*tmatmat)(const uint8_t *w, const int8_t *x, int32_t *acc, int32_t rows, int32_t cols,
                        int32_t tokens, int32_t x_step, int32_t acc_step, void *scratch);

enum {
    WIDE = -1,
    TOKENS = EB_TMATMAT_TOKENS,
    GAP = 16,
    // Small cores have no variant but the reference, and no memory to spare.
    MAX_COLS = EB_CHECK_MAX_ROWS > 48 ? EB_CHECK_MAX_COLS : 528,
    PACKED = EB_CHECK_MAX_ROWS > 48 ? EB_CHECK_PACKED : 8 * 528,
};
static const struct {
    int16_t rows;
    int16_t cols; // WIDE: as wide as the layout and the buffers allow
} shapes[] = {{1, 1},   {1, 16},   {3, 5},   {7, 31},  {8, 32},   {15, 63},  {16, 64}, {17, 65},
              {33, 96}, {40, 128}, {65, 17}, {79, 20}, {101, 33}, {129, 48}, {8, WIDE}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

enum { W_ONES, W_MINUS, W_DENSE, W_HALF, WEIGHTS };
enum { X_MIN, X_MAX, X_EXTREME, X_RANDOM, INPUTS };

static int8_t trits[16 * MAX_COLS];
static EB_ALIGNED(16) uint8_t ref_weights[PACKED];
static EB_ALIGNED(16) uint8_t weight_block[PACKED + 2 * EB_CHECK_GUARD];
static EB_ALIGNED(16) uint8_t input_block[TOKENS * (MAX_COLS + GAP) + 2 * EB_CHECK_GUARD];
static EB_ALIGNED(16) uint8_t scratch_block[EB_CHECK_SCRATCH + 2 * EB_CHECK_GUARD];
static EB_ALIGNED(16) uint8_t acc_block[TOKENS * 4 * (EB_CHECK_MAX_ROWS + GAP) + 2 * EB_CHECK_GUARD];
static int32_t want[TOKENS * EB_CHECK_MAX_ROWS];

static eb_check_buffer pack(eb_check_run *t, int32_t rows, int32_t cols, int kind) {
    for (int32_t i = 0; i < rows * cols; i++) {
        const uint32_t any = eb_check_random(&t->random) >> 9;
        const int8_t sign = (any & 1) != 0 ? 1 : -1;
        trits[i] = kind == W_ONES ? 1 : kind == W_MINUS ? -1 : kind == W_HALF && (any & 2) != 0 ? 0 : sign;
    }
    eb_check_find_layout(t->ref->layout)->pack(trits, rows, cols, ref_weights);
    return eb_check_guard(weight_block, 0, t->layout->pack(trits, rows, cols, weight_block + EB_CHECK_GUARD));
}

static void fill(int8_t *x, uint32_t bytes, int kind, uint32_t *random) {
    for (uint32_t i = 0; i < bytes; i++) {
        const uint32_t any = eb_check_random(random) >> 11;
        x[i] = kind == X_MIN                             ? -128
               : kind == X_MAX                           ? 127
               : kind == X_EXTREME && (any & 0x100) != 0 ? -128
               : kind == X_EXTREME                       ? 127
                                                         : (int8_t)(any & 0xFF);
    }
}

static void check_one(eb_check_run *t, eb_check_buffer weights, int32_t rows, int32_t cols, int32_t tokens,
                      int kind) {
    const int32_t gap = (int32_t)(t->random >> 5 & 1) * GAP;
    const int32_t high = eb_check_height(rows, t->layout);
    const int32_t x_step = ((cols + 15) & ~15) + gap;
    const int32_t acc_step = high + (int32_t)(t->random >> 6 & 3);
    eb_check_buffer x =
        eb_check_guard(input_block, 0, (uint32_t)((tokens - 1) * x_step + ((cols + 15) & ~15)));
    fill((int8_t *)x.data, x.bytes, kind, &t->random);
    eb_check_buffer acc =
        eb_check_guard(acc_block, 4 * (t->random >> 7 & 3), 4 * (uint32_t)((tokens - 1) * acc_step + high));
    eb_check_buffer scratch = eb_check_guard(scratch_block, 0, t->layout->scratch(rows, cols));
    eb_check_call c = {.weights = weights, .x = x, .acc = acc, .scratch = scratch};
    eb_check_begin(&c);
    int32_t *got = (int32_t *)(void *)acc.data;

    ((tmatmat)t->ref->function)(ref_weights, (const int8_t *)x.data, want, rows, cols, tokens, x_step, rows,
                                NULL);
    ((tmatmat)t->kernel->function)(weights.data, (const int8_t *)x.data, got, rows, cols, tokens, x_step,
                                   acc_step, scratch.bytes > 0 ? scratch.data : NULL);
    const char *what = NULL;
    for (int32_t n = 0; n < tokens; n++) {
        for (int32_t r = 0; r < rows; r++) {
            if (got[n * acc_step + r] != want[n * rows + r]) {
                what = "differs from ref";
            }
        }
        for (int32_t r = high; n + 1 < tokens && r < acc_step; r++) {
            if (got[n * acc_step + r] != 0x5A5A5A5A) {
                what = "wrote between rows of acc";
            }
        }
    }
    if (eb_check_end(t, &c, what, rows, cols)) {
        eb_check_write(", ");
        eb_check_print_s32(tokens);
        eb_check_write(" vectors\n");
    }
}

static eb_check_result test(const eb_kernel_descriptor *kernel, const eb_kernel_descriptor *ref,
                            uint32_t seed) {
    eb_check_run t;
    if (!eb_check_open(&t, kernel, ref, seed)) {
        return t.result;
    }
    for (int32_t s = 0; s < SHAPES; s++) {
        const int wide = shapes[s].cols == WIDE;
        const int32_t most = t.layout->max_cols < MAX_COLS ? t.layout->max_cols : MAX_COLS;
        const int32_t rows = shapes[s].rows;
        const int32_t cols = wide ? most : shapes[s].cols;
        if ((wide && kernel == ref) || eb_check_height(rows, t.layout) > (int32_t)EB_CHECK_MAX_ROWS) {
            continue;
        }
        for (int w = 0; w < (wide ? W_HALF : WEIGHTS); w++) {
            const eb_check_buffer weights = pack(&t, rows, cols, w);
            for (int32_t tokens = 1; tokens <= TOKENS; tokens++) {
                for (int kind = 0; kind < (wide ? X_EXTREME : INPUTS); kind++) {
                    if (!wide || tokens == TOKENS) {
                        check_one(&t, weights, rows, cols, tokens, kind);
                    }
                }
            }
        }
    }
    return t.result;
}

static void bench(const eb_kernel_descriptor *kernel, uint32_t seed) {
    enum { ROWS = 16, COLS = 512, REPEATS = 8 };
    eb_check_run t;
    if (!eb_check_open(&t, kernel, kernel, seed)) {
        return;
    }
    const eb_check_buffer weights = pack(&t, ROWS, COLS, W_HALF);
    fill((int8_t *)input_block + EB_CHECK_GUARD, TOKENS * COLS, X_RANDOM, &t.random);
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < REPEATS; i++) {
        const uint64_t start = eb_check_ticks();
        ((tmatmat)kernel->function)(weights.data, (const int8_t *)input_block + EB_CHECK_GUARD,
                                    (int32_t *)(void *)(acc_block + EB_CHECK_GUARD), ROWS, COLS, TOKENS, COLS,
                                    eb_check_height(ROWS, t.layout), scratch_block + EB_CHECK_GUARD);
        const uint64_t spent = eb_check_ticks() - start;
        least = spent < least ? spent : least;
    }
    eb_check_write(": 16 rows, 512 columns, 4 vectors: ");
    eb_check_print_ticks(least);
}

const eb_check_family eb_check_tmatmat_s8 = {"tmatmat_s8", test, bench};
