// SPDX-License-Identifier: Apache-2.0
// Runs many calls of the Helium kernels in one start of an emulator: reads "cases.bin" and writes
// "results.bin" in the emulator's folder by semihosting. A case, all numbers int32 in little endian:
//
//   product:  0 (digits4) or 3 (digits7) rows cols weight_bytes, the weights, cols rounded up to 16 inputs
//             -> 4 words of guard, accumulators of the rows rounded up to 4, 4 words of guard
//   points:   2 (vlut3) or 4 (digits7) rows cols pixels weight_bytes scratch_bytes qmin qmax, the weights,
//   the entries of the rows, the inputs
//             -> 16 bytes of guard, the outputs, 16 bytes of guard, and 1 if nothing was written behind
//             scratch
//   requant:  1 n half pre_shift qmin qmax, n entries of 8 bytes, n sums
//             -> 16 bytes of guard, n bytes, 16 bytes of guard
#include "check.h"
#include "semihosting.h"

#include "epilogue/requant_mve.h"
#include "tmatvec_s8/tmatvec_s8.h"
#include "tpoints_s8/tpoints_s8.h"

EB_TMATVEC_S8_DECL(eb_tmatvec_s8__mve);
EB_TMATVEC_S8_DECL(eb_tmatvec_s8__mve_digits7);
EB_TPOINTS_S8_DECL(eb_tpoints_s8__mve_vlut3);
EB_TPOINTS_S8_DECL(eb_tpoints_s8__mve_digits7);

enum { WIDEST = 131072, ROWS = 256, POINTS = 4096, SCRATCH = 49152 };

static EB_ALIGNED(16) uint8_t weights[WIDEST + 32];
static EB_ALIGNED(16) int8_t inputs[WIDEST + 16];
static EB_ALIGNED(16) int32_t results[POINTS + 8];
static EB_ALIGNED(16) uint8_t scratch[SCRATCH + 16];
static EB_ALIGNED(16) eb_requant_entry table[ROWS];

static int product(int kind, uintptr_t in, uintptr_t out) {
    int32_t shape[3] = {0};
    if (!transfer(SYS_READ, in, shape, sizeof shape)) {
        return 0;
    }
    uint32_t width = ((uint32_t)shape[1] + 15) & ~15u;
    uint32_t high = ((uint32_t)shape[0] + 3) & ~3u;
    if (high > ROWS || width > WIDEST || (uint32_t)shape[2] > sizeof weights) {
        return 0;
    }
    memset(results, 0x5A, sizeof results);
    if (!transfer(SYS_READ, in, weights, (uint32_t)shape[2]) || !transfer(SYS_READ, in, inputs, width)) {
        return 0;
    }
    if (kind == 0) {
        eb_tmatvec_s8__mve(weights, inputs, results + 4, shape[0], shape[1], NULL);
    } else {
        eb_tmatvec_s8__mve_digits7(weights, inputs, results + 4, shape[0], shape[1], NULL);
    }
    return transfer(SYS_WRITE, out, results, 4 * (high + 8));
}

static int requant(uintptr_t in, uintptr_t out) {
    int32_t head[5] = {0};
    if (!transfer(SYS_READ, in, head, sizeof head) || head[0] > ROWS) {
        return 0;
    }
    const eb_requant_params p = {head[1], head[2], head[3], head[4]};
    uint32_t n = (uint32_t)head[0];
    memset(results, 0x5A, sizeof results);
    if (!transfer(SYS_READ, in, weights, 8 * n) || !transfer(SYS_READ, in, inputs, 4 * n)) {
        return 0;
    }
    eb_requant_row__mve((const int32_t *)(const void *)inputs,
                        (const eb_requant_entry *)(const void *)weights, (int8_t *)(results + 4), &p,
                        (int32_t)n);
    return transfer(SYS_WRITE, out, results, n + 32);
}

static int points(int kind, uintptr_t in, uintptr_t out) {
    int32_t head[7] = {0};
    if (!transfer(SYS_READ, in, head, sizeof head)) {
        return 0;
    }
    const eb_tpoints_s8_params p = {head[0], head[1], head[2], {0, 0, head[5], head[6]}};
    const uint32_t made = (uint32_t)(p.rows * p.pixels);
    const uint32_t bytes = (uint32_t)(p.cols * p.pixels);
    const uint32_t own = (uint32_t)head[4];
    if (p.rows > ROWS || made > 4 * POINTS || bytes > WIDEST || (uint32_t)head[3] > sizeof weights ||
        own > SCRATCH) {
        return 0;
    }
    memset(results, 0x5A, sizeof results);
    memset(scratch + own, 0x5A, 16);
    if (!transfer(SYS_READ, in, weights, (uint32_t)head[3]) ||
        !transfer(SYS_READ, in, table, 8 * (uint32_t)p.rows) || !transfer(SYS_READ, in, inputs, bytes)) {
        return 0;
    }
    if (kind == 2) {
        eb_tpoints_s8__mve_vlut3(&p, inputs, weights, table, (int8_t *)(results + 4), scratch);
    } else {
        memset(inputs + bytes, 77, 16); // may be read, and must not change a result
        eb_tpoints_s8__mve_digits7(&p, inputs, weights, table, (int8_t *)(results + 4), scratch);
    }
    int8_t kept = 1;
    for (uint32_t i = 0; i < 16; i++) {
        kept &= scratch[own + i] == 0x5A;
    }
    return transfer(SYS_WRITE, out, results, made + 32) && transfer(SYS_WRITE, out, &kept, 1);
}

int eb_check_main(int argc, const char *const *argv) {
    (void)argc;
    (void)argv;
    int32_t kind = 0;
    uintptr_t in = open_file("cases.bin", READ_BINARY, 9);
    uintptr_t out = open_file("results.bin", WRITE_BINARY, 11);
    int fine = 1;
    while (fine && transfer(SYS_READ, in, &kind, sizeof kind)) {
        fine = kind == 0 || kind == 3 ? product(kind, in, out)
               : kind == 1            ? requant(in, out)
                                      : points(kind, in, out);
    }
    call(SYS_CLOSE, &out);
    return !fine;
}
