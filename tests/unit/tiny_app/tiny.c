// SPDX-License-Identifier: Apache-2.0
#include "tiny.h"

void eb_trace(uint32_t layer, const void *p, uint32_t bytes);

static const uint8_t key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint8_t unit[3] = {0, 0, 1};

const eb_segment tiny_segments[2] = {{key, sizeof key, 0}, {unit, sizeof unit, 1}};

int tiny_init(tiny_ctx *ctx, void *state, size_t state_bytes, void *arena, size_t arena_bytes) {
    if (ctx == NULL || arena == NULL || arena_bytes < TINY_BYTES + 8u || ((uintptr_t)arena & 15u) != 0) {
        return -1;
    }
    (void)state;
    (void)state_bytes;
    ctx->arena = arena;
    return tiny_reset(ctx);
}

int tiny_reset(tiny_ctx *ctx) {
    ctx->runs = 0;
    return 0;
}

// In place, like a planned arena: the input is gone after a run. Output 1 is {sum, runs since reset}.
int tiny_run(tiny_ctx *ctx) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < TINY_BYTES; i++) {
        ctx->arena[i] = (uint8_t)(ctx->arena[i] ^ key[i % 16u]);
    }
    eb_trace(0, ctx->arena, TINY_BYTES);
    for (uint32_t i = 0; i < TINY_BYTES; i++) {
        sum += (uint32_t)ctx->arena[i] * unit[2];
    }
    ctx->runs++;
    uint8_t *out = ctx->arena + TINY_BYTES;
    for (uint32_t i = 0; i < 4; i++) {
        out[i] = (uint8_t)(sum >> (8u * i) & 0xFFu);
        out[4 + i] = (uint8_t)(ctx->runs >> (8u * i) & 0xFFu);
    }
    eb_trace(1, out, 8);
    return 0;
}
