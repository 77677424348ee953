// SPDX-License-Identifier: Apache-2.0
// The threads of a run. All take part in every tile; between tiles the first one decides what comes next and
// the others wait: first awake, since the next tile is microseconds away, then asleep, since it may take a
// person to come.
#include <sched.h>
#include <signal.h>

#include "pool.h"

enum { SPINS = 4000, YIELDS = 2000 };

static _Thread_local uint32_t waits;

// Others want the processor in the middle of a tile: let them have it, and after a while longer.
void EB_D_YIELD(void) {
    if (++waits < YIELDS) {
        (void)sched_yield();
        return;
    }
    const struct timespec pause = {0, 200000};
    (void)nanosleep(&pause, NULL);
}

static void take_part(eb_pool *p, int32_t thread) {
    waits = 0;
    if (p->tile) {
        EB_D(tile)(p->ctx, thread, p->ids, p->n, p->first);
    }
    if (p->head) {
        float *logits = EB_D(head)(p->ctx, thread, p->index);
        if (thread == 0) {
            p->logits = logits;
        }
    }
    EB_D(sync)(p->ctx);
}

// Returns when there is another job than number `seen`.
static void await_job(eb_pool *p, uint32_t seen) {
    for (uint32_t i = 0; i < SPINS + YIELDS; i++) {
        if (__atomic_load_n(&p->number, __ATOMIC_ACQUIRE) != seen) {
            return;
        }
        if (i >= SPINS) {
            (void)sched_yield();
        }
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm volatile("yield" ::: "memory");
#endif
    }
    (void)pthread_mutex_lock(&p->lock);
    while (__atomic_load_n(&p->number, __ATOMIC_ACQUIRE) == seen) {
        (void)pthread_cond_wait(&p->wake, &p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
}

static void post_job(eb_pool *p) {
    (void)pthread_mutex_lock(&p->lock);
    __atomic_store_n(&p->number, p->number + 1u, __ATOMIC_RELEASE);
    (void)pthread_cond_broadcast(&p->wake);
    (void)pthread_mutex_unlock(&p->lock);
}

static void *worker(void *own) {
    const eb_pool_member *me = own;
    for (uint32_t seen = 0;; seen++) {
        await_job(me->pool, seen);
        if (me->pool->quit) {
            return NULL;
        }
        take_part(me->pool, me->thread);
    }
}

int eb_pool_start(eb_pool *p, eb_d_context *ctx) {
    *p = (eb_pool){.ctx = ctx};
    if (pthread_mutex_init(&p->lock, NULL) != 0 || pthread_cond_init(&p->wake, NULL) != 0) {
        return 0;
    }
    sigset_t all, before; // signals are for the thread that waits for people
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int fine = 1;
    for (p->running = 1; fine && p->running < ctx->threads;) {
        eb_pool_member *m = &p->members[p->running];
        *m = (eb_pool_member){.pool = p, .thread = p->running};
        fine = pthread_create(&m->id, NULL, worker, m) == 0;
        p->running += fine;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!fine) {
        eb_pool_stop(p);
    }
    return fine;
}

float *eb_pool_run(eb_pool *p, const int32_t *ids, int32_t n, int32_t first, int head) {
    p->ids = ids;
    p->n = n;
    p->first = first;
    p->index = n - 1;
    p->tile = 1;
    p->head = head;
    post_job(p);
    take_part(p, 0);
    return head ? p->logits : NULL;
}

float *eb_pool_head(eb_pool *p, int32_t index) {
    p->index = index;
    p->tile = 0;
    p->head = 1;
    post_job(p);
    take_part(p, 0);
    return p->logits;
}

void eb_pool_stop(eb_pool *p) {
    p->quit = 1;
    post_job(p);
    for (int32_t i = 1; i < p->running; i++) {
        (void)pthread_join(p->members[i].id, NULL);
    }
    p->running = 0;
    (void)pthread_cond_destroy(&p->wake);
    (void)pthread_mutex_destroy(&p->lock);
}
