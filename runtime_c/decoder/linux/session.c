// SPDX-License-Identifier: Apache-2.0
// Sequences of tokens and the text of answers, for the program and the library alike.
#include <stdlib.h>
#include <string.h>

#include "session.h"

static const int32_t eos[] = EB_D_EOS; // ends with -1

int eb_session_open(eb_session *s, const eb_place *place, eb_fault *why) {
    memset(s, 0, sizeof *s);
    if (!eb_take_memory(place, &s->ctx, why)) {
        return 0;
    }
    const uint8_t *table = s->ctx.weights + (size_t)EB_D_TEXT * EB_D_UNIT;
    int fine = 1;
    if (EB_D_TEXT_BYTES != 0) {
        s->has_text = eb_tokenizer_open(table, EB_D_TEXT_BYTES, &s->tokenizer) == EB_TEXT_OK;
        fine = s->has_text || eb_refuse(why, EXIT_MODEL,
                                        "the tokenizer in the weights file is damaged; copy the file again");
    }
    if (fine) {
        s->ids = calloc((size_t)s->ctx.context + 1, sizeof *s->ids);
        s->seen = calloc((EB_D_VOCAB + 31) / 32, sizeof *s->seen);
        fine = (s->ids != NULL && s->seen != NULL) ||
               eb_refuse(why, EXIT_FIT, "no memory for %d tokens", (int)s->ctx.context);
    }
    if (fine) {
        fine = eb_pool_start(&s->pool, &s->ctx) ||
               eb_refuse(why, 1, "cannot start %d threads; give fewer with --threads", (int)s->ctx.threads);
    }
    if (!fine) {
        free(s->ids);
        free(s->seen);
        eb_give_back_memory(&s->ctx);
    }
    return fine;
}

void eb_session_close(eb_session *s) {
    eb_pool_stop(&s->pool);
    free(s->ids);
    free(s->seen);
    eb_give_back_memory(&s->ctx);
}

int32_t eb_session_set(eb_session *s, const int32_t *ids, int32_t n) {
    int32_t same = 0;
    while (same < s->taken && same < n - 1 && s->ids[same] == ids[same]) {
        same++;
    }
    memmove(s->ids + same, ids + same, (size_t)(n - same) * sizeof *ids);
    s->taken = same;
    s->count = n;
    s->logits = NULL;
    return same;
}

int32_t eb_session_step(eb_session *s) {
    const int32_t left = s->count - s->taken;
    const int32_t n = left < EB_D_TILE ? left : EB_D_TILE;
    s->logits = eb_pool_run(&s->pool, s->ids + s->taken, n, s->taken, n == left);
    if (s->ctx.failed) {
        s->ctx.failed = 0;
        s->taken = 0;
        s->logits = NULL;
        return -1;
    }
    s->taken += n;
    return left - n;
}

int32_t eb_session_draw(eb_session *s, const eb_sampling *how, eb_rng *rng) {
    const int32_t id = eb_sample(how, s->logits, EB_D_VOCAB, (const uint32_t *)(const void *)s->ids,
                                 (size_t)s->count, s->seen, rng);
    s->logits = NULL;
    if (id >= 0) {
        s->ids[s->count++] = id;
    }
    return id;
}

int eb_session_is_end(const eb_session *s, int32_t id) {
    for (size_t i = 0; eos[i] >= 0; i++) {
        if (eos[i] == id) {
            return 1;
        }
    }
    return s->has_text && eb_tokenizer_is_eos(&s->tokenizer, (uint32_t)id);
}

size_t eb_answer_room(const eb_tokenizer *t) {
    return eb_detokenizer_room(t) + EB_ANSWER_STOP_BYTES;
}

// Adds a stop string; *bytes of all so far.
static int add_stop(eb_answer *a, const char *text, size_t n, size_t *bytes) {
    if (n == 0 || n > EB_ANSWER_STOP_BYTES - *bytes || a->stopper.count == EB_ANSWER_STOPS) {
        return 0;
    }
    a->strings[a->stopper.count++] = (eb_stop_string){.text = text, .length = (uint32_t)n};
    *bytes += n;
    return 1;
}

int eb_answer_init(eb_answer *a, const eb_tokenizer *t, char *room, const char *const *stops, uint32_t n,
                   int goes_on) {
    eb_detokenizer_init(&a->words, t, goes_on ? EB_DETOKENIZE_CONTINUE : 0);
    a->room = room;
    a->room_bytes = eb_answer_room(t);
    a->stopper.count = 0;
    size_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!add_stop(a, stops[i], strlen(stops[i]), &bytes)) {
            return 0;
        }
    }
    for (uint32_t i = 0; i < t->n_stops; i++) { // those of the model that there is room for
        (void)add_stop(a, (const char *)t->blob + t->stops[i].at, t->stops[i].length, &bytes);
    }
    return eb_stop_init(&a->stopper, a->strings, a->stopper.count, a->fails, EB_ANSWER_STOP_BYTES) ==
           EB_TEXT_OK;
}

static int32_t let_through(eb_answer *a, int32_t n, char *out, int *stopped) {
    const int32_t m = n > 0 ? eb_stop_push(&a->stopper, a->room, (size_t)n, out, a->room_bytes, stopped) : 0;
    return m > 0 ? m : 0;
}

int32_t eb_answer_push(eb_answer *a, int32_t id, char *out, int *stopped) {
    *stopped = (int)a->stopper.stopped;
    return let_through(a, eb_detokenizer_push(&a->words, (uint32_t)id, a->room, a->room_bytes), out, stopped);
}

int32_t eb_answer_end(eb_answer *a, char *out, int *stopped) {
    *stopped = (int)a->stopper.stopped;
    const int32_t n = let_through(a, eb_detokenizer_flush(&a->words, a->room, a->room_bytes), out, stopped);
    if (*stopped) {
        return n;
    }
    const int32_t m = eb_stop_flush(&a->stopper, out + n, a->room_bytes - (size_t)n);
    return n + (m > 0 ? m : 0);
}
