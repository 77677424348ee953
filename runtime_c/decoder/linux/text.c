// SPDX-License-Identifier: Apache-2.0
// Text in and out, where the model was exported with its tokenizer.
#include <stdlib.h>
#include <string.h>

#include "program.h"
#include "text/eb_text.h"

static struct {
    eb_tokenizer tokenizer;
    eb_detokenizer out;
    char *room;
    size_t room_bytes;
    int open;
} text;

int eb_text_open(const uint8_t *weights) {
    if (EB_D_TEXT_BYTES == 0) {
        return 0;
    }
    if (eb_tokenizer_open(weights + (size_t)EB_D_TEXT * EB_D_UNIT, EB_D_TEXT_BYTES, &text.tokenizer) !=
        EB_TEXT_OK) {
        eb_die(EXIT_MODEL, "the tokenizer in the weights file is damaged; copy the file again");
    }
    eb_detokenizer_init(&text.out, &text.tokenizer, 0);
    text.room_bytes = eb_detokenizer_room(&text.tokenizer);
    text.room = malloc(text.room_bytes);
    text.open = text.room != NULL;
    return text.open;
}

// Text to o->ids; the number of tokens of the vocabulary's own before those of the text.
static uint32_t encode(eb_options *o, const char *from, size_t bytes) {
    const size_t scratch_bytes = eb_tokenizer_scratch(&text.tokenizer, bytes);
    const uint32_t prefix = text.tokenizer.n_prefix;
    const size_t cap = 4 * bytes + prefix + 16;
    uint32_t *ids = malloc(cap * sizeof *ids);
    void *scratch = malloc(scratch_bytes);
    o->ids = malloc(cap * sizeof *o->ids);
    if (ids == NULL || scratch == NULL || o->ids == NULL) {
        eb_die(EXIT_FIT, "no memory for a prompt of %zu bytes", bytes);
    }
    for (uint32_t i = 0; i < prefix; i++) {
        ids[i] = text.tokenizer.prefix[i];
    }
    size_t count = 0;
    const int32_t status = eb_tokenizer_encode(&text.tokenizer, from, bytes, EB_TEXT_START, ids + prefix,
                                               cap - prefix, scratch, scratch_bytes, &count);
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

void eb_text_encode(eb_options *o) {
    (void)encode(o, o->prompt, strlen(o->prompt));
}

void eb_text_list(eb_options *o) {
    FILE *f = fopen(o->encode, "rb");
    const long end = f != NULL && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    const size_t bytes = end > 0 ? (size_t)end : 0;
    char *from = malloc(bytes + 1);
    if (from == NULL) {
        eb_die(EXIT_FIT, "no memory for a text of %zu bytes", bytes);
    }
    if (f == NULL || end < 0 || fseek(f, 0, SEEK_SET) != 0 || fread(from, 1, bytes, f) != bytes) {
        eb_die(EXIT_USAGE, "%s cannot be read", o->encode);
    }
    (void)fclose(f);
    const uint32_t prefix = encode(o, from, bytes);
    free(from);
    size_t shown = 0;
    for (int32_t i = 0; i < o->count; i++) {
        if ((uint32_t)i >= prefix) {
            const int32_t n = eb_detokenizer_push(&text.out, (uint32_t)o->ids[i], text.room, text.room_bytes);
            shown += n > 0 ? (size_t)n : 0;
        }
        (void)printf("%d %zu\n", (int)o->ids[i], shown);
    }
}

void eb_text_show(int32_t id) {
    const int32_t n = eb_detokenizer_push(&text.out, (uint32_t)id, text.room, text.room_bytes);
    if (n > 0) {
        (void)fwrite(text.room, 1, (size_t)n, stdout);
    }
    (void)fflush(stdout);
}

void eb_text_end(void) {
    const int32_t n = eb_detokenizer_flush(&text.out, text.room, text.room_bytes);
    if (n > 0) {
        (void)fwrite(text.room, 1, (size_t)n, stdout);
    }
    free(text.room);
    text.room = NULL;
}

int eb_text_is_end(int32_t id) {
    return text.open && eb_tokenizer_is_eos(&text.tokenizer, (uint32_t)id);
}
