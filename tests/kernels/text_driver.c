// SPDX-License-Identifier: Apache-2.0
// Runs the text functions on what comes over stdin; text_driver.py writes it and reads the answers. Every
// buffer is a heap block of exactly the size that the interface asks for, so that the sanitizers see any
// access outside.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/eb_text.h"
#include "text/sample.h"

static void *block(size_t n) {
    void *p = malloc(n > 0 ? n : 1);
    if (p == NULL) {
        abort();
    }
    memset(p, 0xa5, n > 0 ? n : 1);
    return p;
}

static void get(void *p, size_t n) {
    if (n > 0 && fread(p, 1, n, stdin) != n) {
        exit(3);
    }
}

static uint32_t number(void) {
    uint32_t v;
    get(&v, 4);
    return v;
}

static void put(const void *p, size_t n) {
    if (n > 0 && fwrite(p, 1, n, stdout) != n) {
        exit(4);
    }
}

static void put_number(uint32_t v) {
    put(&v, 4);
}

static char *bytes(uint32_t n) {
    char *p = (char *)block(n);
    get(p, n);
    return p;
}

static void encode(const eb_tokenizer *t) {
    uint32_t flags = number(), room = number(), scratch_bytes = number(), n = number();
    char *text = bytes(n);
    size_t need = scratch_bytes == UINT32_MAX ? eb_tokenizer_scratch(t, n) : scratch_bytes;
    void *scratch = block(need);
    uint32_t *ids = (uint32_t *)block(4 * (size_t)room);
    size_t count;
    int32_t status = eb_tokenizer_encode(t, text, n, flags, ids, room, scratch, need, &count);
    put_number((uint32_t)status);
    put_number((uint32_t)count);
    put(ids, 4 * count);
    free(ids);
    free(scratch);
    free(text);
}

static void decode(const eb_tokenizer *t) {
    uint32_t flags = number(), n = number();
    eb_detokenizer d;
    eb_detokenizer_init(&d, t, flags);
    size_t room = eb_detokenizer_room(t);
    for (uint32_t i = 0; i <= n; i++) {
        char *out = (char *)block(room);
        int32_t wrote =
            i < n ? eb_detokenizer_push(&d, number(), out, room) : eb_detokenizer_flush(&d, out, room);
        put_number((uint32_t)wrote);
        put(out, wrote > 0 ? (size_t)wrote : 0);
        free(out);
    }
}

static void stop(void) {
    uint32_t count = number(), sum = 0;
    eb_stop_string *strings = (eb_stop_string *)block(count * sizeof *strings);
    for (uint32_t i = 0; i < count; i++) {
        strings[i].length = number();
        strings[i].text = bytes(strings[i].length);
        sum += strings[i].length;
    }
    uint16_t *fails = (uint16_t *)block(2 * (size_t)sum);
    eb_stopper s;
    if (eb_stop_init(&s, strings, count, fails, sum) != EB_TEXT_OK) {
        exit(5);
    }
    uint32_t chunks = number();
    int stopped = 0;
    for (uint32_t i = 0; i < chunks; i++) {
        uint32_t n = number();
        char *text = bytes(n);
        size_t room = n + (size_t)s.held;
        char *out = (char *)block(room);
        int32_t wrote = eb_stop_push(&s, text, n, out, room, &stopped);
        put_number((uint32_t)wrote);
        put(out, wrote > 0 ? (size_t)wrote : 0);
        free(out);
        free(text);
    }
    char *out = (char *)block(s.held);
    int32_t wrote = eb_stop_flush(&s, out, s.held);
    put_number((uint32_t)wrote);
    put(out, wrote > 0 ? (size_t)wrote : 0);
    put_number((uint32_t)stopped);
    free(out);
    for (uint32_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)strings[i].text);
    }
    free(fails);
    free(strings);
}

// Steps: {what, argument, bytes}; 0 a part, 1 text trimmed as the argument says, 2 a token, 3 what starts a
// sequence.
static void prompt(const eb_tokenizer *t) {
    enum { IDS = 100000, TEXT = 100000 };
    size_t need = eb_tokenizer_scratch(t, TEXT);
    eb_prompt p = {.tokenizer = t,
                   .ids = (uint32_t *)block(4 * IDS),
                   .cap = IDS,
                   .text = (char *)block(TEXT),
                   .text_cap = TEXT,
                   .scratch = block(need),
                   .scratch_bytes = need,
                   .flags = EB_TEXT_START};
    uint32_t steps = number();
    int32_t status = EB_TEXT_OK;
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t what = number(), argument = number(), n = number();
        char *text = bytes(n);
        if (status == EB_TEXT_OK) {
            status = what == 0   ? eb_prompt_part(&p, argument)
                     : what == 1 ? eb_prompt_text(&p, text, n, argument)
                     : what == 2 ? eb_prompt_token(&p, argument)
                                 : eb_prompt_prefix(&p);
        }
        free(text);
    }
    if (status == EB_TEXT_OK) {
        status = eb_prompt_end(&p);
    }
    put_number((uint32_t)status);
    put_number((uint32_t)p.count);
    put(p.ids, 4 * p.count);
    free(p.ids);
    free(p.text);
    free(p.scratch);
}

// Draws `times` tokens from the same logits.
static void sample(void) {
    eb_sampling how;
    get(&how, sizeof how);
    uint32_t seed[2];
    get(seed, sizeof seed);
    uint32_t n = number(), n_history = number(), times = number();
    float *logits = (float *)(void *)bytes(4 * n), *copy = (float *)block(4 * (size_t)n);
    uint32_t *history = (uint32_t *)(void *)bytes(4 * n_history);
    uint32_t *seen = (uint32_t *)block(((size_t)n + 31) / 32 * 4);
    eb_rng rng;
    eb_rng_seed(&rng, (uint64_t)seed[1] << 32 | seed[0]);
    for (uint32_t i = 0; i < times; i++) {
        memcpy(copy, logits, 4 * (size_t)n);
        put_number((uint32_t)eb_sample(&how, copy, n, history, n_history, seen, &rng));
    }
    free(seen);
    free(history);
    free(copy);
    free(logits);
}

int main(int argc, char **argv) {
    FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        return 2;
    }
    size_t size = (size_t)ftell(f);
    rewind(f);
    void *table = block(size);
    if (fread(table, 1, size, f) != size) {
        return 2;
    }
    fclose(f);
    eb_tokenizer t;
    int32_t status = eb_tokenizer_open(table, size, &t);
    put_number((uint32_t)status);
    int op;
    while (status == EB_TEXT_OK && (op = getchar()) != EOF) {
        switch (op) {
        case 'E':
            encode(&t);
            break;
        case 'D':
            decode(&t);
            break;
        case 'S':
            stop();
            break;
        case 'P':
            prompt(&t);
            break;
        case 'M':
            sample();
            break;
        case 'R': {
            eb_rng rng;
            eb_rng_seed(&rng, number());
            for (uint32_t n = number(); n > 0; n--) {
                put_number(eb_rng_next(&rng));
            }
            break;
        }
        case 'N': {
            uint32_t n = number();
            char *name = bytes(n);
            put_number(eb_tokenizer_special(&t, name, n));
            free(name);
            break;
        }
        default:
            return 6;
        }
    }
    free(table);
    return fflush(stdout);
}
