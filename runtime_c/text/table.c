// SPDX-License-Identifier: Apache-2.0
// Opening a tokenizer table. Everything is checked here once, so that the rest of the code may trust its
// indices.
#include "text/internal.h"

typedef struct {
    const uint8_t *base;
    uint32_t size, vocab;
    uint32_t blob_bytes;
    int bad;
} eb_reader;

static uint32_t word_at(const eb_reader *r, uint32_t at) {
    return *(const uint32_t *)(const void *)(r->base + at);
}

// A section of `count` elements; null when it is absent. A count other than `want` (unless that is
// UINT32_MAX) is bad.
static const void *section(eb_reader *r, uint32_t which, uint32_t element, uint32_t want, uint32_t *count) {
    uint32_t at = word_at(r, EB_TABLE_HEADER + 8 * which);
    uint32_t n = word_at(r, EB_TABLE_HEADER + 8 * which + 4);
    if (count != NULL) {
        *count = 0;
    }
    if (n == 0 || r->bad) {
        r->bad |= n == 0 && want != UINT32_MAX;
        return NULL;
    }
    if ((at & 3u) != 0 || at > r->size || n > (r->size - at) / element || (want != UINT32_MAX && n != want)) {
        r->bad = 1;
        return NULL;
    }
    if (count != NULL) {
        *count = n;
    }
    return r->base + at;
}

static void check_ascending(eb_reader *r, const uint32_t *v, uint32_t n, uint32_t end) {
    if (v == NULL || r->bad) {
        return;
    }
    r->bad |= v[0] != 0 || v[n - 1] != end;
    for (uint32_t i = 1; i < n; i++) {
        r->bad |= v[i - 1] > v[i];
    }
}

static void check_ids(eb_reader *r, const uint32_t *ids, uint32_t n, int may_lack) {
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        r->bad |= ids[i] >= r->vocab && !(may_lack && ids[i] == EB_NO_TOKEN);
    }
}

// Strings of the blob; id: what may stand there besides a token.
static void check_strings(eb_reader *r, const eb_text_string *s, uint32_t n, int tokens, int texts) {
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        int is_text = s[i].id == EB_NO_TOKEN;
        r->bad |= is_text ? !texts : (!tokens || s[i].id >= r->vocab);
        if (is_text || !texts) {
            r->bad |= s[i].at > r->blob_bytes || s[i].length > r->blob_bytes - s[i].at || s[i].length == 0;
        }
    }
}

static void check_pairs(eb_reader *r, const eb_tokenizer *t) {
    check_ascending(r, t->pair_starts, r->vocab + 1, t->n_pairs);
    if (r->bad || t->pair_starts == NULL) {
        r->bad |= t->n_pairs > 0;
        return;
    }
    for (uint32_t i = 0; i < t->n_pairs; i++) {
        r->bad |=
            t->pairs[i].right >= r->vocab || t->pairs[i].id >= r->vocab || t->pairs[i].rank == UINT32_MAX;
    }
    for (uint32_t left = 0; left < r->vocab; left++) {
        for (uint32_t i = t->pair_starts[left] + 1; i < t->pair_starts[left + 1]; i++) {
            r->bad |= t->pairs[i - 1].right >= t->pairs[i].right;
        }
    }
}

static void check_added(eb_reader *r, eb_tokenizer *t) {
    check_strings(r, t->added, t->n_added, 1, 0);
    for (uint32_t i = 0; i < t->n_added && !r->bad; i++) {
        const eb_text_string *a = &t->added[i];
        uint32_t c = t->blob[a->at];
        t->added_first[c >> 5] |= 1u << (c & 31u);
        if (i > 0) {
            const eb_text_string *p = a - 1;
            r->bad |= eb_compare_bytes((eb_span){t->blob + p->at, p->length},
                                       (eb_span){t->blob + a->at, a->length}) >= 0;
        }
        r->bad |= (t->token_flags[a->id] & EB_TOKEN_SPECIAL) != 0;
    }
}

static void check_chars(eb_reader *r, const eb_tokenizer *t) {
    for (uint32_t i = 0; i < t->n_chars && !r->bad; i++) {
        r->bad |=
            t->chars[i].id >= r->vocab || (i > 0 && t->chars[i - 1].code_point >= t->chars[i].code_point);
    }
}

