// SPDX-License-Identifier: Apache-2.0
// Ternary products with a scale for each group of inputs, int8 and binary32: shapes with every kind of tail
// and short last groups, sums at their bounds, scales and units of all sizes. All bits are compared.
#include "check.h"

#include "edgebit/eb_math.h"
#include "tgroups_f32/tgroups_f32.h"
#include "tgroups_s8/tgroups_s8.h"

typedef void (*tgroups_s8)(const uint8_t *w, const float *scales, const int8_t *x, const float *d, float *acc,
                           int32_t rows, int32_t cols, int32_t group, int32_t units, void *scratch);
typedef void (*tgroups_f32)(const uint8_t *w, const float *scales, const float *x, float *acc, int32_t rows,
                            int32_t cols, int32_t group, void *scratch);

static const struct {
    int16_t rows;
    int16_t cols;
    int16_t group;
} shapes[] = {{1, 1, 16},   {1, 16, 16},   {3, 17, 16},   {7, 31, 16},  {8, 48, 32},   {9, 65, 64},
              {16, 64, 64}, {17, 200, 64}, {5, 130, 128}, {33, 96, 48}, {2, 400, 128}, {64, 20, 16}};
enum {
    SHAPES = sizeof shapes / sizeof shapes[0],
    COLS = 400,
    GROUPS = 16,
    // Small cores have no variant but the reference, and no memory to spare.
    ROWS = EB_CHECK_MAX_ROWS > 48 ? 64 : 40,
    PACKED = EB_CHECK_MAX_ROWS > 48 ? 16 * COLS : 2048,
    SCRATCH = EB_CHECK_MAX_ROWS > 48 ? 4 * GROUPS + 16 * COLS : 4 * GROUPS,
};
enum { W_ONES, W_MINUS, W_HALF, W_DENSE, WEIGHTS };
enum { X_LEAST, X_MOST, X_RANDOM, X_SMALL, INPUTS };

static int8_t trits[4096];
static EB_ALIGNED(16) uint8_t ref_weights[2048];
static EB_ALIGNED(16) uint8_t weight_block[PACKED + 2 * EB_CHECK_GUARD];
static EB_ALIGNED(16) uint8_t input_block[4 * (COLS + 16) + 2 * EB_CHECK_GUARD];
static EB_ALIGNED(16) uint8_t scratch_block[SCRATCH + 2 * EB_CHECK_GUARD];
static EB_ALIGNED(16) uint8_t acc_block[4 * ROWS + 16 + 2 * EB_CHECK_GUARD];
static float plain_scales[GROUPS * ROWS];
static EB_ALIGNED(16) float scales[GROUPS * ROWS];
static float units[GROUPS];
static float want[ROWS];

static int is_float(const eb_check_run *t) {
    return eb_check_equal(t->kernel->family, "tgroups_f32");
}

static float any_float(uint32_t *random, uint32_t least, uint32_t spread) {
    const uint32_t any = eb_check_random(random);
    const uint32_t exponent = least + eb_check_below(random, spread);
    return eb_f32_of_bits((any & 0x80000000u) | exponent << 23 | (any & 0x7fffffu));
}

static void make_weights(eb_check_run *t, int32_t rows, int32_t cols, int32_t groups, int kind) {
    for (int32_t i = 0; i < rows * cols; i++) {
        const uint32_t any = eb_check_random(&t->random) >> 9;
        const int8_t sign = (any & 1) != 0 ? 1 : -1;
        trits[i] = kind == W_ONES ? 1 : kind == W_MINUS ? -1 : kind == W_DENSE || (any & 2) != 0 ? sign : 0;
    }
    const int32_t high = eb_check_height(rows, t->layout);
    for (int32_t g = 0; g < groups; g++) {
        units[g] = any_float(&t->random, 118, 8);
        for (int32_t r = 0; r < high; r++) {
            scales[g * high + r] = r < rows ? any_float(&t->random, 110, 20) : 1.0f;
            if (r < rows) {
                plain_scales[g * rows + r] = scales[g * high + r];
            }
        }
    }
}

static void make_inputs(eb_check_run *t, uint8_t *x, int32_t cols, int32_t readable, int kind) {
    const int floats = is_float(t);
    for (int32_t k = 0; k < readable; k++) {
        if (floats) { // past the end lies anything, NaN too
            const float in = kind == X_LEAST   ? -128.0f
                             : kind == X_MOST  ? 127.0f
                             : kind == X_SMALL ? any_float(&t->random, 0, 3)
                                               : any_float(&t->random, 100, 40);
            const float past = eb_f32_of_bits(0x7fc00000u);
            memcpy(x + 4 * k, k < cols ? &in : &past, sizeof in);
        } else {
            const uint32_t any = eb_check_random(&t->random) >> 11;
            const int32_t in = kind == X_LEAST   ? -128
                               : kind == X_MOST  ? 127
                               : kind == X_SMALL ? (int32_t)eb_check_below(&t->random, 3) - 1
                                                 : (int32_t)(any & 0xFF);
            x[k] = (uint8_t)(k < cols ? in : (int32_t)(any & 0xFF));
        }
    }
}

