// SPDX-License-Identifier: Apache-2.0
// Where everything lies in the scratch, and the start of a run.
#include "decoder.h"

enum { OWN = EB_D_OWN + EB_D_MATVEC_SCRATCH / 4 };
_Static_assert(EB_D_OWN >= 2 * EB_D_POSITIONS, "scores of two queries fit what a thread has");
_Static_assert(EB_D_CHUNK % EB_D_PANEL == 0 && EB_D_CHUNK % 16 == 0 && EB_D_PANEL % EB_D_ROW_MULTIPLE == 0,
               "rows of a call are whole panels");
_Static_assert(EB_D_HEADS % EB_D_KV_HEADS == 0 && EB_D_HEAD_DIM % 2 == 0, "heads share evenly");

static size_t take(size_t *at, size_t bytes) {
    const size_t place = *at;
    *at += EB_D_UP(bytes, (size_t)EB_D_UNIT);
    return place;
}

static size_t lay_out(uint8_t *base, int32_t thread, int32_t threads, eb_d_scratch *s) {
    const size_t parts = (size_t)EB_D_KV_HEADS * EB_D_BLOCKS * EB_D_TILE * EB_D_SHARED;
    size_t at = 0;
    s->hidden = (void *)(base + take(&at, (size_t)EB_D_TILE * EB_D_WIDTH_PAD * sizeof(float)));
    s->normed = (void *)(base + take(&at, (size_t)EB_D_TILE * EB_D_COLS_PAD * sizeof(float)));
    s->act = (void *)(base + take(&at, (size_t)EB_D_TILE * EB_D_COLS_PAD * sizeof(eb_d_act)));
    s->act_steps = (void *)(base + take(&at, (size_t)EB_D_TILE * EB_D_ACT_STEPS * sizeof(float)));
    s->qkv = (void *)(base + take(&at, (size_t)EB_D_TILE * (EB_D_INNER + 2 * EB_D_KV_WIDTH) * sizeof(float)));
    s->query = (void *)(base + take(&at, (size_t)EB_D_TILE * EB_D_HEADS * EB_D_HEAD_PAD * sizeof(float)));
    s->part = (void *)(base + take(&at, parts * EB_D_HEAD_PAD * sizeof(float)));
    s->part_ml = (void *)(base + take(&at, parts * 2 * sizeof(float)));
    s->logits = (void *)(base + take(&at, (size_t)EB_D_UP(EB_D_VOCAB, 16) * sizeof(float)));
    s->own = (void *)(base + at + (size_t)thread * OWN * sizeof(float));
    (void)take(&at, (size_t)threads * OWN * sizeof(float));
    return at;
}

size_t EB_D(scratch_bytes)(int32_t threads) {
    eb_d_scratch s;
    return lay_out(NULL, 0, threads, &s);
}

void EB_D(scratch_of)(const eb_d_context *ctx, int32_t thread, eb_d_scratch *s) {
    (void)lay_out(ctx->scratch, thread, ctx->threads, s);
}

static int aligned(const void *p) {
    return ((uintptr_t)p & (EB_D_UNIT - 1)) == 0;
}

eb_status EB_D(init)(eb_d_context *ctx, const void *weights, void *kv, void *scratch, int32_t context,
                     int32_t threads) {
    if (ctx == NULL || weights == NULL || kv == NULL || scratch == NULL) {
        return EB_ERR_NULL;
    }
    if (!aligned(weights) || !aligned(kv) || !aligned(scratch)) {
        return EB_ERR_ALIGN;
    }
    if (context < 1 || context > EB_D_CONTEXT || threads < 1 || threads > EB_D_MAX_THREADS) {
        return EB_ERR_STATE_SIZE;
    }
    ctx->weights = weights;
    ctx->kv = kv;
    ctx->scratch = scratch;
    ctx->context = context;
    ctx->threads = threads;
    ctx->failed = 0;
    ctx->barrier.count = 0;
    ctx->barrier.round = 0;
    return EB_OK;
}

#ifdef EB_D_YIELD
void EB_D_YIELD(void);
#endif

// All threads arrive before one leaves. Spins, since the next phase is microseconds away; after a while it
// lets others have the processor, where the program says how.
void EB_D(sync)(eb_d_context *ctx) {
#if EB_D_MAX_THREADS > 1
    if (ctx->threads == 1) {
        return;
    }
    eb_d_barrier *b = &ctx->barrier;
    const uint32_t round = __atomic_load_n(&b->round, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&b->count, 1u, __ATOMIC_ACQ_REL) == (uint32_t)ctx->threads) {
        __atomic_store_n(&b->count, 0u, __ATOMIC_RELAXED);
        __atomic_store_n(&b->round, round + 1u, __ATOMIC_RELEASE);
        return;
    }
    uint32_t spins = 0;
    while (__atomic_load_n(&b->round, __ATOMIC_ACQUIRE) == round) {
        spins++;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm volatile("yield" ::: "memory");
#endif
#ifdef EB_D_YIELD
        if (spins > 4000u) {
            EB_D_YIELD();
            spins = 0;
        }
#endif
    }
#else
    (void)ctx;
#endif
}
