// SPDX-License-Identifier: Apache-2.0
// Ternary projections of a tile's quantised tokens. Threads share rows; within a share, CHUNK rows at a time
// serve all tokens, so that their weights stay in the cache.
#include "decoder.h"
#include "tmatmat_s8/tmatmat_s8.h"
#include "tmatvec_f32/tmatvec_f32.h"
#include "tmatvec_s8/tmatvec_s8.h"

#if EB_D_ACT_F32
EB_TMATVEC_F32_DECL(EB_D_MATVEC);
typedef float sum;
#else
EB_TMATVEC_S8_DECL(EB_D_MATVEC);
typedef int32_t sum;
#endif
#ifdef EB_D_MATMAT
EB_TMATMAT_S8_DECL(EB_D_MATMAT);
#endif

// One call: some rows of one group of inputs, for up to EB_D_GROUP_TOKENS tokens.
typedef struct {
    const uint8_t *trits;
    const float *scale; // of the first row, or the only one; `scaled` divides int8 sums by it
    int32_t by_row;
    int32_t rows, cols;
    int32_t tokens;
    const eb_d_act *act; // COLS_PAD apart
    const float *steps;  // in 1, ACT_STEPS apart
    void *scratch;       // of the kernel
} call;

static void sums(const call *c, sum *acc) {
#ifdef EB_D_MATMAT
    if (c->tokens > 1) {
        EB_D_MATMAT(c->trits, c->act, acc, c->rows, c->cols, c->tokens, EB_D_COLS_PAD, EB_D_CHUNK, NULL);
        return;
    }
#endif
    for (int32_t t = 0; t < c->tokens; t++) {
        EB_D_MATVEC(c->trits, c->act + t * (ptrdiff_t)EB_D_COLS_PAD, acc + t * (ptrdiff_t)EB_D_CHUNK, c->rows,
                    c->cols, c->scratch);
    }
}

#if EB_D_ACT_F32
// y[t * CHUNK + r] gets acc * scale: the sums of one group, added to those before it.
static void add_group(const call *c, const sum *acc, float *y, int32_t add) {
    for (int32_t t = 0; t < c->tokens; t++) {
        for (int32_t r = 0; r < c->rows; r++) {
            const float term = acc[r] * c->scale[c->by_row ? r : 0];
            y[r] = add ? y[r] + term : term;
        }
        acc += EB_D_CHUNK;
        y += EB_D_CHUNK;
    }
}

static void scaled(const call *c, const sum *acc, float *y) {
    add_group(c, acc, y, 0);
}
#else
// y[t * CHUNK + r] = float(acc) / (steps * divisor): the sums of all inputs.
static void scaled(const call *c, const sum *acc, float *y) {
    for (int32_t t = 0; t < c->tokens; t++) {
        const float steps = c->steps[t * EB_D_ACT_STEPS];
        if (c->by_row) {
            for (int32_t r = 0; r < c->rows; r++) {
                y[r] = eb_div_f32((float)acc[r], steps * c->scale[r]);
            }
        } else {
            const float divisor = steps * *c->scale;
            for (int32_t r = 0; r < c->rows; r++) {
                y[r] = eb_div_f32((float)acc[r], divisor);
            }
        }
        acc += EB_D_CHUNK;
        y += EB_D_CHUNK;
    }
}

// y[t * CHUNK + r] gets (float(acc) * scale) * (1 / steps): the sums of one group, added to those before it.
static void add_group(const call *c, const sum *acc, float *y, int32_t add) {
    for (int32_t t = 0; t < c->tokens; t++) {
        const float unit = eb_div_f32(1.0f, c->steps[t * EB_D_ACT_STEPS]);
        if (add) {
            for (int32_t r = 0; r < c->rows; r++) {
                y[r] = y[r] + ((float)acc[r] * c->scale[r]) * unit;
            }
        } else {
            for (int32_t r = 0; r < c->rows; r++) {
                y[r] = ((float)acc[r] * c->scale[r]) * unit;
            }
        }
        acc += EB_D_CHUNK;
        y += EB_D_CHUNK;
    }
}

