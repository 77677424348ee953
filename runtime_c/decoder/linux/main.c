// SPDX-License-Identifier: Apache-2.0
// Runs a language model: takes a prompt in, then adds the most likely token again and again.
#include <stdlib.h>
#include <time.h>

#include "program.h"

// The build writes a digest of the program here.
extern const volatile uint8_t eb_image_id[16];
const volatile uint8_t eb_image_id[16] = {0};

static const int32_t eos[] = EB_D_EOS; // ends with -1

static struct {
    int on;
    uint32_t layer[EB_D_LAYERS + 1];
    uint32_t logits;
} traced;

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void EB_D(trace)(int32_t layer, const float *rows, int32_t n, int32_t step) {
    if (!traced.on) {
        return;
    }
    for (int32_t t = 0; t < n; t++) {
        traced.layer[layer] =
            eb_crc32(traced.layer[layer], rows + t * (ptrdiff_t)step, EB_D_WIDTH * sizeof(float));
    }
}

static void check_finite(const eb_d_context *ctx) {
    if (ctx->failed) {
        eb_die(EXIT_MODEL, "activations overflow: the weights are damaged; run with --check");
    }
}

// The next token; the logits are spoilt.
static int32_t choose(const eb_options *o, float *logits, const uint32_t *history, int32_t n) {
    static uint32_t seen[(EB_D_VOCAB + 31) / 32];
    static eb_rng rng;
    static int seeded;
    if (!seeded) {
        eb_rng_seed(&rng, o->seed);
        seeded = 1;
    }
    if (traced.on) {
        traced.logits = eb_crc32(traced.logits, logits, EB_D_VOCAB * sizeof *logits);
    }
    const int32_t token = eb_sample(&o->sampling, logits, EB_D_VOCAB, history, (size_t)n, seen, &rng);
    if (token < 0) {
        eb_die(EXIT_MODEL, "the logits are not finite: the weights are damaged; run with --check");
    }
    return token;
}

static int is_end(int32_t token) {
    for (size_t i = 0; eos[i] >= 0; i++) {
        if (eos[i] == token) {
            return 1;
        }
    }
    return eb_text_is_end(token);
}

// The prompt, tile by tile; the logits after it.
static float *prefill(const eb_options *o, const eb_d_context *ctx) {
    float *logits = NULL;
    for (int32_t at = 0; at < o->count; at += EB_D_TILE) {
        const int32_t n = o->count - at < EB_D_TILE ? o->count - at : EB_D_TILE;
        logits = eb_pool_run(o->ids + at, n, at, at + n == o->count && !o->logits);
        check_finite(ctx);
        for (int32_t t = 0; o->logits && t < n; t++) {
            if (fwrite(eb_pool_head(t), sizeof(float), EB_D_VOCAB, stdout) != EB_D_VOCAB) {
                eb_die(EXIT_WRITE, "the logits cannot be written");
            }
        }
    }
    return logits;
}

static void report(const eb_options *o, const uint32_t *out, int32_t made, double first, double rest) {
    const double prefill_rate = first > 0 ? o->count / first : 0;
    const double decode_rate = made > 1 && rest > 0 ? (made - 1) / rest : 0;
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
        "\"prefill_tokens_per_second\": %.3f, \"decode_tokens_per_second\": %.3f, "
        "\"weight_bytes_per_token\": %llu, \"kv_bytes_per_position\": %.0f",
        (int)o->count, (int)o->threads, first, rest, prefill_rate, decode_rate,
        (unsigned long long)EB_D_TOKEN_BYTES, kv);
    if (o->trace) {
        (void)printf(", \"layer_crcs\": [");
        for (int32_t i = 0; i <= EB_D_LAYERS; i++) {
            (void)printf("%s%lu", i == 0 ? "" : ", ", (unsigned long)traced.layer[i]);
        }
        (void)printf("], \"logits_crc\": %lu", (unsigned long)traced.logits);
    }
    (void)printf("}\n");
}

// Token by token; returns how many. history: the prompt, then room for the tokens.
static int32_t generate(const eb_options *o, const eb_d_context *ctx, float *logits, uint32_t *history,
                        int as_text) {
    int32_t made = 0;
    while (made < o->tokens) {
        const int32_t token = choose(o, logits, history, o->count + made);
        const int32_t position = o->count + made;
        history[position] = (uint32_t)token;
        made++;
        const int end = is_end(token) && !o->go_on;
        if (as_text && !o->json && !end) {
            eb_text_show(token);
        } else if (!as_text && !o->json) {
            (void)printf("%s%d", made == 1 ? "" : " ", (int)token);
            (void)fflush(stdout);
        }
        if (end || made == o->tokens || position >= o->context) {
            break;
        }
        logits = eb_pool_run(&token, 1, position, 1);
        check_finite(ctx);
    }
    if (as_text && !o->json) {
        eb_text_end();
    }
    if (!o->json) {
        (void)printf("\n");
    }
    return made;
}

int main(int argc, char **argv) {
    const char *unfit = eb_unfit_processor();
    if (unfit != NULL) {
        eb_die(EXIT_PROCESSOR, "%s", unfit);
    }
    static eb_d_context ctx;
    eb_options o;
    eb_read_options(argc, argv, &o);
    eb_take_memory(&o, &ctx);
    const int has_text = eb_text_open(ctx.weights);
    const int as_text = o.prompt != NULL;
    if ((as_text || o.encode != NULL) && !has_text) {
        eb_die(EXIT_USAGE, "the model was exported without a tokenizer; give --prompt-ids");
    }
    if (o.encode != NULL) {
        eb_text_list(&o);
        return fflush(stdout) == 0 ? 0 : EXIT_WRITE;
    }
    if (as_text) {
        eb_text_encode(&o);
    }
    if (o.count < 1) {
        eb_die(EXIT_USAGE, "a prompt of at least one token is needed; see --help");
    }
    if (o.count > o.context) {
        eb_die(EXIT_USAGE, "the prompt has %d tokens and the context %d positions", (int)o.count,
               (int)o.context);
    }
    const int32_t room = o.context - o.count + 1;
    o.tokens = o.tokens < room ? o.tokens : room;
    uint32_t *history = malloc(((size_t)o.count + (size_t)o.tokens) * sizeof *history);
    if (history == NULL) {
        eb_die(EXIT_FIT, "no memory for %d tokens", (int)o.tokens);
    }
    for (int32_t i = 0; i < o.count; i++) {
        history[i] = (uint32_t)o.ids[i];
    }
    eb_pool_start(&ctx);
    traced.on = o.trace;
    const double start = now();
    float *logits = prefill(&o, &ctx);
    const double between = now();
    if (!o.logits) {
        const int32_t made = generate(&o, &ctx, logits, history, as_text);
        report(&o, history + o.count, made, between - start, now() - between);
    }
    eb_pool_stop();
    free(history);
    free(o.ids);
    return fflush(stdout) == 0 && eb_image_id[0] + 1 > 0 ? 0 : EXIT_WRITE;
}
