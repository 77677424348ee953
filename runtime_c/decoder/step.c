// SPDX-License-Identifier: Apache-2.0
// A tile of tokens through all layers. Every phase's work is shared out by rows, heads, blocks or tokens; a
// sync stands where one phase reads what another thread wrote.
#include "decoder.h"

// One tile under way, as a thread sees it.
typedef struct {
    eb_d_context *ctx;
    int32_t thread;
    int32_t n, first;
    eb_d_scratch s;
} tile;

static void failed(const tile *w) {
#if EB_D_MAX_THREADS > 1
    __atomic_store_n(&w->ctx->failed, 1, __ATOMIC_RELAXED);
#else
    w->ctx->failed = 1; // an atomic store may be a library's, on cores that have none
#endif
}

static const float *floats(const tile *w, uint32_t place) {
    return eb_d_at(w->ctx, place);
}

// Tokens shared out: normalise (unless weight is 0), quantise. x: rows `step` apart; may be s.normed itself.
static void quantize_tokens(const tile *w, const float *x, int32_t step, uint32_t weight, int32_t n,
                            int32_t padded) {
    int32_t t, last;
    eb_d_share(w->n, w->thread, w->ctx->threads, &t, &last);
    for (; t < last; t++) {
        const float *from = x + t * (ptrdiff_t)step;
        float *normed = w->s.normed + t * (ptrdiff_t)EB_D_COLS_PAD;
        int fine = 1;
        if (weight != 0) {
            fine = EB_D(rms_norm)(from, floats(w, weight), normed, n, padded);
            from = normed;
        }
        fine &= EB_D(quantize)(from, n, w->s.act + t * (ptrdiff_t)EB_D_COLS_PAD,
                               w->s.act_steps + t * (ptrdiff_t)EB_D_ACT_STEPS);
        if (!fine) {
            failed(w);
        }
    }
    EB_D(sync)(w->ctx);
}

// One head as projected, padded with zeros; normalised where the model does that.
static void take_head(const tile *w, const float *from, uint32_t weight, float *x) {
    memset(x, 0, EB_D_HEAD_PAD * sizeof *x);
    memcpy(x, from, EB_D_HEAD_DIM * sizeof *x);
#if EB_D_QK_NORM
    if (!EB_D(rms_norm)(x, floats(w, weight), x, EB_D_HEAD_DIM, EB_D_HEAD_PAD)) {
        failed(w);
    }
#else
    (void)w;
    (void)weight;
#endif
}

static int finite(const float *x) {
    for (int32_t i = 0; i < EB_D_HEAD_DIM; i++) {
        if ((eb_bits_of_f32(x[i]) & 0x7fffffffu) >= 0x7f800000u) {
            return 0;
        }
    }
    return 1;
}

// Tokens times heads shared out: queries turned into their places, keys and values stored.
static void place_heads(const tile *w, int32_t layer) {
    const eb_d_layer *l = &EB_D(layers)[layer];
    int32_t at, last;
    eb_d_share(w->n * (EB_D_HEADS + EB_D_KV_HEADS), w->thread, w->ctx->threads, &at, &last);
    for (; at < last; at++) {
        const int32_t t = at / (EB_D_HEADS + EB_D_KV_HEADS);
        const int32_t head = at % (EB_D_HEADS + EB_D_KV_HEADS);
        const float *table = floats(w, EB_D_ROPE) + (ptrdiff_t)(w->first + t) * EB_D_HEAD_DIM;
        const float *row = w->s.qkv + t * (ptrdiff_t)(EB_D_INNER + 2 * EB_D_KV_WIDTH);
        float x[EB_D_HEAD_PAD];
        if (head < EB_D_HEADS) {
            const int32_t group = head / EB_D_SHARED;
            take_head(w, row + (ptrdiff_t)head * EB_D_HEAD_DIM, l->q_norm, x);
            EB_D(rotate)(table, x);
            const ptrdiff_t place = ((ptrdiff_t)group * w->n + t) * EB_D_SHARED + head % EB_D_SHARED;
            memcpy(w->s.query + place * EB_D_HEAD_PAD, x, sizeof x);
        } else {
            const int32_t kv_head = head - EB_D_HEADS;
            float v[EB_D_HEAD_PAD] = {0.0f};
            take_head(w, row + EB_D_INNER + (ptrdiff_t)kv_head * EB_D_HEAD_DIM, l->k_norm, x);
            EB_D(rotate)(table, x);
            memcpy(v, row + EB_D_INNER + EB_D_KV_WIDTH + (ptrdiff_t)kv_head * EB_D_HEAD_DIM,
                   EB_D_HEAD_DIM * sizeof *v);
            if (!finite(x) || !finite(v)) {
                memset(x, 0, sizeof x);
                memset(v, 0, sizeof v);
                failed(w);
            }
            EB_D(store)(w->ctx, layer, kv_head, w->first + t, x, v);
        }
    }
    EB_D(sync)(w->ctx);
}

