// SPDX-License-Identifier: Apache-2.0
// Tokens to text, one at a time, in whole UTF-8 characters.
#include "text/internal.h"

void eb_detokenizer_init(eb_detokenizer *d, const eb_tokenizer *t, uint32_t flags) {
    *d = (eb_detokenizer){t, flags, 0, {0, 0, 0, 0}, 0};
}

size_t eb_detokenizer_room(const eb_tokenizer *t) {
    return 3 * ((size_t)t->max_token_bytes + 3);
}

typedef struct {
    char *out;
    size_t n;
} eb_writer;

static void write_replacement(eb_writer *w) {
    uint8_t utf8[4];
    memcpy(w->out + w->n, utf8, eb_utf8_write(EB_REPLACEMENT, utf8));
    w->n += 3;
}

// Writes what of the held bytes is decided. At the end, a beginning of a character is decided, too.
static void settle(eb_detokenizer *d, eb_writer *w, int at_end) {
    while (d->held > 0) {
        eb_utf8 u = eb_utf8_read(d->bytes, d->held);
        if (u.ok < 0 && !at_end) {
            return;
        }
        uint32_t used = u.bytes;
        if (u.ok == 1) {
            memcpy(w->out + w->n, d->bytes, used);
            w->n += used;
        } else {
            used = d->tokenizer->kind == EB_TEXT_SENTENCEPIECE ? 1 : used;
            write_replacement(w);
        }
        d->held -= used;
        for (uint32_t i = 0; i < d->held; i++) {
            d->bytes[i] = d->bytes[i + used];
        }
    }
}

static void take_byte(eb_detokenizer *d, eb_writer *w, uint8_t byte) {
    d->bytes[d->held++] = byte; // at most 3 are held: a beginning of a character
    settle(d, w, 0);
}

int32_t eb_detokenizer_push(eb_detokenizer *d, uint32_t id, char *out, size_t cap) {
    if (d == NULL || d->tokenizer == NULL || out == NULL) {
        return EB_TEXT_ARGUMENT;
    }
    const eb_tokenizer *t = d->tokenizer;
    if (id >= t->vocab) {
        return EB_TEXT_ARGUMENT;
    }
    if (cap < eb_detokenizer_room(t)) {
        return EB_TEXT_ROOM;
    }
    uint32_t flags = t->token_flags[id];
    if ((flags & EB_TOKEN_ABSENT) || ((flags & EB_TOKEN_SPECIAL) && !(d->flags & EB_DETOKENIZE_SPECIAL))) {
        return 0;
    }
    eb_writer w = {out, 0};
    eb_span s = eb_token_bytes(t, id);
    if (t->kind == EB_TEXT_SENTENCEPIECE && !(flags & EB_TOKEN_BYTE)) {
        settle(d, &w, 1);
        if (!d->started && (t->flags & EB_TABLE_STRIP) && !(d->flags & EB_DETOKENIZE_CONTINUE) && s.n > 0 &&
            s.s[0] == ' ') {
            s = (eb_span){s.s + 1, s.n - 1};
        }
    }
    d->started = 1;
    for (size_t i = 0; i < s.n; i++) {
        take_byte(d, &w, s.s[i]);
    }
    return (int32_t)w.n;
}

int32_t eb_detokenizer_flush(eb_detokenizer *d, char *out, size_t cap) {
    if (d == NULL || d->tokenizer == NULL || out == NULL) {
        return EB_TEXT_ARGUMENT;
    }
    if (cap < eb_detokenizer_room(d->tokenizer)) {
        return EB_TEXT_ROOM;
    }
    eb_writer w = {out, 0};
    settle(d, &w, 1);
    return (int32_t)w.n;
}