#endif

// Which of a token's steps serves an input.
static int32_t act_block(int32_t input) {
#if EB_D_ACT_BLOCK
    return input / EB_D_ACT_BLOCK;
#else
    (void)input;
    return 0;
#endif
}

// Rows row .. row + rows - 1 (at most CHUNK, row a multiple of PANEL) of tokens token .. token + tokens - 1.
static void some_rows(const eb_d_context *ctx, const eb_d_scratch *s, const eb_d_matrix *m, int32_t all_rows,
                      int32_t cols, int32_t row, int32_t rows, int32_t token, int32_t tokens, float *y) {
    sum *acc = (void *)s->own;
    const float *scale = eb_d_at(ctx, m->scale);
    call c = {.by_row = m->by_row, .rows = rows, .tokens = tokens, .scratch = s->own + EB_D_OWN};
    const uint8_t *trits = eb_d_at(ctx, m->trits);
    if (m->group >= cols) {
        c.trits = trits + (size_t)(row / EB_D_ROW_MULTIPLE) * EB_D_BLOCK_BYTES((size_t)cols);
        c.scale = m->by_row ? scale + row : scale;
        c.cols = cols;
        c.act = s->act + token * (ptrdiff_t)EB_D_COLS_PAD;
        c.steps = s->act_steps + token * (ptrdiff_t)EB_D_ACT_STEPS;
        sums(&c, acc);
        scaled(&c, acc, y);
    } else {
        // Panels of PANEL rows, and in them the groups one after the other.
        const size_t block = EB_D_BLOCK_BYTES((size_t)m->group);
        const size_t whole = (size_t)(cols / m->group) * block;
        const size_t rest = cols % m->group != 0 ? EB_D_BLOCK_BYTES((size_t)(cols % m->group)) : 0;
        for (int32_t r = 0; r < rows; r += EB_D_PANEL) {
            c.rows = rows - r < EB_D_PANEL ? rows - r : EB_D_PANEL;
            const size_t blocks = (size_t)EB_D_UP(c.rows, EB_D_ROW_MULTIPLE) / EB_D_ROW_MULTIPLE;
            c.trits = trits + (size_t)((row + r) / EB_D_ROW_MULTIPLE) * (whole + rest);
            for (int32_t g = 0; g * m->group < cols; g++) {
                const int32_t left = cols - g * m->group;
                c.cols = left < m->group ? left : m->group;
                c.scale = scale + (size_t)g * (size_t)all_rows + (size_t)(row + r);
                c.act = s->act + token * (ptrdiff_t)EB_D_COLS_PAD + g * (ptrdiff_t)m->group;
                c.steps = s->act_steps + token * (ptrdiff_t)EB_D_ACT_STEPS + act_block(g * m->group);
                sums(&c, acc);
                add_group(&c, acc, y + r, g != 0);
                c.trits += blocks * EB_D_BLOCK_BYTES((size_t)c.cols);
            }
        }
    }
    if (m->bias != 0) {
        const float *bias = (const float *)eb_d_at(ctx, m->bias) + row;
        for (int32_t t = 0; t < tokens; t++) {
            for (int32_t r = 0; r < rows; r++) {
                y[t * (ptrdiff_t)EB_D_CHUNK + r] += bias[r];
            }
        }
    }
}

static void use_rows(const float *y, int32_t rows, int32_t tokens, float *out, int32_t step, eb_d_use use) {
    for (int32_t t = 0; t < tokens; t++) {
        if (use == EB_D_ADD) {
            for (int32_t r = 0; r < rows; r++) {
                out[r] += y[r];
            }
        } else {
            memcpy(out, y, (size_t)rows * sizeof *y);
        }
        y += EB_D_CHUNK;
        out += step;
    }
}

