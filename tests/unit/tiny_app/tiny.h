// SPDX-License-Identifier: Apache-2.0
// A model by hand with the interface of a generated one: y[i] = x[i] XOR key[i mod 16], then the sum of y.
#ifndef TINY_H
#define TINY_H

#include <stddef.h>
#include <stdint.h>

#define TINY_BYTES 1500u

typedef struct {
    uint8_t *arena;
    uint32_t runs;
} tiny_ctx;

typedef struct {
    const void *p;
    uint32_t bytes;
    uint32_t layer;
} eb_segment;

extern const eb_segment tiny_segments[2];

int tiny_init(tiny_ctx *ctx, void *state, size_t state_bytes, void *arena, size_t arena_bytes);
int tiny_reset(tiny_ctx *ctx);
int tiny_run(tiny_ctx *ctx);

#endif
