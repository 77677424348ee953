// SPDX-License-Identifier: Apache-2.0
// Text to tokens.
#include "text/internal.h"

#define WORD_MARK 0x2581u // how sentencepiece writes a space

typedef struct {
    const eb_tokenizer *t;
    uint32_t *ids;
    size_t cap, count;
    uint32_t flags;
    eb_scratch memory;
} eb_encoder;

static int32_t put(eb_encoder *e, const uint32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (e->count == e->cap) {
            return EB_TEXT_IDS;
        }
        e->ids[e->count++] = ids[i];
    }
    return EB_TEXT_OK;
}

static uint32_t char_id(const eb_tokenizer *t, uint32_t c) {
    size_t lo = 0, hi = t->n_chars;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (t->chars[mid].code_point < c) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < t->n_chars && t->chars[lo].code_point == c ? t->chars[lo].id : EB_NO_TOKEN;
}

static int32_t encode_chars(eb_encoder *e, eb_span s) {
    for (size_t i = 0; i < s.n;) {
        eb_utf8 u = eb_utf8_read(s.s + i, s.n - i);
        uint32_t id = char_id(e->t, u.code_point);
        i += u.bytes;
        if (id == EB_NO_TOKEN) {
            id = e->t->unk;
        }
        if (id != EB_NO_TOKEN) {
            int32_t status = put(e, &id, 1);
            if (status != EB_TEXT_OK) {
                return status;
            }
        } else if (!(e->flags & EB_TEXT_DROP_UNKNOWN)) {
            return EB_TEXT_CHARACTER;
        }
    }
    return EB_TEXT_OK;
}

// Symbols of a word, before merging.
typedef struct {
    uint32_t *ids;
    uint32_t *work;
    size_t count;
} eb_symbols;

static int32_t take_symbols(eb_scratch memory, size_t most, eb_symbols *w) {
    w->count = 0;
    w->ids = most <= SIZE_MAX / 24 && most <= UINT32_MAX / 2 ? (uint32_t *)eb_scratch_take(&memory, 24 * most)
                                                             : NULL;
    w->work = w->ids != NULL ? w->ids + most : NULL;
    return w->ids != NULL ? EB_TEXT_OK : EB_TEXT_SCRATCH;
}

static void add_unknown(const eb_tokenizer *t, eb_symbols *w) {
    int fused = (t->flags & EB_TABLE_FUSE_UNK) && w->count > 0 && w->ids[w->count - 1] == t->unk;
    if (t->unk != EB_NO_TOKEN && !fused) {
        w->ids[w->count++] = t->unk;
    }
}

static int32_t put_word(eb_encoder *e, eb_symbols *w) {
    int32_t status = put(e, w->ids, eb_merge(e->t, w->ids, w->count, w->work));
    w->count = 0;
    return status;
}

