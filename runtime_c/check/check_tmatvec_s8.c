// SPDX-License-Identifier: Apache-2.0
// Ternary x int8 products: shapes with every kind of tail, weights and inputs that reach the accumulators'
// bounds.
#include "check.h"

#include "tmatvec_s8/tmatvec_s8.h"

typedef void (*tmatvec)(const uint8_t *w, const int8_t *x, int32_t *acc, int32_t rows, int32_t cols,
                        void *scratch);

enum { WIDE = -1 };
static const struct {
    int16_t rows;
    int16_t cols; // WIDE: as wide as the layout and the buffers allow
} shapes[] = {{1, 1},   {1, 2},    {1, 3},    {1, 15},   {1, 16},   {1, 17},   {3, 5},    {7, 31},
              {8, 4},   {8, 32},   {9, 33},   {15, 63},  {16, 64},  {17, 65},  {24, 127}, {8, 128},
              {8, 132}, {31, 129}, {5, 48},   {33, 96},  {40, 48},  {12, 257}, {4, 512},  {61, 48},
              {79, 20}, {101, 33}, {161, 80}, {240, 17}, {16, WIDE}};
enum { SHAPES = sizeof shapes / sizeof shapes[0], RANDOM_SHAPES = 40 };

static const char *const weight_names[] = {"zeros",     "ones",      "minus ones",  "half zeros", "no zeros",
                                           "1/16 left", "by column", "63 together", "64 together"};
enum { W_ZEROS, W_ONES, W_MINUS, W_HALF, W_DENSE, W_SPARSE, W_COLUMNS, W_63, W_64, WEIGHTS };

static const char *const input_names[] = {"-128",           "127",         "random", "-128 or 127",
                                          "worst of a row", "its opposite"};
enum { X_MIN, X_MAX, X_RANDOM, X_EXTREME, X_WORST, X_OPPOSITE, INPUTS };

// Static, so that a microcontroller's stack need not hold them.
static int8_t trits[EB_CHECK_MAX_WEIGHTS];
static EB_ALIGNED(16) uint8_t ref_weights[EB_CHECK_PACKED];
static EB_ALIGNED(16) uint8_t weight_block[EB_CHECK_PACKED + 2 * EB_CHECK_GUARD];
static EB_ALIGNED(16) uint8_t input_block[EB_CHECK_MAX_COLS + 16 + 2 * EB_CHECK_GUARD];
static EB_ALIGNED(16) uint8_t scratch_block[EB_CHECK_SCRATCH + 2 * EB_CHECK_GUARD];
static EB_ALIGNED(16) uint8_t acc_block[4 * EB_CHECK_MAX_ROWS + 16 + 2 * EB_CHECK_GUARD];
static int32_t want[EB_CHECK_MAX_ROWS];

static int8_t make_trit(int kind, int32_t r, int32_t k, uint32_t *random) {
    int8_t sign = (eb_check_random(random) >> 9 & 1) != 0 ? 1 : -1;
    uint32_t roll = eb_check_below(random, 16);
    switch (kind) {
    case W_ONES:
        return 1;
    case W_MINUS:
        return -1;
    case W_HALF:
        return roll < 8 ? 0 : sign;
    case W_DENSE:
        return sign;
    case W_SPARSE:
        return roll == 0 ? sign : 0;
    case W_COLUMNS:
        return (int8_t)(((k + r) & 2) - 1);
    case W_63: // runs of 63 and 64 equal signs, at the edge of 14-bit lanes
        return (k & 127) < 63 ? (r & 1 ? -1 : 1) : 0;
    case W_64:
        return (k & 127) < 64 ? (r & 2 ? -1 : 1) : 0;
    default:
        return 0;
    }
}

static void make_inputs(int kind, int8_t *x, int32_t rows, int32_t cols, int32_t readable, uint32_t *random) {
    int32_t row = (int32_t)eb_check_below(random, (uint32_t)rows);
    for (int32_t k = 0; k < readable; k++) {
        uint32_t any = eb_check_random(random) >> 11;
        int8_t t = k < cols ? trits[row * cols + k] : 0;
        x[k] = (int8_t)(any & 0xFF);
        if (k >= cols) {
            continue; // past the end lies anything
        }
        if (kind == X_MIN || (kind == X_WORST && t < 0) || (kind == X_OPPOSITE && t > 0)) {
            x[k] = -128;
        } else if (kind == X_MAX || (kind == X_WORST && t > 0) || (kind == X_OPPOSITE && t < 0)) {
            x[k] = 127;
        } else if (kind == X_EXTREME) {
            x[k] = any & 0x100 ? -128 : 127;
        }
    }
}

// What is wrong after a call, or null. `row` is set when it is a value.
static const char *verdict(const int32_t *acc, int32_t rows, int32_t *row) {
    for (int32_t r = 0; r < rows; r++) {
        if (acc[r] != want[r]) {
            *row = r;
            return "differs from ref";
        }
    }
    return NULL;
}

