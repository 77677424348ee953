// SPDX-License-Identifier: Apache-2.0
// Keys and values, and attention over them in blocks of EB_D_POSITIONS positions.
//
// The kv region holds, layer by layer, keys then values, (KV_HEADS, context, HEAD_PAD) numbers each; with
// int8, binary32 units follow all of them: (LAYERS, 2, KV_HEADS, context). A position's rows lie together, so
// memory is touched only as positions are used.
#include "attend/attend.h"
#include "decoder.h"

EB_ATTEND_DECL(EB_D_ATTEND);

enum { KEYS = 0, VALUES = 1 };

size_t EB_D(kv_bytes)(int32_t context) {
    const size_t rows = (size_t)EB_D_LAYERS * 2 * EB_D_KV_HEADS * (size_t)context;
    const size_t units = EB_D_KV_KIND == EB_D_S8 ? rows * sizeof(float) : 0;
    return EB_D_UP(rows * EB_D_HEAD_PAD * EB_D_KV_BYTES, (size_t)EB_D_UNIT) + units;
}

static size_t row_of(const eb_d_context *ctx, int32_t layer, int32_t which, int32_t head, int32_t position) {
    const size_t list = ((size_t)layer * 2 + (size_t)which) * EB_D_KV_HEADS + (size_t)head;
    return list * (size_t)ctx->context + (size_t)position;
}

static uint8_t *data_of(const eb_d_context *ctx, size_t row) {
    return ctx->kv + row * EB_D_HEAD_PAD * EB_D_KV_BYTES;
}

#if EB_D_KV_KIND == EB_D_S8
static float *unit_of(const eb_d_context *ctx, size_t row) {
    const size_t rows = (size_t)EB_D_LAYERS * 2 * EB_D_KV_HEADS * (size_t)ctx->context;
    return (float *)(void *)(ctx->kv + EB_D_UP(rows * EB_D_HEAD_PAD, (size_t)EB_D_UNIT)) + row;
}
#endif

// One head's key or value; x has HEAD_PAD numbers.
static void store_row(const eb_d_context *ctx, size_t row, const float *x) {
#if EB_D_KV_KIND == EB_D_F32
    memcpy(data_of(ctx, row), x, EB_D_HEAD_PAD * sizeof *x);
#elif EB_D_KV_KIND == EB_D_F16
    uint16_t *to = (void *)data_of(ctx, row);
    for (int32_t i = 0; i < EB_D_HEAD_PAD; i++) {
        to[i] = eb_f16_of_f32(x[i]);
    }
#else
    int8_t *to = (void *)data_of(ctx, row);
    float a = 0.0f;
    for (int32_t i = 0; i < EB_D_HEAD_PAD; i++) {
        const float v = eb_abs_f32(x[i]);
        a = v > a ? v : a;
    }
    const int live = a > 0x1p-100f;
    const float s = live ? eb_div_f32(127.0f, a) : 0.0f;
    for (int32_t i = 0; i < EB_D_HEAD_PAD; i++) {
        to[i] = eb_quantize_s8(x[i] * s, 0, -127, 127);
    }
    *unit_of(ctx, row) = live ? eb_div_f32(a, 127.0f) : 0.0f;
#endif
}

void EB_D(store)(const eb_d_context *ctx, int32_t layer, int32_t kv_head, int32_t position, const float *k,
                 const float *v) {
    store_row(ctx, row_of(ctx, layer, KEYS, kv_head, position), k);
    store_row(ctx, row_of(ctx, layer, VALUES, kv_head, position), v);
}

// Places of one block's results.
static size_t part_of(int32_t kv_head, int32_t block) {
    return ((size_t)kv_head * EB_D_BLOCKS + (size_t)block) * EB_D_TILE * EB_D_SHARED;
}

// One block of one key-value head: tokens that see all of it together, the others one by one.
static void attend_block(const eb_d_context *ctx, const eb_d_scratch *s, int32_t layer, int32_t kv_head,
                         int32_t block, int32_t n, int32_t first) {
    const int32_t start = block * EB_D_POSITIONS;
    const size_t key = row_of(ctx, layer, KEYS, kv_head, start);
    const size_t value = row_of(ctx, layer, VALUES, kv_head, start);
#if EB_D_KV_KIND == EB_D_S8
    const float *ku = unit_of(ctx, key);
    const float *vu = unit_of(ctx, value);
#else
    const float *ku = NULL;
    const float *vu = NULL;
#endif
    const float *q = s->query + (size_t)kv_head * (size_t)n * EB_D_SHARED * EB_D_HEAD_PAD;
    const size_t part = part_of(kv_head, block);
    int32_t token = start - first > 0 ? start - first : 0; // earlier ones do not see the block
    while (token < n) {
        const int32_t seen = first + token + 1 - start;
        const int32_t whole = seen >= EB_D_POSITIONS;
        const int32_t tokens = whole ? n - token : 1;
        const eb_attend_params p = {tokens * EB_D_SHARED, whole ? EB_D_POSITIONS : seen, EB_D_HEAD_PAD,
                                    EB_D_ATTEND_SCALE};
        const size_t at = (size_t)token * EB_D_SHARED;
        EB_D_ATTEND(&p, q + at * EB_D_HEAD_PAD, data_of(ctx, key), data_of(ctx, value), ku, vu,
                    s->part_ml + (part + at) * 2, s->part + (part + at) * EB_D_HEAD_PAD, s->own);
        token += tokens;
    }
}

// This thread's share of all blocks of all key-value heads.
void EB_D(attend)(const eb_d_context *ctx, int32_t thread, const eb_d_scratch *s, int32_t layer, int32_t n,
                  int32_t first) {
    const int32_t blocks = (first + n - 1) / EB_D_POSITIONS + 1;
    int32_t at, last;
    eb_d_share(blocks * EB_D_KV_HEADS, thread, ctx->threads, &at, &last);
    for (; at < last; at++) {
        attend_block(ctx, s, layer, at / blocks, at % blocks, n, first);
    }
}

// out[HEAD_DIM]: the blocks of one token and head put together, in order.
void EB_D(combine)(const eb_d_scratch *s, int32_t first, int32_t token, int32_t head, float *out) {
    const int32_t kv_head = head / EB_D_SHARED;
    const int32_t blocks = (first + token) / EB_D_POSITIONS + 1;
    const size_t at = (size_t)token * EB_D_SHARED + (size_t)(head % EB_D_SHARED);
    float top = -EB_INFINITY;
    for (int32_t b = 0; b < blocks; b++) {
        const float m = s->part_ml[(part_of(kv_head, b) + at) * 2];
        top = m > top ? m : top;
    }
    float total = 0.0f;
    float sum[EB_D_HEAD_PAD] = {0.0f};
    for (int32_t b = 0; b < blocks; b++) {
        const size_t place = part_of(kv_head, b) + at;
        const float w = eb_exp_f32(s->part_ml[place * 2] - top);
        const float *o = s->part + place * EB_D_HEAD_PAD;
        total += w * s->part_ml[place * 2 + 1];
        for (int32_t i = 0; i < EB_D_HEAD_PAD; i += 8) {
            eb_f32x8 *to = (eb_f32x8 *)(sum + i);
            *to = *to + *(const eb_f32x8 *)(o + i) * w;
        }
    }
    const float scale = eb_div_f32(1.0f, total);
    for (int32_t i = 0; i < EB_D_HEAD_DIM; i++) {
        out[i] = sum[i] * scale;
    }
}
