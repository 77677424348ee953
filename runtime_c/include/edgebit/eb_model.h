// SPDX-License-Identifier: Apache-2.0
// What generated models share: the table of their constants, the end-of-layer hook, the check of float
// inputs.
#ifndef EDGEBIT_EB_MODEL_H
#define EDGEBIT_EB_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// One constant array of a model, for checking what really is in flash.
typedef struct {
    const void *p;
    uint32_t bytes;
    uint32_t layer;
} eb_segment;

// The address `offset` bytes into the arena. Compilers must not know that two such addresses are related:
// else they compute some early and keep them on the stack, and how deep it is would depend on the whole
// network.
#define EB_AT(type, arena, offset) ((type *)eb_at((arena), (offset)))
static inline __attribute__((always_inline)) void *eb_at(uint8_t *arena, uint32_t offset) {
    __asm__ volatile("" : "+r"(arena));
    return arena + offset;
}

// Stands after every layer of <model>_run, once for each tensor it made. Nothing, unless the program is built
// with EB_TRACE and defines eb_trace (the bench application does).
#ifdef EB_TRACE
void eb_trace(uint32_t layer, const void *data, uint32_t bytes);
#define EB_LAYER_END(layer, data, bytes) eb_trace((layer), (data), (bytes))
#else
#define EB_LAYER_END(layer, data, bytes) ((void)sizeof(data))
#endif

// 1 when none of n binary32 values is NaN or infinite. Looks at the bits: cores differ on comparing NaN.
// Unrolled, it would take from 20 to 580 bytes, as n has it, which nothing can account for before compiling.
static inline int eb_all_finite(const float *x, size_t n) {
#ifdef __clang__
#pragma clang loop unroll(disable)
#endif
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        if ((bits & 0x7F800000u) == 0x7F800000u) {
            return 0;
        }
    }
    return 1;
}

#endif
