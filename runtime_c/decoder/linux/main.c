// SPDX-License-Identifier: Apache-2.0
// Runs a language model: takes a prompt in, then adds the most likely token again and again; or chats.
#include <stdlib.h>
#include <time.h>

#include "program.h"

// The build writes a digest of the program here.
extern const volatile uint8_t eb_image_id[16];
const volatile uint8_t eb_image_id[16] = {0};

static struct {
    int on;
    uint32_t layer[EB_D_LAYERS + 1];
    uint32_t logits;
} traced;

double eb_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// Of all threads, in seconds.
static double processor_time(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// Seconds that a phase took, by the clock and of the processors.
typedef struct {
    double clock, processor;
} took;

void EB_D(trace)(int32_t layer, const float *rows, int32_t n, int32_t step) {
    if (!traced.on) {
        return;
    }
    for (int32_t t = 0; t < n; t++) {
        traced.layer[layer] =
            eb_crc32(traced.layer[layer], rows + t * (ptrdiff_t)step, EB_D_WIDTH * sizeof(float));
    }
}

_Noreturn void eb_die_of_overflow(void) {
    eb_die(EXIT_MODEL, "activations overflow: the weights are damaged; run with --check");
}

// The next token; the logits are spoilt.
static int32_t choose(const eb_options *o, eb_session *s, eb_rng *rng) {
    if (traced.on) {
        traced.logits = eb_crc32(traced.logits, s->logits, EB_D_VOCAB * sizeof *s->logits);
    }
    const int32_t token = eb_session_draw(s, &o->sampling, rng);
    if (token < 0) {
        eb_die(EXIT_MODEL, "the logits are not finite: the weights are damaged; run with --check");
    }
    return token;
}

// The prompt, tile by tile.
static void prefill(const eb_options *o, eb_session *s) {
    (void)eb_session_set(s, o->ids, o->count);
    while (s->taken < s->count) {
        const int32_t first = s->taken;
        if (eb_session_step(s) < 0) {
            eb_die_of_overflow();
        }
        for (int32_t t = 0; o->logits && t < s->taken - first; t++) {
            if (fwrite(eb_pool_head(&s->pool, t), sizeof(float), EB_D_VOCAB, stdout) != EB_D_VOCAB) {
                eb_die(EXIT_WRITE, "the logits cannot be written");
            }
        }
    }
}

static void report(const eb_options *o, const int32_t *out, int32_t made, took first, took rest) {
    const double prefill_rate = first.clock > 0 ? o->count / first.clock : 0;
    const double decode_rate = made > 1 && rest.clock > 0 ? (made - 1) / rest.clock : 0;
    const double kv = (double)EB_D(kv_bytes)(EB_D_CONTEXT) / EB_D_CONTEXT;
    if (!o->json) {
        (void)fprintf(stderr,
                      "prefill %d tokens, %.1f tokens/s; decode %d tokens, %.1f tokens/s (measured here); "
                      "%.1f MB of weights a token, %.1f kB of keys and values a position\n",
                      (int)o->count, prefill_rate, (int)(made > 0 ? made - 1 : 0), decode_rate,
                      EB_D_TOKEN_BYTES / 1e6, kv / 1e3);
        return;
    }
    (void)printf("{\"tokens\": [");
    for (int32_t i = 0; i < made; i++) {
        (void)printf("%s%d", i == 0 ? "" : ", ", (int)out[i]);
    }
    (void)printf(
        "], \"prompt_tokens\": %d, \"threads\": %d, \"prefill_seconds\": %.6f, \"decode_seconds\": %.6f, "
        "\"prefill_processor_seconds\": %.6f, \"decode_processor_seconds\": %.6f, "
        "\"prefill_tokens_per_second\": %.3f, \"decode_tokens_per_second\": %.3f, "
        "\"weight_bytes_per_token\": %llu, \"kv_bytes_per_position\": %.0f",
        (int)o->count, (int)o->place.threads, first.clock, rest.clock, first.processor, rest.processor,
        prefill_rate, decode_rate, (unsigned long long)EB_D_TOKEN_BYTES, kv);
    uint32_t bits = 0;
    if (eb_throttled(&bits)) {
        (void)printf(", \"throttled\": \"0x%lx\"", (unsigned long)bits);
    } else {
        (void)printf(", \"throttled\": null");
    }
    if (o->trace) {
        (void)printf(", \"layer_crcs\": [");
        for (int32_t i = 0; i <= EB_D_LAYERS; i++) {
            (void)printf("%s%lu", i == 0 ? "" : ", ", (unsigned long)traced.layer[i]);
        }
        (void)printf("], \"logits_crc\": %lu", (unsigned long)traced.logits);
    }
    (void)printf("}\n");
}

// What a token completes, to stdout.
static void show(eb_detokenizer *words, int32_t id, char *room, size_t bytes) {
    const int32_t n = eb_detokenizer_push(words, (uint32_t)id, room, bytes);
    if (n > 0) {
        (void)fwrite(room, 1, (size_t)n, stdout);
    }
    (void)fflush(stdout);
}

static void show_end(eb_detokenizer *words, char *room, size_t bytes) {
    const int32_t n = eb_detokenizer_flush(words, room, bytes);
    if (n > 0) {
        (void)fwrite(room, 1, (size_t)n, stdout);
    }
}

// Token by token; returns how many.
static int32_t generate(const eb_options *o, eb_session *s, int32_t tokens) {
    const int as_text = o->prompt != NULL && !o->json;
    const size_t bytes = as_text ? eb_detokenizer_room(&s->tokenizer) : 1;
    char *room = malloc(bytes);
    if (room == NULL) {
        eb_die(EXIT_FIT, "no memory for %d tokens", (int)tokens);
    }
    eb_detokenizer words;
    eb_detokenizer_init(&words, &s->tokenizer, 0);
    eb_rng rng;
    eb_rng_seed(&rng, o->seed);
    int32_t made = 0;
    while (made < tokens) {
        const int32_t token = choose(o, s, &rng);
        made++;
        const int end = eb_session_is_end(s, token) && !o->go_on;
        if (as_text && !end) {
            show(&words, token, room, bytes);
        } else if (o->prompt == NULL && !o->json) {
            (void)printf("%s%d", made == 1 ? "" : " ", (int)token);
            (void)fflush(stdout);
        }
        if (end || made == tokens || s->count > s->ctx.context) {
            break;
        }
        if (eb_session_step(s) < 0) {
            eb_die_of_overflow();
        }
    }
    if (as_text) {
        show_end(&words, room, bytes);
    }
    if (!o->json) {
        (void)printf("\n");
    }
    free(room);
    return made;
}

static void run(eb_options *o, eb_session *s) {
    if (o->count < 1) {
        eb_die(EXIT_USAGE, "a prompt of at least one token is needed; see --help");
    }
    if (o->count > s->ctx.context) {
        eb_die(EXIT_USAGE, "the prompt has %d tokens and the context %d positions", (int)o->count,
               (int)s->ctx.context);
    }
    const int32_t room = s->ctx.context - o->count + 1;
    const int32_t tokens = o->tokens < 0 ? 64 : o->tokens;
    traced.on = o->trace;
    const double start = eb_now();
    const double start_processor = processor_time();
    prefill(o, s);
    const took first = {eb_now() - start, processor_time() - start_processor};
    if (!o->logits) {
        const int32_t made = generate(o, s, tokens < room ? tokens : room);
        const took all = {eb_now() - start, processor_time() - start_processor};
        const took rest = {all.clock - first.clock, all.processor - first.processor};
        report(o, s->ids + o->count, made, first, rest);
    }
}

int main(int argc, char **argv) {
    const char *unfit = eb_unfit_processor();
    if (unfit != NULL) {
        eb_die(EXIT_PROCESSOR, "%s", unfit);
    }
    static eb_session session;
    static eb_fault why;
    eb_options o;
    eb_read_options(argc, argv, &o);
    if (!eb_session_open(&session, &o.place, &why)) {
        eb_die(why.code, "%s", why.words);
    }
    if ((o.prompt != NULL || o.encode != NULL || o.chat) && !session.has_text) {
        eb_die(EXIT_USAGE, "the model was exported without a tokenizer; give --prompt-ids");
    }
    int code = 0;
    if (o.encode != NULL) {
        eb_text_list(&o, &session.tokenizer);
    } else if (o.chat) {
        code = eb_chat(&o, &session);
    } else {
        if (o.prompt != NULL) {
            eb_text_encode(&o, &session.tokenizer);
        }
        run(&o, &session);
    }
    if (o.encode == NULL && !o.json) {
        eb_throttle_warn(stderr);
    }
    eb_session_close(&session);
    free(o.ids);
    return fflush(stdout) == 0 && eb_image_id[0] + 1 > 0 ? code : EXIT_WRITE;
}
