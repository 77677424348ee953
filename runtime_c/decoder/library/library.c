// SPDX-License-Identifier: Apache-2.0
// A language model as a shared library of Linux, for a program that answers many requests one after the
// other:
//
//     open, then for each request   prompt, begin, step until nothing is left, { draw, step } ..., end
//
// One thread at a time calls begin, step, draw and end; prompt may be called by any at any time. No function
// ends the process. Functions that return int32_t give a count >= 0 or a negative status.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "library/library.h"
#include "linux/session.h"

typedef struct {
    eb_session session;
    eb_answer answer;
    eb_sampling how;
    eb_rng rng;
    char *room;
    char stops[EB_ANSWER_STOP_BYTES + EB_ANSWER_STOPS]; // of the request, each ended by 0
    const char *stop[EB_ANSWER_STOPS];
} eb_lm;

// NULL, or why this processor cannot run the model: to be asked before all else.
const char *eb_lm_unfit(void) {
    return eb_unfit_processor();
}

// The bytes that `room` of all other functions has, at a multiple of 64, and at one place until eb_lm_close.
size_t eb_lm_bytes(void) {
    return sizeof(eb_lm);
}

// Maps the weights and starts the threads. context 0: all positions there may be. Returns 0, or an exit code
// of the edgebit command and its sentence in `why`.
int32_t eb_lm_open(void *room, const char *weights, int32_t context, int32_t threads, int32_t force,
                   char *why, size_t why_bytes) {
    static const char out_of_range[] = "--context takes 1 to " EB_D_CONTEXT_TEXT ", --threads 1 to 64";
    _Static_assert(EB_D_MAX_THREADS == 64, "as the sentence says");
    eb_lm *m = room;
    eb_fault fault = {0};
    const eb_place place = {.weights = weights,
                            .context = context == 0 ? EB_D_CONTEXT : context,
                            .threads = threads,
                            .force = force};
    memset(m, 0, sizeof *m);
    if (place.context < 1 || place.context > EB_D_CONTEXT || threads < 1 || threads > EB_D_MAX_THREADS) {
        (void)eb_refuse(&fault, EXIT_USAGE, "%s", out_of_range);
    } else if (eb_session_open(&m->session, &place, &fault)) {
        m->room = m->session.has_text ? malloc(eb_answer_room(&m->session.tokenizer)) : NULL;
        if (m->room == NULL) {
            (void)eb_refuse(&fault, m->session.has_text ? EXIT_FIT : EXIT_USAGE,
                            m->session.has_text ? "no memory for text"
                                                : "the model was exported without a tokenizer");
            eb_session_close(&m->session);
        }
    }
    if (why_bytes > 0) {
        (void)snprintf(why, why_bytes, "%s", fault.words);
    }
    return fault.code;
}

void eb_lm_close(void *room) {
    eb_lm *m = room;
    eb_session_close(&m->session);
    free(m->room);
    m->room = NULL;
}

void eb_lm_about(const void *room, eb_lm_facts *facts) {
    static const uint8_t model[32] = EB_D_MODEL_ID;
    const eb_lm *m = room;
    const eb_tokenizer *t = &m->session.tokenizer;
    *facts = (eb_lm_facts){
        .vocab = EB_D_VOCAB,
        .context = m->session.ctx.context,
        .chat = t->parts == NULL                            ? 0
                : (t->chat_flags & EB_CHAT_HAS_SYSTEM) == 0 ? 1
                                                            : 2,
        .text_room = (uint32_t)eb_answer_room(t),
        .kv_bytes = EB_D(kv_bytes)(m->session.ctx.context),
        .weight_bytes = EB_D_WEIGHT_BYTES,
    };
    memcpy(facts->model, model, sizeof model);
}

// What eb_lm_prompt needs for n texts of so many bytes together: token ids, bytes of text, bytes of scratch.
void eb_lm_prompt_room(const void *room, size_t text_bytes, int32_t n, size_t *ids, size_t *text,
                       size_t *scratch) {
    const eb_tokenizer *t = &((const eb_lm *)room)->session.tokenizer;
    const size_t times = (size_t)n + 2;
    size_t template = 0;
    for (uint32_t i = 0; i < t->n_items; i++) {
        template += t->items[i].id == EB_NO_TOKEN ? t->items[i].length : 0;
    }
    *text = text_bytes + times * template;
    *ids = 4 * *text + times * t->n_items + 16;
    *scratch = eb_tokenizer_scratch(t, *text) + 16;
}

