// SPDX-License-Identifier: Apache-2.0
// The threads that run a decoder together.
#ifndef EDGEBIT_DECODER_POOL_H
#define EDGEBIT_DECODER_POOL_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "../decoder.h"

typedef struct eb_pool eb_pool;

typedef struct {
    eb_pool *pool;
    int32_t thread;
    pthread_t id;
} eb_pool_member;

// The caller's memory, at one place from start to stop. The caller is thread 0.
struct eb_pool {
    eb_d_context *ctx;
    const int32_t *ids;
    int32_t n, first, index;
    int tile, head, quit;
    float *logits;
    uint32_t number; // of the job; touched atomically
    int32_t running; // threads there are, the caller's included
    pthread_mutex_t lock;
    pthread_cond_t wake;
    eb_pool_member members[EB_D_MAX_THREADS];
};

// Starts ctx->threads - 1 threads; 0 when the system refuses, and then none is left.
int eb_pool_start(eb_pool *p, eb_d_context *ctx);
// Takes in a tile as EB_D(tile) says; with `head`, the logits after its last token, else NULL.
float *eb_pool_run(eb_pool *p, const int32_t *ids, int32_t n, int32_t first, int head);
// The logits after another token of the last tile.
float *eb_pool_head(eb_pool *p, int32_t index);
void eb_pool_stop(eb_pool *p);

#endif