static void attention(const tile *w, int32_t layer) {
    const eb_d_layer *l = &EB_D(layers)[layer];
    enum { STEP = EB_D_INNER + 2 * EB_D_KV_WIDTH };
    float *qkv = w->s.qkv;
    EB_D(project)(w->ctx, w->thread, &w->s, &l->q, EB_D_INNER, EB_D_WIDTH, w->n, qkv, STEP, EB_D_STORE);
    EB_D(project)(w->ctx, w->thread, &w->s, &l->k, EB_D_KV_WIDTH, EB_D_WIDTH, w->n, qkv + EB_D_INNER, STEP,
                  EB_D_STORE);
    EB_D(project)(w->ctx, w->thread, &w->s, &l->v, EB_D_KV_WIDTH, EB_D_WIDTH, w->n,
                  qkv + EB_D_INNER + EB_D_KV_WIDTH, STEP, EB_D_STORE);
    EB_D(sync)(w->ctx);
    place_heads(w, layer);
    EB_D(attend)(w->ctx, w->thread, &w->s, layer, w->n, w->first);
    EB_D(sync)(w->ctx);
    int32_t at, last;
    eb_d_share(w->n * EB_D_HEADS, w->thread, w->ctx->threads, &at, &last);
    for (; at < last; at++) {
        const int32_t t = at / EB_D_HEADS;
        const int32_t head = at % EB_D_HEADS;
        float *to = w->s.normed + t * (ptrdiff_t)EB_D_COLS_PAD + (ptrdiff_t)head * EB_D_HEAD_DIM;
        EB_D(combine)(&w->s, w->first, t, head, to);
    }
    EB_D(sync)(w->ctx);
}

// Numbers between n and its padding, which a normalisation would add up.
static void clear_tail(const tile *w, int32_t n, int32_t padded) {
    if (n == padded) {
        return;
    }
    for (int32_t t = 0; t < w->n; t++) {
        memset(w->s.normed + t * (ptrdiff_t)EB_D_COLS_PAD + n, 0, (size_t)(padded - n) * sizeof(float));
    }
}

static void one_layer(const tile *w, int32_t layer) {
    const eb_d_layer *l = &EB_D(layers)[layer];
    const eb_d_scratch *s = &w->s;
    quantize_tokens(w, s->hidden, EB_D_WIDTH_PAD, l->attn_norm, EB_D_WIDTH, EB_D_WIDTH_PAD);
    if (w->thread == 0) {
        clear_tail(w, EB_D_INNER, EB_D_INNER_PAD);
    }
    attention(w, layer);
    quantize_tokens(w, s->normed, EB_D_COLS_PAD, l->attn_sub_norm, EB_D_INNER, EB_D_INNER_PAD);
    EB_D(project)(w->ctx, w->thread, s, &l->o, EB_D_WIDTH, EB_D_INNER, w->n, s->hidden, EB_D_WIDTH_PAD,
                  EB_D_ADD);
    EB_D(sync)(w->ctx);
    quantize_tokens(w, s->hidden, EB_D_WIDTH_PAD, l->ffn_norm, EB_D_WIDTH, EB_D_WIDTH_PAD);
    if (w->thread == 0) {
        clear_tail(w, EB_D_FFN, EB_D_FFN_PAD);
    }
    EB_D(project_gated)(w->ctx, w->thread, s, l, w->n, s->normed, EB_D_COLS_PAD);
    EB_D(sync)(w->ctx);
    quantize_tokens(w, s->normed, EB_D_COLS_PAD, l->ffn_sub_norm, EB_D_FFN, EB_D_FFN_PAD);
    EB_D(project)(w->ctx, w->thread, s, &l->down, EB_D_WIDTH, EB_D_FFN, w->n, s->hidden, EB_D_WIDTH_PAD,
                  EB_D_ADD);
    EB_D(sync)(w->ctx);
}

void EB_D(tile)(eb_d_context *ctx, int32_t thread, const int32_t *ids, int32_t n, int32_t first) {
    tile w = {.ctx = ctx, .thread = thread, .n = n, .first = first};
    EB_D(scratch_of)(ctx, thread, &w.s);
    int32_t begin, end;
    eb_d_share(n, thread, ctx->threads, &begin, &end);
    for (int32_t t = begin; t < end; t++) {
        EB_D(embed)(ctx, ids[t], w.s.hidden + t * (ptrdiff_t)EB_D_WIDTH_PAD);
    }
    // A thread normalises the tokens that it embedded, so no sync is needed in between.
    for (int32_t layer = 0; layer < EB_D_LAYERS; layer++) {
        one_layer(&w, layer);
#ifdef EB_D_TRACE
        if (thread == 0) {
            EB_D(trace)(layer, w.s.hidden, n, EB_D_WIDTH_PAD); // syncs come before these are written again
        }
#endif
    }
    for (int32_t t = begin; t < end; t++) {
        if (!EB_D(rms_norm)(w.s.hidden + t * (ptrdiff_t)EB_D_WIDTH_PAD, floats(&w, EB_D_FINAL_NORM),
                            w.s.normed + t * (ptrdiff_t)EB_D_COLS_PAD, EB_D_WIDTH, EB_D_WIDTH_PAD)) {
            failed(&w);
        }
    }
    EB_D(sync)(ctx);
#ifdef EB_D_TRACE
    if (thread == 0) {
        EB_D(trace)(EB_D_LAYERS, w.s.normed, n, EB_D_COLS_PAD);
    }
#endif
}