static uint32_t whole_word(const eb_tokenizer *t, eb_span word) {
    size_t lo = 0, hi = t->n_by_bytes;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = eb_compare_bytes(eb_token_bytes(t, t->by_bytes[mid]), word);
        if (order == 0) {
            return t->by_bytes[mid];
        }
        if (order < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return EB_NO_TOKEN;
}

static int32_t encode_word(eb_encoder *e, eb_span word) {
    const eb_tokenizer *t = e->t;
    if (t->n_by_bytes > 0 && word.n <= t->max_token_bytes) {
        uint32_t id = whole_word(t, word);
        if (id != EB_NO_TOKEN) {
            return put(e, &id, 1);
        }
    }
    eb_symbols w;
    int32_t status = take_symbols(e->memory, word.n, &w);
    if (status != EB_TEXT_OK) {
        return status;
    }
    for (size_t i = 0; i < word.n; i++) {
        uint32_t id = t->bytes[word.s[i]];
        if (id != EB_NO_TOKEN) {
            w.ids[w.count++] = id;
        } else {
            add_unknown(t, &w);
        }
    }
    return put_word(e, &w);
}

static int32_t encode_bytes(eb_encoder *e, eb_span s) {
    const eb_tokenizer *t = e->t;
    eb_scratch before = e->memory;
    if ((t->flags & EB_TABLE_SPACE_FIRST) && s.s[0] != ' ') {
        uint8_t *copy = (uint8_t *)eb_scratch_take(&e->memory, s.n + 1);
        if (copy == NULL) {
            return EB_TEXT_SCRATCH;
        }
        copy[0] = ' ';
        memcpy(copy + 1, s.s, s.n);
        s = (eb_span){copy, s.n + 1};
    }
    // ends[k]: where the piece that step k looks at ends; ends[n_steps]: where the word ends.
    size_t ends[EB_MAX_STEPS + 1] = {s.n};
    uint32_t level = 0;
    int32_t status = EB_TEXT_OK;
    for (size_t at = 0; at < s.n && status == EB_TEXT_OK;) {
        for (; level < t->n_steps; level++) {
            ends[level + 1] = eb_split(t->steps[level], s.s, at, ends[level]);
        }
        status = encode_word(e, (eb_span){s.s + at, ends[level] - at});
        at = ends[level];
        while (level > 0 && ends[level] == at) {
            level--;
        }
    }
    e->memory = before;
    return status;
}

static int32_t encode_pieces(eb_encoder *e, eb_span s, int at_start) {
    const eb_tokenizer *t = e->t;
    eb_symbols w;
    int32_t status = take_symbols(e->memory, s.n + 1, &w);
    if (status != EB_TEXT_OK) {
        return status;
    }
    uint32_t first = eb_utf8_read(s.s, s.n).code_point;
    int has_mark = first == WORD_MARK || (first == ' ' && (t->flags & EB_TABLE_SPACES));
    int pending = (t->flags & EB_TABLE_PREPEND) && (at_start || !(t->flags & EB_TABLE_PREPEND_START)) &&
                  !(has_mark && (t->flags & EB_TABLE_PREPEND_ONCE));
    for (size_t i = 0; i < s.n && status == EB_TEXT_OK;) {
        eb_utf8 u = {WORD_MARK, 0, 1};
        if (!pending) {
            u = eb_utf8_read(s.s + i, s.n - i);
        }
        pending = 0;
        i += u.bytes;
        if (u.code_point == ' ' && (t->flags & EB_TABLE_SPACES)) {
            u.code_point = WORD_MARK;
        }
        if (u.code_point == WORD_MARK && (t->flags & EB_TABLE_SPLIT) && w.count > 0) {
            status = put_word(e, &w);
        }
        uint32_t id = char_id(t, u.code_point);
        if (id != EB_NO_TOKEN) {
            w.ids[w.count++] = id;
        } else if (t->bytes != NULL) {
            uint8_t utf8[4];
            uint32_t n = eb_utf8_write(u.code_point, utf8);
            for (uint32_t k = 0; k < n; k++) {
                w.ids[w.count++] = t->bytes[utf8[k]];
            }
        } else {
            add_unknown(t, &w);
        }
    }
    return status == EB_TEXT_OK ? put_word(e, &w) : status;
}

static int32_t encode_span(eb_encoder *e, eb_span s, int at_start) {
    if (s.n == 0) {
        return EB_TEXT_OK;
    }
    switch (e->t->kind) {
    case EB_TEXT_CHARS:
        return encode_chars(e, s);
    case EB_TEXT_BYTE_BPE:
        return encode_bytes(e, s);
    default:
        return encode_pieces(e, s, at_start);
    }
}

const eb_text_string *eb_added_at(const eb_tokenizer *t, const uint8_t *s, size_t n, uint32_t flags) {
    const eb_text_string *best = NULL;
    size_t lo = 0, hi = t->n_added; // those that start with s[0 .. depth]
    for (size_t depth = 0; depth < n && lo < hi; depth++) {
        size_t a = lo, b = hi;
        while (a < b) { // the first whose next byte is not below s[depth]
            size_t mid = a + (b - a) / 2;
            const eb_text_string *m = &t->added[mid];
            if (m->length <= depth || t->blob[m->at + depth] < s[depth]) {
                a = mid + 1;
            } else {
                b = mid;
            }
        }
        lo = a;
        b = hi;
        while (a < b) { // the first whose next byte is above it
            size_t mid = a + (b - a) / 2;
            if (t->blob[t->added[mid].at + depth] <= s[depth]) {
                a = mid + 1;
            } else {
                b = mid;
            }
        }
        hi = a;
        if (lo < hi && t->added[lo].length == depth + 1 &&
            ((flags & EB_TEXT_MARKUP) || !(t->token_flags[t->added[lo].id] & EB_TOKEN_MARKUP))) {
            best = &t->added[lo];
        }
    }
    return best;
}

// The first added token in s[at .. n]; *where is its place, or n.
static const eb_text_string *next_added(const eb_encoder *e, eb_span s, size_t at, size_t *where) {
    const eb_tokenizer *t = e->t;
    for (; t->n_added > 0 && at < s.n; at++) {
        uint32_t c = s.s[at];
        if (t->added_first[c >> 5] >> (c & 31u) & 1u) {
            const eb_text_string *found = eb_added_at(t, s.s + at, s.n - at, e->flags);
            if (found != NULL) {
                *where = at;
                return found;
            }
        }
    }
    *where = s.n;
    return NULL;
}

// Text between added tokens: normalised, unless the added tokens were looked for afterwards.
static int32_t encode_section(eb_encoder *e, eb_span s, int at_start) {
    eb_scratch before = e->memory;
    int32_t status = EB_TEXT_OK;
    if ((e->t->flags & (EB_TABLE_NFC | EB_TABLE_ADDED_AFTER)) == EB_TABLE_NFC) {
        status = eb_nfc(&s, &e->memory);
    }
    if (status == EB_TEXT_OK) {
        status = encode_span(e, s, at_start);
    }
    e->memory = before;
    return status;
}

static int32_t encode_all(eb_encoder *e, eb_span s) {
    int32_t status = EB_TEXT_OK;
    if ((e->t->flags & (EB_TABLE_NFC | EB_TABLE_ADDED_AFTER)) == (EB_TABLE_NFC | EB_TABLE_ADDED_AFTER)) {
        status = eb_nfc(&s, &e->memory);
    }
    for (size_t at = 0; at < s.n && status == EB_TEXT_OK;) {
        size_t where;
        const eb_text_string *added = next_added(e, s, at, &where);
        status = encode_section(e, (eb_span){s.s + at, where - at}, at == 0 && (e->flags & EB_TEXT_START));
        if (status == EB_TEXT_OK && added != NULL) {
            status = put(e, &added->id, 1);
            where += added->length;
        }
        at = where;
    }
    return status;
}

// Replaces invalid sequences by U+FFFD; *text stays where it is when there are none.
static int32_t make_valid(eb_span *text, eb_scratch *memory) {
    size_t bytes = 0;
    int valid = 1;
    for (size_t i = 0; i < text->n;) {
        eb_utf8 u = eb_utf8_read(text->s + i, text->n - i);
        i += u.bytes;
        bytes += u.ok == 1 ? u.bytes : 3u;
        valid = valid && u.ok == 1;
    }
    if (valid) {
        return EB_TEXT_OK;
    }
    uint8_t *out = (uint8_t *)eb_scratch_take(memory, bytes);
    if (out == NULL) {
        return EB_TEXT_SCRATCH;
    }
    size_t at = 0;
    for (size_t i = 0; i < text->n;) {
        eb_utf8 u = eb_utf8_read(text->s + i, text->n - i);
        i += u.bytes;
        at += eb_utf8_write(u.code_point, out + at);
    }
    *text = (eb_span){out, bytes};
    return EB_TEXT_OK;
}

size_t eb_tokenizer_scratch(const eb_tokenizer *t, size_t bytes) {
    // An invalid byte becomes 3 bytes, and so may one byte in NFC: 3 copies of that, and 24 bytes a symbol.
    (void)t;
    return bytes > (SIZE_MAX - 128) / 84 ? SIZE_MAX : 84 * bytes + 128;
}

int32_t eb_tokenizer_encode(const eb_tokenizer *t, const char *text, size_t n, uint32_t flags, uint32_t *ids,
                            size_t cap, void *scratch, size_t scratch_bytes, size_t *count) {
    if (count != NULL) {
        *count = 0;
    }
    if (t == NULL || count == NULL || (text == NULL && n > 0) || (ids == NULL && cap > 0)) {
        return EB_TEXT_ARGUMENT;
    }
    if (scratch == NULL || ((uintptr_t)scratch & 3u) != 0) {
        scratch_bytes = 0;
    }
    eb_encoder e = {t, ids, cap, 0, flags, {(uint8_t *)scratch, scratch_bytes}};
    eb_span s = {(const uint8_t *)text, n};
    int32_t status = make_valid(&s, &e.memory);
    if (status == EB_TEXT_OK) {
        status = encode_all(&e, s);
    }
    *count = e.count;
    return status;
}
