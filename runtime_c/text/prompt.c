// SPDX-License-Identifier: Apache-2.0
// A prompt put together from chat template and text.
#include "text/internal.h"

// White space of Python's str.strip(), which is what templates trim with.
static int is_space(uint32_t c) {
    return c == ' ' || c - 9u < 5u || c - 0x1cu < 4u || c == 0x85u || c == 0xa0u || c == 0x1680u ||
           c - 0x2000u < 11u || c == 0x2028u || c == 0x2029u || c == 0x202fu || c == 0x205fu || c == 0x3000u;
}

static eb_span trimmed(eb_span s, int left, int right) {
    while (left && s.n > 0) {
        eb_utf8 u = eb_utf8_read(s.s, s.n);
        if (u.ok != 1 || !is_space(u.code_point)) {
            break;
        }
        s = (eb_span){s.s + u.bytes, s.n - u.bytes};
    }
    while (right && s.n > 0) {
        size_t start = s.n - 1;
        while (start > 0 && s.n - start < 4 && (s.s[start] & 0xc0u) == 0x80u) {
            start--;
        }
        eb_utf8 u = eb_utf8_read(s.s + start, s.n - start);
        if (u.ok != 1 || u.bytes != s.n - start || !is_space(u.code_point)) {
            break;
        }
        s.n = start;
    }
    return s;
}

static int32_t gather(eb_prompt *p, eb_span s) {
    if (s.n > p->text_cap - p->text_bytes) {
        return EB_TEXT_ROOM;
    }
    if (s.n > 0) {
        memcpy(p->text + p->text_bytes, s.s, s.n);
    }
    p->text_bytes += s.n;
    return EB_TEXT_OK;
}

int32_t eb_prompt_end(eb_prompt *p) {
    if (p->text_bytes == 0) {
        return EB_TEXT_OK;
    }
    size_t count;
    int32_t status = eb_tokenizer_encode(p->tokenizer, p->text, p->text_bytes, p->flags, p->ids + p->count,
                                         p->cap - p->count, p->scratch, p->scratch_bytes, &count);
    p->count += count;
    if (status == EB_TEXT_OK) {
        p->text_bytes = 0;
        p->flags &= ~(uint32_t)EB_TEXT_START;
    }
    return status;
}

int32_t eb_prompt_token(eb_prompt *p, uint32_t id) {
    if (id >= p->tokenizer->vocab) {
        return EB_TEXT_ARGUMENT;
    }
    int32_t status = eb_prompt_end(p);
    if (status == EB_TEXT_OK && p->count == p->cap) {
        status = EB_TEXT_IDS;
    }
    if (status == EB_TEXT_OK) {
        p->ids[p->count++] = id;
        p->flags &= ~(uint32_t)EB_TEXT_START;
    }
    return status;
}

int32_t eb_prompt_prefix(eb_prompt *p) {
    uint32_t start = p->flags & EB_TEXT_START; // the text still counts as the start of the sequence
    int32_t status = EB_TEXT_OK;
    for (uint32_t i = 0; i < p->tokenizer->n_prefix && status == EB_TEXT_OK; i++) {
        status = eb_prompt_token(p, p->tokenizer->prefix[i]);
    }
    p->flags |= start;
    return status;
}

int32_t eb_prompt_part(eb_prompt *p, uint32_t part) {
    const eb_tokenizer *t = p->tokenizer;
    int of_system = part == EB_CHAT_SYSTEM || part == EB_CHAT_SYSTEM_END;
    if (t->parts == NULL || part >= EB_CHAT_PARTS || (of_system && !(t->chat_flags & EB_CHAT_HAS_SYSTEM))) {
        return EB_TEXT_ARGUMENT;
    }
    int32_t status = EB_TEXT_OK;
    for (uint32_t i = t->parts[part]; i < t->parts[part + 1] && status == EB_TEXT_OK; i++) {
        const eb_chat_item *item = &t->items[i];
        if (item->id != EB_NO_TOKEN) {
            status = eb_prompt_token(p, item->id);
        } else {
            status = gather(p, (eb_span){t->blob + item->at, item->length});
        }
    }
    return status;
}

static eb_span shown(const eb_tokenizer *t, const char *text, size_t n, uint32_t trim) {
    const uint32_t how = t->chat_flags;
    return trimmed((eb_span){(const uint8_t *)text, n}, (how & trim) != 0, (how & (trim << 1)) != 0);
}

size_t eb_prompt_shown(const eb_tokenizer *t, const char *text, size_t n, uint32_t trim) {
    return n == 0 ? 0 : shown(t, text, n, trim).n;
}

int32_t eb_prompt_text(eb_prompt *p, const char *text, size_t n, uint32_t trim) {
    if (text == NULL && n > 0) {
        return EB_TEXT_ARGUMENT;
    }
    return gather(p, shown(p->tokenizer, text, n, trim));
}