void EB_D(project)(const eb_d_context *ctx, int32_t thread, const eb_d_scratch *s, const eb_d_matrix *m,
                   int32_t rows, int32_t cols, int32_t n, float *out, int32_t step, eb_d_use use) {
    float *y = s->own + EB_D_GROUP_TOKENS * EB_D_CHUNK;
    int32_t first, last;
    eb_d_share(EB_D_UP(rows, EB_D_PANEL) / EB_D_PANEL, thread, ctx->threads, &first, &last);
    const int32_t end = last * EB_D_PANEL < rows ? last * EB_D_PANEL : rows;
    for (int32_t r = first * EB_D_PANEL; r < end; r += EB_D_CHUNK) {
        const int32_t count = end - r < EB_D_CHUNK ? end - r : EB_D_CHUNK;
        for (int32_t t = 0; t < n; t += EB_D_GROUP_TOKENS) {
            const int32_t tokens = n - t < EB_D_GROUP_TOKENS ? n - t : EB_D_GROUP_TOKENS;
            some_rows(ctx, s, m, rows, cols, r, count, t, tokens, y);
            use_rows(y, count, tokens, out + t * (ptrdiff_t)step + r, step, use);
        }
    }
}

// g = act(g) * u, 8 numbers at a time; what is past n is scratch.
static void gated(float *g, const float *u, int32_t n) {
    for (int32_t i = 0; i < n; i += 8) {
        const eb_f32x8 x = *(const eb_f32x8 *)(g + i);
        const eb_f32x8 zero = {0.0f};
#if EB_D_SILU
        eb_f32x8 e = -x;
        eb_exp8(&e);
        const eb_f32x8 gate = 1.0f / (1.0f + e);
        const eb_f32x8 product = x * gate;
        const eb_s32x8 open = gate > zero;
        eb_f32x8 a;
        eb_select8(&a, &open, &product, &zero);
#else
        const eb_s32x8 open = x > zero;
        eb_f32x8 r;
        eb_select8(&r, &open, &x, &zero);
        const eb_f32x8 a = r * r;
#endif
        *(eb_f32x8 *)(g + i) = a * *(const eb_f32x8 *)(u + i);
    }
}

// out = act(gate) * up of this thread's rows.
void EB_D(project_gated)(const eb_d_context *ctx, int32_t thread, const eb_d_scratch *s,
                         const eb_d_layer *layer, int32_t n, float *out, int32_t step) {
    float *g = s->own + EB_D_GROUP_TOKENS * EB_D_CHUNK;
    float *u = g + EB_D_GROUP_TOKENS * EB_D_CHUNK;
    int32_t first, last;
    eb_d_share(EB_D_UP(EB_D_FFN, EB_D_PANEL) / EB_D_PANEL, thread, ctx->threads, &first, &last);
    const int32_t end = last * EB_D_PANEL < EB_D_FFN ? last * EB_D_PANEL : EB_D_FFN;
    for (int32_t r = first * EB_D_PANEL; r < end; r += EB_D_CHUNK) {
        const int32_t count = end - r < EB_D_CHUNK ? end - r : EB_D_CHUNK;
        for (int32_t t = 0; t < n; t += EB_D_GROUP_TOKENS) {
            const int32_t tokens = n - t < EB_D_GROUP_TOKENS ? n - t : EB_D_GROUP_TOKENS;
            some_rows(ctx, s, &layer->gate, EB_D_FFN, EB_D_WIDTH, r, count, t, tokens, g);
            some_rows(ctx, s, &layer->up, EB_D_FFN, EB_D_WIDTH, r, count, t, tokens, u);
            for (int32_t i = 0; i < tokens; i++) {
                gated(g + i * (ptrdiff_t)EB_D_CHUNK, u + i * (ptrdiff_t)EB_D_CHUNK, count);
            }
            use_rows(g, count, tokens, out + t * (ptrdiff_t)step + r, step, EB_D_STORE);
        }
    }
}
