// SPDX-License-Identifier: Apache-2.0
// The first and the last matrix: a token's embedding, and the logits of a hidden vector. Both are (VOCAB,
// WIDTH_PAD) numbers as EB_D_MATRIX_KIND says, rows of int8 with a binary32 scale each; or rows of four bits
// as rowdots_s4.h has them, with such a scale too.
#include "decoder.h"
#include "rowdots/rowdots.h"
#include "rowdots_s4/rowdots_s4.h"

#if EB_D_MATRIX_KIND == EB_D_S4
EB_ROWDOTS_S4_DECL(EB_D_ROWDOTS);
enum { ROW_BYTES = EB_S4_ROW_BYTES(EB_D_S4_COLS) };
#else
EB_ROWDOTS_DECL(EB_D_ROWDOTS);
#if EB_D_MATRIX_KIND == EB_D_F32
enum { ROW_BYTES = 4 * EB_D_WIDTH_PAD };
#elif EB_D_MATRIX_KIND == EB_D_S8
enum { ROW_BYTES = EB_D_WIDTH_PAD };
#else
enum { ROW_BYTES = 2 * EB_D_WIDTH_PAD };
#endif
#endif
// Rows that threads share out, so that no two write to one cache line.
enum { ROWS = 16 };

void EB_D(embed)(const eb_d_context *ctx, int32_t id, float *hidden) {
    const void *row = (const uint8_t *)eb_d_at(ctx, EB_D_EMBED) + (size_t)id * ROW_BYTES;
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
#elif EB_D_MATRIX_KIND == EB_D_S4
    const float scale = ((const float *)eb_d_at(ctx, EB_D_EMBED_SCALE))[id];
    const uint8_t *bytes = row;
    for (int32_t i = 0; i < EB_D_WIDTH; i++) {
        const int32_t group = i / EB_S4_GROUP;
        const int32_t pair = bytes[group / 2 * EB_S4_GROUP + i % EB_S4_GROUP];
        const int32_t q = (group % 2 != 0 ? pair >> 4 : pair & 15) - 8;
        hidden[i] = (float)(q * bytes[EB_D_S4_COLS / 2 + group]) * scale;
    }
#else
    const float scale = ((const float *)eb_d_at(ctx, EB_D_EMBED_SCALE))[id];
    for (int32_t i = 0; i < EB_D_WIDTH; i++) {
        hidden[i] = (float)((const int8_t *)row)[i] * scale;
    }
#endif
}

#if EB_D_MATRIX_KIND == EB_D_S4
// x[WIDTH] in 16 bits, into `room`: k = rne(x * (32512 / a)) with a the largest magnitude, zeros when a is
// not above 2^-100. Returns what one of them counts. |x * s| stays below 2^22, so adding 1.5 * 2^23 rounds.
static float four_bit_input(const float *x, void *room, eb_s4_vector *v) {
    int8_t *high = room;
    int8_t *low = high + EB_D_S4_COLS;
    int32_t *less = (void *)(low + EB_D_S4_COLS);
    float a = 0.0f;
    for (int32_t i = 0; i < EB_D_WIDTH; i++) {
        const float m = eb_abs_f32(x[i]);
        a = m > a ? m : a;
    }
    const int live = a > 0x1p-100f;
    const float s = live ? eb_div_f32((float)EB_S4_LARGEST, a) : 0.0f;
    memset(room, 0, EB_D_S4_INPUT * sizeof(float));
    for (int32_t i = 0; i < EB_D_WIDTH; i++) {
        const int32_t k = (int32_t)((x[i] * s + 12582912.0f) - 12582912.0f);
        const int32_t h = (k + 128) >> 8;
        high[i] = (int8_t)h;
        low[i] = (int8_t)(k - h * 256);
        less[i / 4] -= 8 * k;
    }
    v->high = high;
    v->low = low;
    v->less = less;
    return live ? eb_div_f32(a, (float)EB_S4_LARGEST) : 0.0f;
}
#endif

float *EB_D(head)(eb_d_context *ctx, int32_t thread, int32_t index) {
    eb_d_scratch s;
    EB_D(scratch_of)(ctx, thread, &s);
    int32_t first, last;
    eb_d_share(EB_D_UP(EB_D_VOCAB, ROWS) / ROWS, thread, ctx->threads, &first, &last);
    first *= ROWS;
    last = last * ROWS < EB_D_VOCAB ? last * ROWS : EB_D_VOCAB;
    if (first < last) {
        const uint8_t *rows = (const uint8_t *)eb_d_at(ctx, EB_D_HEAD) + (size_t)first * ROW_BYTES;
        const float *x = s.normed + index * (ptrdiff_t)EB_D_COLS_PAD;
#if EB_D_MATRIX_KIND == EB_D_S4
        eb_s4_vector v;
        const float unit = four_bit_input(x, s.own, &v);
        EB_D_ROWDOTS(rows, &v, s.logits + first, last - first, EB_D_S4_COLS);
        const float *scale = (const float *)eb_d_at(ctx, EB_D_HEAD_SCALE);
        for (int32_t i = first; i < last; i++) {
            s.logits[i] = (s.logits[i] * scale[i]) * unit;
        }
#else
        EB_D_ROWDOTS(rows, x, s.logits + first, last - first, EB_D_WIDTH_PAD);
#endif
#if EB_D_MATRIX_KIND == EB_D_S8
        const float *scale = (const float *)eb_d_at(ctx, EB_D_HEAD_SCALE);
        for (int32_t i = first; i < last; i++) {
            s.logits[i] = s.logits[i] * scale[i];
        }
#endif
    }
    return s.logits;
}
