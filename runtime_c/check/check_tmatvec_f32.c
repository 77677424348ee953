// SPDX-License-Identifier: Apache-2.0
// Ternary x binary32 products: every kind of tail, and inputs whose sums depend on the order of additions,
// cancel, are subnormal, or leave the range of binary32. All bits are compared; NaNs only for being one.
#include "check.h"

#include "edgebit/eb_math.h"
#include "tmatvec_f32/tmatvec_f32.h"

typedef void (*tmatvec)(const uint8_t *w, const float *x, float *acc, int32_t rows, int32_t cols,
                        void *scratch);

static const struct {
    int16_t rows;
    int16_t cols;
} shapes[] = {{1, 1},  {1, 7},  {1, 8},   {1, 9},   {1, 16},  {2, 17},   {3, 5},   {7, 31},  {8, 4},
              {8, 32}, {9, 33}, {15, 63}, {16, 64}, {17, 65}, {24, 127}, {8, 257}, {4, 512}, {40, 48}};
enum {
    SHAPES = sizeof shapes / sizeof shapes[0],
    COLS = 512,
    ROWS = 48,
    MOST = 4096, // weights of any shape, rounded up to the layouts' multiples
    SCRATCH = EB_CHECK_MAX_ROWS > 48 ? 16 * COLS : 16, // small cores have no variant that needs any
    WEIGHTS = 5,
    INPUTS = 6
};

static const char *const input_names[] = {"ordinary",      "of all sizes",     "subnormal",
                                          "one subnormal", "near the largest", "signed zeros"};
enum { X_PLAIN, X_ALL, X_SUBNORMAL, X_ONE, X_LARGE, X_ZEROS };

static int8_t trits[MOST];
static EB_ALIGNED(16) uint8_t ref_weights[MOST / 4 + ROWS];
static EB_ALIGNED(16) uint8_t weight_block[MOST / 4 + 2 * EB_CHECK_GUARD];
static EB_ALIGNED(16) uint8_t input_block[4 * (COLS + 8) + 2 * EB_CHECK_GUARD];
static EB_ALIGNED(16) uint8_t scratch_block[SCRATCH + 2 * EB_CHECK_GUARD];
static EB_ALIGNED(16) uint8_t acc_block[4 * ROWS + 16 + 2 * EB_CHECK_GUARD];
static float want[ROWS];

static int8_t make_trit(int kind, uint32_t *random) {
    const int8_t sign = (eb_check_random(random) >> 9 & 1) != 0 ? 1 : -1;
    const uint32_t roll = eb_check_below(random, 16);
    return kind == 0   ? 0
           : kind == 1 ? 1
           : kind == 2 ? (int8_t)(roll < 8 ? 0 : sign)
           : kind == 3 ? sign
                       : (int8_t)(roll == 0 ? sign : 0);
}

static float make_input(int kind, int32_t k, uint32_t *random) {
    const uint32_t any = eb_check_random(random);
    const uint32_t sign = any & 0x80000000u;
    const uint32_t fraction = any & 0x7fffffu;
    const uint32_t spread = eb_check_below(random, 200);
    switch (kind) {
    case X_ALL:
        return eb_f32_of_bits(sign | (spread << 23) | fraction);
    case X_SUBNORMAL:
        return eb_f32_of_bits(sign | (spread & 1) << 23 | fraction);
    case X_ONE:
        return eb_f32_of_bits(k == 3 ? 1u : sign | (120 + (spread & 7)) << 23 | fraction);
    case X_LARGE:
        return eb_f32_of_bits(sign | (250 + (spread & 3)) << 23 | fraction);
    case X_ZEROS:
        return eb_f32_of_bits(sign);
    default:
        return eb_f32_of_bits(sign | (120 + (spread & 7)) << 23 | fraction);
    }
}

// By bits: small cores' testers have no float library.
static int same(uint32_t a, uint32_t b) {
    const uint32_t infinity = 0x7f800000u;
    return a == b || ((a & 0x7fffffffu) > infinity && (b & 0x7fffffffu) > infinity);
}