// One matrix, packed already, with one kind of input.
static void check_inputs(eb_check_run *t, eb_check_buffer weights, int32_t rows, int32_t cols, int w,
                         int kind) {
    int32_t readable = (cols + 15) & ~15;
    int32_t high = eb_check_height(rows, t->layout);
    eb_check_buffer x = eb_check_guard(input_block, 0, (uint32_t)readable);
    make_inputs(kind, (int8_t *)x.data, rows, cols, readable, &t->random);
    // Accumulators promise 4-byte alignment only; scratch promises exactly its size.
    eb_check_buffer acc = eb_check_guard(acc_block, 4 * (t->random >> 7 & 3), 4 * (uint32_t)high);
    eb_check_buffer scratch = eb_check_guard(scratch_block, 0, t->layout->scratch(rows, cols));
    memset(want, 0x3C, sizeof want);
    eb_check_call c = {.weights = weights, .x = x, .acc = acc, .scratch = scratch};
    eb_check_begin(&c);

    ((tmatvec)t->ref->function)(ref_weights, (const int8_t *)x.data, want, rows, cols, NULL);
    ((tmatvec)t->kernel->function)(weights.data, (const int8_t *)x.data, (int32_t *)(void *)acc.data, rows,
                                   cols, scratch.bytes > 0 ? scratch.data : NULL);
    int32_t row = -1;
    const char *what = verdict((const int32_t *)(const void *)acc.data, rows, &row);
    if (eb_check_end(t, &c, what, rows, cols)) {
        eb_check_write(", weights ");
        eb_check_write(weight_names[w]);
        eb_check_write(", inputs ");
        eb_check_write(input_names[kind]);
        eb_check_write("\n");
        if (row >= 0) {
            eb_check_write("    row ");
            eb_check_print_s32(row);
            eb_check_write(": ");
            eb_check_print_s32(((const int32_t *)(const void *)acc.data)[row]);
            eb_check_write(" where ref has ");
            eb_check_print_s32(want[row]);
            eb_check_write("\n");
        }
    }
}

static eb_check_buffer pack(eb_check_run *t, int32_t rows, int32_t cols, int w) {
    const eb_check_layout *plain = eb_check_find_layout(t->ref->layout);
    for (int32_t r = 0; r < rows; r++) {
        for (int32_t k = 0; k < cols; k++) {
            trits[r * cols + k] = make_trit(w, r, k, &t->random);
        }
    }
    plain->pack(trits, rows, cols, ref_weights);
    uint32_t bytes = t->layout->pack(trits, rows, cols, weight_block + EB_CHECK_GUARD);
    return eb_check_guard(weight_block, 0, bytes);
}

static int32_t widest(const eb_check_layout *layout) {
    return layout->max_cols < EB_CHECK_MAX_COLS ? layout->max_cols : EB_CHECK_MAX_COLS;
}

static eb_check_result test(const eb_kernel_descriptor *kernel, const eb_kernel_descriptor *ref,
                            uint32_t seed) {
    eb_check_run t;
    if (!eb_check_open(&t, kernel, ref, seed)) {
        return t.result;
    }
    for (int32_t s = 0; s < SHAPES; s++) {
        int wide = shapes[s].cols == WIDE;
        if (wide && kernel == ref) {
            continue;
        }
        int32_t multiple = t.layout->row_multiple;
        int32_t rows = wide ? (multiple < 16 ? multiple : 16) : shapes[s].rows;
        int32_t cols = wide ? widest(t.layout) : shapes[s].cols;
        if (eb_check_height(rows, t.layout) > (int32_t)EB_CHECK_MAX_ROWS) {
            continue;
        }
        for (int w = 0; w < WEIGHTS; w++) {
            if (wide && w != W_ONES && w != W_MINUS && w != W_DENSE) {
                continue;
            }
            eb_check_buffer weights = pack(&t, rows, cols, w);
            for (int kind = 0; kind < INPUTS; kind++) {
                if (!wide || kind == X_MIN || kind == X_WORST || kind == X_OPPOSITE) {
                    check_inputs(&t, weights, rows, cols, w, kind);
                }
            }
        }
    }
    for (int32_t s = 0; s < RANDOM_SHAPES; s++) {
        int32_t rows = 1 + (int32_t)eb_check_below(&t.random, 40);
        int32_t cols = 1 + (int32_t)eb_check_below(&t.random, s & 1 ? 40 : 160);
        int w = W_HALF + (int)eb_check_below(&t.random, WEIGHTS - W_HALF);
        eb_check_buffer weights = pack(&t, rows, cols, w);
        check_inputs(&t, weights, rows, cols, w, X_RANDOM);
        check_inputs(&t, weights, rows, cols, w, X_EXTREME);
    }
    return t.result;
}

static void bench(const eb_kernel_descriptor *kernel, uint32_t seed) {
    enum { ROWS = 16, COLS = 512, REPEATS = 8 };
    eb_check_run t;
    if (!eb_check_open(&t, kernel, kernel, seed)) {
        return;
    }
    eb_check_buffer weights = pack(&t, ROWS, COLS, W_HALF);
    eb_check_buffer x = eb_check_guard(input_block, 0, COLS);
    make_inputs(X_RANDOM, (int8_t *)x.data, ROWS, COLS, COLS, &t.random);
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < REPEATS; i++) {
        uint64_t start = eb_check_ticks();
        ((tmatvec)kernel->function)(weights.data, (const int8_t *)x.data, want, ROWS, COLS,
                                    scratch_block + EB_CHECK_GUARD);
        uint64_t spent = eb_check_ticks() - start;
        least = spent < least ? spent : least;
    }
    eb_check_write(": 16 rows, 512 columns: ");
    eb_check_print_ticks(least);
}

const eb_check_family eb_check_tmatvec_s8 = {"tmatvec_s8", test, bench};
