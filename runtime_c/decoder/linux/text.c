// SPDX-License-Identifier: Apache-2.0
// Text to tokens, where the model was exported with its tokenizer.
#include <stdlib.h>
#include <string.h>

#include "program.h"

// Text to o->ids; the number of tokens of the vocabulary's own before those of the text.
static uint32_t encode(eb_options *o, const eb_tokenizer *t, const char *from, size_t bytes) {
    const size_t scratch_bytes = eb_tokenizer_scratch(t, bytes);
    const uint32_t prefix = t->n_prefix;
    const size_t cap = 4 * bytes + prefix + 16;
    uint32_t *ids = malloc(cap * sizeof *ids);
    void *scratch = malloc(scratch_bytes);
    o->ids = malloc(cap * sizeof *o->ids);
    if (ids == NULL || scratch == NULL || o->ids == NULL) {
        eb_die(EXIT_FIT, "no memory for a prompt of %zu bytes", bytes);
    }
    for (uint32_t i = 0; i < prefix; i++) {
        ids[i] = t->prefix[i];
    }
    size_t count = 0;
    const int32_t status = eb_tokenizer_encode(t, from, bytes, EB_TEXT_START, ids + prefix, cap - prefix,
                                               scratch, scratch_bytes, &count);
    if (status == EB_TEXT_CHARACTER) {
        eb_die(EXIT_USAGE, "the %s has a character, after %zu tokens, that the model's vocabulary lacks",
               o->encode != NULL ? "text" : "prompt", count);
    }
    if (status < 0 || count + prefix > INT32_MAX) {
        eb_die(EXIT_USAGE, "the %s cannot be turned into tokens (status %d)",
               o->encode != NULL ? "text" : "prompt", (int)status);
    }
    o->count = (int32_t)(count + prefix);
    for (int32_t i = 0; i < o->count; i++) {
        o->ids[i] = (int32_t)ids[i];
    }
    free(ids);
    free(scratch);
    return prefix;
}

void eb_text_encode(eb_options *o, const eb_tokenizer *t) {
    (void)encode(o, t, o->prompt, strlen(o->prompt));
}

void eb_text_list(eb_options *o, const eb_tokenizer *t) {
    FILE *f = fopen(o->encode, "rb");
    const long end = f != NULL && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    const size_t bytes = end > 0 ? (size_t)end : 0;
    const size_t room_bytes = eb_detokenizer_room(t);
    char *from = malloc(bytes + 1);
    char *room = malloc(room_bytes);
    if (from == NULL || room == NULL) {
        eb_die(EXIT_FIT, "no memory for a text of %zu bytes", bytes);
    }
    if (f == NULL || end < 0 || fseek(f, 0, SEEK_SET) != 0 || fread(from, 1, bytes, f) != bytes) {
        eb_die(EXIT_USAGE, "%s cannot be read", o->encode);
    }
    (void)fclose(f);
    const uint32_t prefix = encode(o, t, from, bytes);
    free(from);
    eb_detokenizer words;
    eb_detokenizer_init(&words, t, 0);
    size_t shown = 0;
    for (int32_t i = 0; i < o->count; i++) {
        if ((uint32_t)i >= prefix) {
            const int32_t n = eb_detokenizer_push(&words, (uint32_t)o->ids[i], room, room_bytes);
            shown += n > 0 ? (size_t)n : 0;
        }
        (void)printf("%d %zu\n", (int)o->ids[i], shown);
    }
    free(room);
}
