// SPDX-License-Identifier: Apache-2.0
// What the files of the tokenizer share.
#ifndef EDGEBIT_TEXT_INTERNAL_H
#define EDGEBIT_TEXT_INTERNAL_H

#include "edgebit/eb_types.h"

#include "text/eb_text.h"
#include "text/table.h"
#include "text/utf8.h"

#ifndef EB_TEXT_WITHOUT_NFC // leaves out 40 KB of tables; tables that need them are refused by
                            // eb_tokenizer_open
#define EB_TEXT_HAS_NFC 1
#else
#define EB_TEXT_HAS_NFC 0
#endif

typedef struct {
    const uint8_t *s;
    size_t n;
} eb_span;

// Memory given out from one end.
typedef struct {
    uint8_t *at;
    size_t left;
} eb_scratch;

// `bytes` bytes at a multiple of 4, or null.
static inline void *eb_scratch_take(eb_scratch *m, size_t bytes) {
    if (bytes > m->left || m->left - bytes < (4u - (bytes & 3u)) % 4u) {
        return NULL;
    }
    void *p = m->at;
    bytes += (4u - (bytes & 3u)) % 4u;
    m->at += bytes;
    m->left -= bytes;
    return p;
}

// The end of the word that starts at `at` < end, under one step of the pre-tokenizer. s is valid UTF-8.
size_t eb_split(uint32_t step, const uint8_t *s, size_t at, size_t end);

// NFC of valid UTF-8; *text is left alone when it is in NFC already. Memory: for the result and, on top of
// what is left, 8 bytes for each decomposed character.
int32_t eb_nfc(eb_span *text, eb_scratch *memory);

// The longest added token, among those that `flags` allows, at the start of s[0 .. n]; null when there is
// none.
const eb_text_string *eb_added_at(const eb_tokenizer *t, const uint8_t *s, size_t n, uint32_t flags);

// Merges the m symbols in ids[0 .. m], in place; returns how many are left. work: 5 * m words.
size_t eb_merge(const eb_tokenizer *t, uint32_t *ids, size_t m, uint32_t *work);

static inline eb_span eb_token_bytes(const eb_tokenizer *t, uint32_t id) {
    return (eb_span){t->blob + t->token_ends[id], t->token_ends[id + 1] - t->token_ends[id]};
}

// Order of byte strings: -1, 0, 1.
static inline int eb_compare_bytes(eb_span a, eb_span b) {
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++) {
        if (a.s[i] != b.s[i]) {
            return a.s[i] < b.s[i] ? -1 : 1;
        }
    }
    return a.n == b.n ? 0 : (a.n < b.n ? -1 : 1);
}

#endif