// The tokens of a chat, by its template: texts[n], which are, after a system text if `system`, a user's and
// an answer by turns, and a user's last. `text` gathers what stands between two special tokens. Returns an
// eb_text_status; *count tokens.
int32_t eb_lm_prompt(const void *room, const char *const *texts, const size_t *bytes, int32_t n,
                     int32_t system, uint32_t *ids, size_t ids_cap, char *text, size_t text_cap,
                     void *scratch, size_t scratch_bytes, size_t *count) {
    const eb_lm *m = room;
    eb_prompt p = {.tokenizer = &m->session.tokenizer,
                   .ids = ids,
                   .cap = ids_cap,
                   .text = text,
                   .text_cap = text_cap,
                   .scratch = scratch,
                   .scratch_bytes = scratch_bytes,
                   .flags = EB_TEXT_START};
    int32_t status = eb_prompt_part(&p, system ? EB_CHAT_SYSTEM : EB_CHAT_START);
    for (int32_t i = 0; i < n && status == EB_TEXT_OK; i++) {
        const int32_t turn = i - (system != 0);
        const int answer = turn % 2 != 0 && turn >= 0;
        const uint32_t trim = turn < 0              ? EB_CHAT_TRIM_SYSTEM
                              : answer              ? EB_CHAT_TRIM_ANSWER
                              : system && turn == 0 ? EB_CHAT_TRIM_FIRST
                                                    : EB_CHAT_TRIM_USER;
        const uint32_t after = turn < 0     ? EB_CHAT_SYSTEM_END
                               : answer     ? EB_CHAT_NEXT
                               : i + 1 == n ? EB_CHAT_ANSWER
                                            : EB_CHAT_REPLY;
        status = eb_prompt_text(&p, texts[i], bytes[i], trim);
        status = status == EB_TEXT_OK ? eb_prompt_part(&p, after) : status;
    }
    status = status == EB_TEXT_OK ? eb_prompt_end(&p) : status;
    *count = p.count;
    return status;
}

// Begins an answer to ids[n], 1 <= n <= context. stops: n_stops strings, each ended by 0, copied. Returns how
// many of the ids need not be taken in again, or EB_TEXT_ARGUMENT.
int32_t eb_lm_begin(void *room, const int32_t *ids, int32_t n, const eb_sampling *how, uint64_t seed,
                    const char *stops, int32_t n_stops) {
    eb_lm *m = room;
    if (n < 1 || n > m->session.ctx.context || n_stops < 0 || n_stops > EB_ANSWER_STOPS) {
        return EB_TEXT_ARGUMENT;
    }
    for (int32_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= EB_D_VOCAB) {
            return EB_TEXT_ARGUMENT;
        }
    }
    size_t at = 0;
    for (int32_t i = 0; i < n_stops; i++) {
        const size_t bytes = strlen(stops + at) + 1;
        if (bytes > sizeof m->stops - at) {
            return EB_TEXT_ARGUMENT;
        }
        memcpy(m->stops + at, stops + at, bytes);
        m->stop[i] = m->stops + at;
        at += bytes;
    }
    if (!eb_answer_init(&m->answer, &m->session.tokenizer, m->room, m->stop, (uint32_t)n_stops, 0)) {
        return EB_TEXT_ARGUMENT;
    }
    m->how = *how;
    eb_rng_seed(&m->rng, seed);
    return eb_session_set(&m->session, ids, n);
}

// Takes in one tile; returns how many tokens are left to take in. EB_SAMPLE_NOT_FINITE: the weights are
// damaged.
int32_t eb_lm_step(void *room) {
    const int32_t left = eb_session_step(&((eb_lm *)room)->session);
    return left < 0 ? (int32_t)EB_SAMPLE_NOT_FINITE : left;
}

// Draws a token; returns bytes of text. *end says whether the answer ends with it; if not, it is to be taken
// in before the next one.
int32_t eb_lm_draw(void *room, char *out, int32_t *end) {
    eb_lm *m = room;
    *end = EB_LM_ON;
    const int32_t id = eb_session_draw(&m->session, &m->how, &m->rng);
    if (id < 0) {
        return id;
    }
    if (eb_session_is_end(&m->session, id)) {
        *end = EB_LM_STOP;
        return 0;
    }
    int stopped = 0;
    const int32_t n = eb_answer_push(&m->answer, id, out, &stopped);
    *end = stopped ? EB_LM_STOP : m->session.count > m->session.ctx.context ? EB_LM_FULL : EB_LM_ON;
    return n;
}

// The text that was held back; *end becomes EB_LM_STOP if that completes a stop string.
int32_t eb_lm_end(void *room, char *out, int32_t *end) {
    int stopped = 0;
    const int32_t n = eb_answer_end(&((eb_lm *)room)->answer, out, &stopped);
    *end = stopped ? EB_LM_STOP : EB_LM_ON;
    return n;
}
