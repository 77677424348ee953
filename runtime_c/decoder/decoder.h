// SPDX-License-Identifier: Apache-2.0
// A decoder-only language model with ternary projections, sizes fixed when it is compiled.
//
// decoder_config.h is generated for one model and states, as EB_D_...:
//   EB_D(name)                the name of a symbol of this model
//   WIDTH LAYERS HEADS KV_HEADS HEAD_DIM FFN VOCAB     shape
//   CONTEXT TILE MAX_THREADS  positions, tokens of a tile, and threads there may be, at most
//   SILU QK_NORM SUB_NORMS    1 or 0
//   ACT_BLOCK                 inputs that share a scale; 0: all of a token's
//   ACT_F32                   1: inputs of projections stay binary32, and MATVEC is of the family tmatvec_f32
//   KV_KIND MATRIX_KIND       EB_D_F32, EB_D_F16, EB_D_BF16, EB_D_S8 or (MATRIX_KIND) EB_D_S4
//   NORM_EPS ATTEND_SCALE     binary32
//   MATVEC MATMAT ROWDOTS ATTEND   kernels; MATMAT is left out where the layout has none
//   ROW_MULTIPLE PANEL CHUNK  rows a kernel works on together; rows that lie together; rows of one call
//   BLOCK_BYTES(cols)         packed bytes of ROW_MULTIPLE rows
//   MATVEC_SCRATCH            bytes that MATVEC takes, a multiple of 64
//   EMBED HEAD ROPE FINAL_NORM, EMBED_SCALE HEAD_SCALE   places in the weights, in units of 64 bytes
//   WEIGHT_BYTES, MODEL_ID
//
// All functions but init are called by every thread of the pool (0 .. threads - 1) with the same arguments,
// and return when this thread is done; EB_D(sync) waits for all. The same bytes result for any number of
// threads, any partition of tokens into tiles, and any kernel.
#ifndef EDGEBIT_DECODER_H
#define EDGEBIT_DECODER_H

#include "edgebit/eb_lanes.h"
#include "edgebit/eb_status.h"

#define EB_D_F32  0
#define EB_D_F16  1
#define EB_D_BF16 2
#define EB_D_S8   3
#define EB_D_S4   4

#include "decoder_config.h"

#define EB_D_UNIT         64
#define EB_D_UP(n, m)     (((n) + (m) - 1) / (m) * (m))
#define EB_D_INNER        (EB_D_HEADS * EB_D_HEAD_DIM)
#define EB_D_KV_WIDTH     (EB_D_KV_HEADS * EB_D_HEAD_DIM)
#define EB_D_SHARED       (EB_D_HEADS / EB_D_KV_HEADS)
#define EB_D_HEAD_PAD     EB_D_UP(EB_D_HEAD_DIM, 8)
#define EB_D_WIDTH_PAD    EB_D_UP(EB_D_WIDTH, 16)
#define EB_D_INNER_PAD    EB_D_UP(EB_D_INNER, 16)
#define EB_D_FFN_PAD      EB_D_UP(EB_D_FFN, 16)
#define EB_D_S4_COLS      EB_D_UP(EB_D_WIDTH, 64)
#define EB_D_S4_INPUT     (EB_D_MATRIX_KIND == EB_D_S4 ? 3 * EB_D_S4_COLS / 4 : 0)
#define EB_D_OWN          EB_D_MAX(3 * EB_D_GROUP_TOKENS * EB_D_CHUNK, EB_D_S4_INPUT)
#define EB_D_MAX(a, b)    ((a) > (b) ? (a) : (b))
#define EB_D_COLS_PAD     EB_D_MAX(EB_D_WIDTH_PAD, EB_D_MAX(EB_D_INNER_PAD, EB_D_FFN_PAD))
#define EB_D_POSITIONS    128
#define EB_D_BLOCKS       EB_D_UP(EB_D_CONTEXT, EB_D_POSITIONS) / EB_D_POSITIONS
#define EB_D_GROUP_TOKENS (EB_D_TILE < 4 ? EB_D_TILE : 4)
#if EB_D_ACT_BLOCK
#define EB_D_ACT_STEPS (EB_D_UP(EB_D_COLS_PAD, EB_D_ACT_BLOCK) / EB_D_ACT_BLOCK)
#else
#define EB_D_ACT_STEPS 1
#endif
#if EB_D_KV_KIND == EB_D_F32
#define EB_D_KV_BYTES 4
#elif EB_D_KV_KIND == EB_D_F16
#define EB_D_KV_BYTES 2
#else
#define EB_D_KV_BYTES 1
#endif

// One projection: places in units of 64 bytes. group: inputs of one scale. by_row: 1 when each row has its
// own scales, which then lie (groups, rows), else there is one. With int8 inputs and one group, what lies
// there divides. bias 0: none.
typedef struct {
    uint32_t trits, scale, bias;
    int32_t group, by_row;
} eb_d_matrix;

typedef struct {
    uint32_t attn_norm, ffn_norm, q_norm, k_norm, attn_sub_norm, ffn_sub_norm;
    eb_d_matrix q, k, v, o, gate, up, down;
} eb_d_layer;

