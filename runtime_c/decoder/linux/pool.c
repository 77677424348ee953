// SPDX-License-Identifier: Apache-2.0
// The threads of a run. All take part in every tile; between tiles the first one decides what comes next and
// the others wait. While the first one waits for a person, the others sleep.
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "program.h"

static struct {
    eb_d_context *ctx;
    const int32_t *ids;
    int32_t n, first, index;
    int tile, head, quit;
    float *logits;
} job;

static pthread_t threads[EB_D_MAX_THREADS];
static _Thread_local uint32_t waits;

// Others want the processor, or the next tile takes long to come: from then on look every so often.
void EB_D_YIELD(void) {
    if (++waits < 2000u) {
        (void)sched_yield();
        return;
    }
    const struct timespec pause = {0, 200000};
    (void)nanosleep(&pause, NULL);
}

static void take_part(int32_t thread) {
    if (job.tile) {
        EB_D(tile)(job.ctx, thread, job.ids, job.n, job.first);
    }
    if (job.head) {
        float *logits = EB_D(head)(job.ctx, thread, job.index);
        if (thread == 0) {
            job.logits = logits;
        }
    }
    EB_D(sync)(job.ctx);
}

static void *worker(void *number) {
    const int32_t thread = (int32_t)(intptr_t)number;
    for (;;) {
        EB_D(sync)(job.ctx);
        waits = 0;
        if (job.quit) {
            return NULL;
        }
        take_part(thread);
    }
}

void eb_pool_start(eb_d_context *ctx) {
    job.ctx = ctx;
    for (int32_t i = 1; i < ctx->threads; i++) {
        if (pthread_create(&threads[i], NULL, worker, (void *)(intptr_t)i) != 0) {
            eb_die(1, "cannot start %d threads; give fewer with --threads", (int)ctx->threads);
        }
    }
}

float *eb_pool_run(const int32_t *ids, int32_t n, int32_t first, int head) {
    job.ids = ids;
    job.n = n;
    job.first = first;
    job.index = n - 1;
    job.tile = 1;
    job.head = head;
    EB_D(sync)(job.ctx);
    waits = 0;
    take_part(0);
    return head ? job.logits : NULL;
}

float *eb_pool_head(int32_t index) {
    job.index = index;
    job.tile = 0;
    job.head = 1;
    EB_D(sync)(job.ctx);
    waits = 0;
    take_part(0);
    return job.logits;
}

void eb_pool_stop(void) {
    job.quit = 1;
    EB_D(sync)(job.ctx);
    for (int32_t i = 1; i < job.ctx->threads; i++) {
        (void)pthread_join(threads[i], NULL);
    }
}
