// SPDX-License-Identifier: Apache-2.0
// The first and the last matrix: a token's embedding, and the logits of a hidden vector. Both are (VOCAB,
// WIDTH_PAD) numbers as EB_D_MATRIX_KIND says, rows of int8 with a binary32 scale each.
#include "decoder.h"
#include "rowdots/rowdots.h"

EB_ROWDOTS_DECL(EB_D_ROWDOTS);

#if EB_D_MATRIX_KIND == EB_D_F32
enum { ITEM = 4 };
#elif EB_D_MATRIX_KIND == EB_D_S8
enum { ITEM = 1 };
#else
enum { ITEM = 2 };
#endif
// Rows that threads share out, so that no two write to one cache line.
enum { ROWS = 16 };

void EB_D(embed)(const eb_d_context *ctx, int32_t id, float *hidden) {
    const void *row = (const uint8_t *)eb_d_at(ctx, EB_D_EMBED) + (size_t)id * EB_D_WIDTH_PAD * ITEM;
#if EB_D_MATRIX_KIND == EB_D_F32
    memcpy(hidden, row, EB_D_WIDTH * sizeof(float));
#elif EB_D_MATRIX_KIND == EB_D_F16
    for (int32_t i = 0; i < EB_D_WIDTH; i++) {
        hidden[i] = eb_f32_of_f16(((const uint16_t *)row)[i]);
    }
#elif EB_D_MATRIX_KIND == EB_D_BF16
    for (int32_t i = 0; i < EB_D_WIDTH; i++) {
        hidden[i] = eb_f32_of_bits((uint32_t)((const uint16_t *)row)[i] << 16);
    }
#else
    const float scale = ((const float *)eb_d_at(ctx, EB_D_EMBED_SCALE))[id];
    for (int32_t i = 0; i < EB_D_WIDTH; i++) {
        hidden[i] = (float)((const int8_t *)row)[i] * scale;
    }
#endif
}

float *EB_D(head)(eb_d_context *ctx, int32_t thread, int32_t index) {
    eb_d_scratch s;
    EB_D(scratch_of)(ctx, thread, &s);
    int32_t first, last;
    eb_d_share(EB_D_UP(EB_D_VOCAB, ROWS) / ROWS, thread, ctx->threads, &first, &last);
    first *= ROWS;
    last = last * ROWS < EB_D_VOCAB ? last * ROWS : EB_D_VOCAB;
    if (first < last) {
        const uint8_t *rows =
            (const uint8_t *)eb_d_at(ctx, EB_D_HEAD) + (size_t)first * EB_D_WIDTH_PAD * ITEM;
        EB_D_ROWDOTS(rows, s.normed + index * (ptrdiff_t)EB_D_COLS_PAD, s.logits + first, last - first,
                     EB_D_WIDTH_PAD);
#if EB_D_MATRIX_KIND == EB_D_S8
        const float *scale = (const float *)eb_d_at(ctx, EB_D_HEAD_SCALE);
        for (int32_t i = first; i < last; i++) {
            s.logits[i] = s.logits[i] * scale[i];
        }
#endif
    }
    return s.logits;
}