static void call(const eb_check_run *t, const eb_kernel_descriptor *k, const uint8_t *w, const float *scale,
                 const uint8_t *x, uint8_t *acc, const int32_t size[3], int32_t unit_count, void *scratch) {
    if (is_float(t)) {
        ((tgroups_f32)k->function)(w, scale, (const float *)(const void *)x, (float *)(void *)acc, size[0],
                                   size[1], size[2], scratch);
    } else {
        ((tgroups_s8)k->function)(w, scale, (const int8_t *)x, units, (float *)(void *)acc, size[0], size[1],
                                  size[2], unit_count, scratch);
    }
}

static void check_one(eb_check_run *t, eb_check_buffer weights, const int32_t size[3], int kind,
                      int32_t unit_count) {
    const int32_t rows = size[0];
    const int32_t cols = size[1];
    const uint32_t groups = eb_check_steps(cols, size[2]);
    const int32_t readable = is_float(t) ? (cols + 7) & ~7 : (cols + 15) & ~15;
    eb_check_buffer x = eb_check_guard(input_block, 0, (uint32_t)readable * (is_float(t) ? 4u : 1u));
    make_inputs(t, x.data, cols, readable, kind);
    eb_check_buffer acc =
        eb_check_guard(acc_block, 4 * (t->random >> 7 & 3), 4 * (uint32_t)eb_check_height(rows, t->layout));
    const uint32_t own = ((4 * groups + 15) & ~15u) + t->layout->scratch(rows, cols);
    eb_check_buffer scratch = eb_check_guard(scratch_block, 0, own);
    eb_check_call c = {.weights = weights, .x = x, .acc = acc, .scratch = scratch};
    eb_check_begin(&c);
    call(t, t->ref, ref_weights, plain_scales, x.data, (uint8_t *)want, size, unit_count, NULL);
    call(t, t->kernel, weights.data, scales, x.data, acc.data, size, unit_count, scratch.data);
    const char *what = NULL;
    for (int32_t r = 0; r < rows; r++) {
        uint32_t got;
        memcpy(&got, acc.data + 4 * r, sizeof got);
        what = got == eb_bits_of_f32(want[r]) ? what : "differs from ref";
    }
    if (eb_check_end(t, &c, what, rows, cols)) {
        eb_check_write(", groups of ");
        eb_check_print_s32(size[2]);
        eb_check_write("\n");
    }
}

static eb_check_result test(const eb_kernel_descriptor *kernel, const eb_kernel_descriptor *ref,
                            uint32_t seed) {
    eb_check_run t;
    if (!eb_check_open(&t, kernel, ref, seed)) {
        return t.result;
    }
    for (int32_t again = 0; again < 4; again++) {
        for (int32_t s = 0; s < SHAPES; s++) {
            const int32_t size[3] = {shapes[s].rows, shapes[s].cols, shapes[s].group};
            if (eb_check_height(size[0], t.layout) > ROWS) {
                continue;
            }
            const int32_t groups = (int32_t)eb_check_steps(size[1], size[2]);
            for (int w = 0; w < WEIGHTS; w++) {
                make_weights(&t, size[0], size[1], groups, w);
                eb_check_find_layout(ref->layout)->pack(trits, size[0], size[1], ref_weights);
                const uint32_t bytes = t.layout->pack(trits, size[0], size[1], weight_block + EB_CHECK_GUARD);
                const eb_check_buffer weights = eb_check_guard(weight_block, 0, bytes);
                for (int kind = 0; kind < INPUTS; kind++) {
                    check_one(&t, weights, size, kind, 1);
                    check_one(&t, weights, size, kind, groups);
                }
            }
        }
    }
    return t.result;
}

static void bench(const eb_kernel_descriptor *kernel, uint32_t seed) {
    enum { BENCH_ROWS = 8, BENCH_COLS = 384, GROUP = 128, REPEATS = 8 };
    eb_check_run t;
    if (!eb_check_open(&t, kernel, kernel, seed)) {
        return;
    }
    const int32_t size[3] = {BENCH_ROWS, BENCH_COLS, GROUP};
    make_weights(&t, size[0], size[1], BENCH_COLS / GROUP, W_HALF);
    t.layout->pack(trits, size[0], size[1], weight_block + EB_CHECK_GUARD);
    make_inputs(&t, input_block + EB_CHECK_GUARD, size[1], size[1], X_RANDOM);
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < REPEATS; i++) {
        const uint64_t start = eb_check_ticks();
        call(&t, kernel, weight_block + EB_CHECK_GUARD, scales, input_block + EB_CHECK_GUARD,
             acc_block + EB_CHECK_GUARD, size, 1, scratch_block + EB_CHECK_GUARD);
        const uint64_t spent = eb_check_ticks() - start;
        least = spent < least ? spent : least;
    }
    eb_check_write(": 8 rows, 384 columns, groups of 128: ");
    eb_check_print_ticks(least);
}

const eb_check_family eb_check_tgroups_s8 = {"tgroups_s8", test, bench};
const eb_check_family eb_check_tgroups_f32 = {"tgroups_f32", test, bench};