static void check_one(eb_check_run *t, eb_check_buffer weights, int32_t rows, int32_t cols, int kind) {
    const int32_t readable = (cols + 7) & ~7;
    const int32_t high = eb_check_height(rows, t->layout);
    eb_check_buffer x = eb_check_guard(input_block, 0, 4 * (uint32_t)readable);
    float *in = (float *)(void *)x.data;
    for (int32_t k = 0; k < readable; k++) { // past the end lies anything, NaN too
        in[k] = k < cols ? make_input(kind, k, &t->random) : eb_f32_of_bits(0x7fc00000u);
    }
    eb_check_buffer acc = eb_check_guard(acc_block, 4 * (t->random >> 7 & 3), 4 * (uint32_t)high);
    eb_check_buffer scratch = eb_check_guard(scratch_block, 0, t->layout->scratch(rows, cols));
    eb_check_call c = {.weights = weights, .x = x, .acc = acc, .scratch = scratch};
    eb_check_begin(&c);
    ((tmatvec)t->ref->function)(ref_weights, in, want, rows, cols, NULL);
    ((tmatvec)t->kernel->function)(weights.data, in, (float *)(void *)acc.data, rows, cols,
                                   scratch.bytes > 0 ? scratch.data : NULL);
    const char *what = NULL;
    for (int32_t r = 0; r < rows; r++) {
        uint32_t got;
        memcpy(&got, acc.data + 4 * r, sizeof got);
        what = same(got, eb_bits_of_f32(want[r])) ? what : "differs from ref";
    }
    if (eb_check_end(t, &c, what, rows, cols)) {
        eb_check_write(", inputs ");
        eb_check_write(input_names[kind]);
        eb_check_write("\n");
    }
}

static eb_check_buffer pack(eb_check_run *t, int32_t rows, int32_t cols, int w) {
    for (int32_t i = 0; i < rows * cols; i++) {
        trits[i] = make_trit(w, &t->random);
    }
    eb_check_find_layout(t->ref->layout)->pack(trits, rows, cols, ref_weights);
    const uint32_t bytes = t->layout->pack(trits, rows, cols, weight_block + EB_CHECK_GUARD);
    return eb_check_guard(weight_block, 0, bytes);
}

static eb_check_result test(const eb_kernel_descriptor *kernel, const eb_kernel_descriptor *ref,
                            uint32_t seed) {
    eb_check_run t;
    if (!eb_check_open(&t, kernel, ref, seed)) {
        return t.result;
    }
    for (int32_t s = 0; s < SHAPES; s++) {
        for (int w = 0; w < WEIGHTS; w++) {
            const eb_check_buffer weights = pack(&t, shapes[s].rows, shapes[s].cols, w);
            for (int kind = 0; kind < INPUTS; kind++) {
                for (int again = 0; again < 2; again++) {
                    check_one(&t, weights, shapes[s].rows, shapes[s].cols, kind);
                }
            }
        }
    }
    return t.result;
}

static void bench(const eb_kernel_descriptor *kernel, uint32_t seed) {
    enum { BENCH_ROWS = 8, REPEATS = 8 };
    eb_check_run t;
    if (!eb_check_open(&t, kernel, kernel, seed)) {
        return;
    }
    const eb_check_buffer weights = pack(&t, BENCH_ROWS, COLS, 2);
    float *in = (float *)(void *)(input_block + EB_CHECK_GUARD);
    for (int32_t k = 0; k < COLS; k++) {
        in[k] = make_input(X_PLAIN, k, &t.random);
    }
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < REPEATS; i++) {
        const uint64_t start = eb_check_ticks();
        ((tmatvec)kernel->function)(weights.data, in, want, BENCH_ROWS, COLS, scratch_block + EB_CHECK_GUARD);
        const uint64_t spent = eb_check_ticks() - start;
        least = spent < least ? spent : least;
    }
    eb_check_write(": 8 rows, 512 columns: ");
    eb_check_print_ticks(least);
}

const eb_check_family eb_check_tmatvec_f32 = {"tmatvec_f32", test, bench};