static void find_sections(eb_reader *r, eb_tokenizer *t) {
    const uint32_t any = UINT32_MAX;
    t->blob = (const uint8_t *)section(r, EB_SECTION_BLOB, 1, any, &r->blob_bytes);
    r->bad |= t->blob == NULL;
    t->token_ends = (const uint32_t *)section(r, EB_SECTION_TOKEN_ENDS, 4, r->vocab + 1, NULL);
    t->token_flags = (const uint8_t *)section(r, EB_SECTION_TOKEN_FLAGS, 1, r->vocab, NULL);
    t->pairs = (const eb_text_pair *)section(r, EB_SECTION_PAIRS, 12, any, &t->n_pairs);
    t->pair_starts =
        (const uint32_t *)section(r, EB_SECTION_PAIR_STARTS, 4, t->n_pairs > 0 ? r->vocab + 1 : any, NULL);
    t->chars = (const eb_text_char *)section(r, EB_SECTION_CHARS, 8, any, &t->n_chars);
    uint32_t n_bytes;
    t->bytes = (const uint32_t *)section(r, EB_SECTION_BYTES, 4, any, &n_bytes);
    r->bad |= n_bytes != (t->bytes != NULL ? 256u : 0u) || (t->kind == EB_TEXT_BYTE_BPE && t->bytes == NULL);
    t->by_bytes = (const uint32_t *)section(r, EB_SECTION_BY_BYTES, 4, any, &t->n_by_bytes);
    t->steps = (const uint32_t *)section(r, EB_SECTION_STEPS, 4, any, &t->n_steps);
    t->added = (const eb_text_string *)section(r, EB_SECTION_ADDED, 12, any, &t->n_added);
    t->special = (const eb_text_string *)section(r, EB_SECTION_SPECIAL, 12, any, &t->n_special);
    t->prefix = (const uint32_t *)section(r, EB_SECTION_PREFIX, 4, any, &t->n_prefix);
    t->suffix = (const uint32_t *)section(r, EB_SECTION_SUFFIX, 4, any, &t->n_suffix);
    t->eos = (const uint32_t *)section(r, EB_SECTION_EOS, 4, any, &t->n_eos);
    t->stops = (const eb_text_string *)section(r, EB_SECTION_STOPS, 12, any, &t->n_stops);
    t->items = (const eb_chat_item *)section(r, EB_SECTION_ITEMS, 12, any, &t->n_items);
    t->parts =
        (const uint32_t *)section(r, EB_SECTION_PARTS, 4, t->n_items > 0 ? EB_CHAT_PARTS + 1u : any, NULL);
}

static void check_sections(eb_reader *r, eb_tokenizer *t) {
    if (r->bad) {
        return;
    }
    check_ascending(r, t->token_ends, r->vocab + 1, t->token_ends[r->vocab]);
    r->bad |= t->token_ends[r->vocab] > r->blob_bytes;
    for (uint32_t i = 0; i < r->vocab && !r->bad; i++) {
        uint32_t n = t->token_ends[i + 1] - t->token_ends[i];
        t->max_token_bytes = n > t->max_token_bytes ? n : t->max_token_bytes;
        r->bad |= (t->token_flags[i] & EB_TOKEN_BYTE) && n != 1;
    }
    check_pairs(r, t);
    check_chars(r, t);
    check_ids(r, t->bytes, t->bytes != NULL ? 256 : 0, t->kind == EB_TEXT_BYTE_BPE);
    check_ids(r, t->by_bytes, t->n_by_bytes, 0);
    check_ids(r, t->prefix, t->n_prefix, 0);
    check_ids(r, t->suffix, t->n_suffix, 0);
    check_ids(r, t->eos, t->n_eos, 0);
    check_added(r, t);
    check_strings(r, t->special, t->n_special, 1, 0);
    check_strings(r, t->stops, t->n_stops, 0, 1);
    check_strings(r, (const eb_text_string *)(const void *)t->items, t->n_items, 1, 1);
    if (t->parts != NULL) {
        check_ascending(r, t->parts, EB_CHAT_PARTS + 1, t->n_items);
    }
    r->bad |= t->n_steps > EB_MAX_STEPS;
    for (uint32_t i = 0; i < t->n_steps && !r->bad; i++) {
        r->bad |= (t->steps[i] & ~(uint32_t)EB_STEP_ALL) != 0;
    }
}

int32_t eb_tokenizer_open(const void *table, size_t bytes, eb_tokenizer *t) {
    if (table == NULL || t == NULL) {
        return EB_TEXT_ARGUMENT;
    }
    memset(t, 0, sizeof *t);
    eb_reader r = {(const uint8_t *)table, 0, 0, 0, 0};
    if (((uintptr_t)table & 3u) != 0 || bytes < EB_TABLE_HEADER + 8u * EB_SECTIONS ||
        word_at(&r, 0) != EB_TABLE_MAGIC || word_at(&r, 4) != EB_TABLE_VERSION || word_at(&r, 8) > bytes ||
        word_at(&r, 8) < EB_TABLE_HEADER + 8u * EB_SECTIONS) {
        return EB_TEXT_TABLE;
    }
    r.size = word_at(&r, 8);
    t->kind = word_at(&r, 12);
    t->flags = word_at(&r, 16);
    t->vocab = r.vocab = word_at(&r, 20);
    t->unk = word_at(&r, 24);
    t->chat_flags = word_at(&r, 28);
    if (t->kind > EB_TEXT_SENTENCEPIECE || (t->flags & ~(uint32_t)EB_TABLE_ALL_FLAGS) != 0 || r.vocab == 0 ||
        r.vocab > r.size || (t->unk >= r.vocab && t->unk != EB_NO_TOKEN) ||
        ((t->flags & EB_TABLE_NFC) && !EB_TEXT_HAS_NFC)) {
        return EB_TEXT_TABLE;
    }
    find_sections(&r, t);
    check_sections(&r, t);
    if (r.bad) {
        memset(t, 0, sizeof *t);
        return EB_TEXT_TABLE;
    }
    return EB_TEXT_OK;
}

uint32_t eb_tokenizer_special(const eb_tokenizer *t, const char *name, size_t n) {
    for (uint32_t i = 0; t != NULL && name != NULL && i < t->n_special; i++) {
        const eb_text_string *s = &t->special[i];
        if (eb_compare_bytes((eb_span){t->blob + s->at, s->length}, (eb_span){(const uint8_t *)name, n}) ==
            0) {
            return s->id;
        }
    }
    return EB_NO_TOKEN;
}

int eb_tokenizer_is_eos(const eb_tokenizer *t, uint32_t id) {
    for (uint32_t i = 0; i < t->n_eos; i++) {
        if (t->eos[i] == id) {
            return 1;
        }
    }
    return 0;
}