// An input of a projection.
#if EB_D_ACT_F32
typedef float eb_d_act;
#else
typedef int8_t eb_d_act;
#endif

// What all threads wait at. `count` and `round` are only touched atomically.
typedef struct {
    uint32_t count, round;
} eb_d_barrier;

typedef struct {
    const uint8_t *weights;
    uint8_t *kv;
    uint8_t *scratch;
    int32_t context; // positions of this run, 1..EB_D_CONTEXT
    int32_t threads; // 1..EB_D_MAX_THREADS
    int32_t failed;  // 1 once an activation was NaN or infinite; what follows is worthless
    eb_d_barrier barrier;
} eb_d_context;

// Tokens first .. first + n - 1 of the context; pointers into the scratch, see scratch.c.
typedef struct {
    float *hidden;    // [TILE][WIDTH_PAD]
    float *normed;    // [TILE][COLS_PAD] what is about to be quantised
    eb_d_act *act;    // [TILE][COLS_PAD] quantised, or as normalised
    float *act_steps; // [TILE][ACT_STEPS]
    float *qkv;       // [TILE][INNER + 2 KV_WIDTH] as projected
    float *query;     // [KV_HEADS][n][SHARED][HEAD_PAD] turned
    float *part;      // [KV_HEADS][BLOCKS][TILE * SHARED] rows of HEAD_PAD: unscaled outputs of a block
    float *part_ml;   // [KV_HEADS][BLOCKS][TILE * SHARED][2]
    float *logits;    // [VOCAB rounded up to 16]
    float *own; // this thread's: sums and products of one call (or a head's input), then MATVEC_SCRATCH bytes
} eb_d_scratch;

size_t EB_D(kv_bytes)(int32_t context);
size_t EB_D(scratch_bytes)(int32_t threads);

// Buffers start at multiples of 64 bytes; kv and scratch are zero (or from an earlier init of this model).
// EB_OK, EB_ERR_NULL, EB_ERR_ALIGN, or EB_ERR_STATE_SIZE when context or threads are out of range.
eb_status EB_D(init)(eb_d_context *ctx, const void *weights, void *kv, void *scratch, int32_t context,
                     int32_t threads);

// Takes in n tokens, 1..TILE, ids in 0..VOCAB - 1, at positions first .. first + n - 1 < context, positions
// before them having been taken in. Ends with the normalised hidden vectors of all n.
void EB_D(tile)(eb_d_context *ctx, int32_t thread, const int32_t *ids, int32_t n, int32_t first);

// The logits after token `index` of the last tile; [VOCAB], valid for all threads after EB_D(sync).
float *EB_D(head)(eb_d_context *ctx, int32_t thread, int32_t index);

void EB_D(sync)(eb_d_context *ctx);

// The pieces, one C file each.
void EB_D(scratch_of)(const eb_d_context *ctx, int32_t thread, eb_d_scratch *s);
void EB_D(embed)(const eb_d_context *ctx, int32_t id, float *hidden);
int EB_D(rms_norm)(const float *x, const float *weight, float *y, int32_t n, int32_t padded);
int EB_D(quantize)(const float *x, int32_t n, eb_d_act *q, float *steps);
void EB_D(rotate)(const float *table, float *x);
void EB_D(store)(const eb_d_context *ctx, int32_t layer, int32_t kv_head, int32_t position, const float *k,
                 const float *v);
void EB_D(attend)(const eb_d_context *ctx, int32_t thread, const eb_d_scratch *s, int32_t layer, int32_t n,
                  int32_t first);
void EB_D(combine)(const eb_d_scratch *s, int32_t first, int32_t token, int32_t head, float *out);

// What becomes of a projection's rows: stored at column `at` of rows `step` apart, or added to what is there.
typedef enum { EB_D_STORE, EB_D_ADD } eb_d_use;

void EB_D(project)(const eb_d_context *ctx, int32_t thread, const eb_d_scratch *s, const eb_d_matrix *m,
                   int32_t rows, int32_t cols, int32_t n, float *out, int32_t step, eb_d_use use);
void EB_D(project_gated)(const eb_d_context *ctx, int32_t thread, const eb_d_scratch *s,
                         const eb_d_layer *layer, int32_t n, float *out, int32_t step);

extern const eb_d_layer EB_D(layers)[EB_D_LAYERS];

EB_INLINE const void *eb_d_at(const eb_d_context *ctx, uint32_t place) {
    return ctx->weights + (size_t)place * EB_D_UNIT;
}

// The part of `total` that is one thread's: first..last - 1.
EB_INLINE void eb_d_share(int32_t total, int32_t thread, int32_t threads, int32_t *first, int32_t *last) {
    *first = (int32_t)((int64_t)total * thread / threads);
    *last = (int32_t)((int64_t)total * (thread + 1) / threads);
}

// Stands after every layer, and after the final normalisation (layer LAYERS), in thread 0; rows of
// EB_D_WIDTH numbers, EB_D_WIDTH_PAD or EB_D_COLS_PAD apart. Nothing, unless the program says otherwise.
#ifdef EB_D_TRACE
void EB_D(trace)(int32_t layer, const float *rows, int32_t n, int32_t step);
#else
#define EB_D_NO_TRACE 1
#endif

#endif
