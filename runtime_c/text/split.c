// SPDX-License-Identifier: Apache-2.0
// Pre-tokenisation: the regular expressions of GPT-2, Llama 3 and Qwen as a hand-written matcher. Each
// function answers for one alternative of the expression; they are tried in the order in which every family
// writes them.
#include "text/internal.h"
#include "text/unicode_classes.h"

enum { OTHER, LETTER, NUMBER, SPACE };

#define N_CLASSES (sizeof eb_unicode_classes / sizeof eb_unicode_classes[0])

static uint32_t class_of(uint32_t c) {
    if (c < 0x80u) {
        if ((c | 0x20u) - 'a' < 26u) {
            return LETTER;
        }
        if (c - '0' < 10u) {
            return NUMBER;
        }
        return c == ' ' || c - '\t' < 5u ? SPACE : OTHER;
    }
    size_t lo = 0, hi = N_CLASSES; // the class changes at lo, at the latest, and at hi, after c
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (eb_unicode_classes[mid] >> 2 <= c) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return eb_unicode_classes[lo] & 3u;
}

// The text being matched: s[at .. end].
typedef struct {
    const uint8_t *s;
    size_t at, end;
} eb_text_cursor;

static uint32_t class_at(const eb_text_cursor *t, size_t at, size_t *next) {
    eb_utf8 c = eb_utf8_read(t->s + at, t->end - at);
    *next = at + c.bytes;
    return class_of(c.code_point);
}

// The end of the longest run of `wanted` from `at`, of at most `most` characters.
static size_t run(const eb_text_cursor *t, size_t at, uint32_t wanted, size_t most) {
    size_t next = at;
    while (most > 0 && at < t->end && class_at(t, at, &next) == wanted) {
        at = next;
        most--;
    }
    return at;
}

static int is_line(uint8_t c) {
    return c == '\r' || c == '\n';
}

// 's 't 're 've 'm 'll 'd; the end of the match, or t->at. In any case, U+017F is an s, too.
static size_t contraction(const eb_text_cursor *t, int any_case) {
    size_t left = t->end - t->at;
    const uint8_t *s = t->s + t->at;
    if (left < 2 || s[0] != '\'') {
        return t->at;
    }
    uint32_t fold = any_case ? 0x20u : 0u;
    uint32_t a = s[1] | fold;
    if (s[1] < 0x80u && (a == 's' || a == 't' || a == 'm' || a == 'd')) {
        return t->at + 2;
    }
    if (left < 3) {
        return t->at;
    }
    if (any_case && s[1] == 0xc5u && s[2] == 0xbfu) {
        return t->at + 3;
    }
    uint32_t b = s[2] | fold;
    if (s[1] < 0x80u && s[2] < 0x80u && (((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l'))) {
        return t->at + 3;
    }
    return t->at;
}

// " ?" and a run of a class.
static size_t spaced_run(const eb_text_cursor *t, uint32_t wanted) {
    size_t start = t->at + (t->s[t->at] == ' ' ? 1u : 0u);
    size_t end = run(t, start, wanted, SIZE_MAX);
    return end > start ? end : t->at;
}

static size_t letters(const eb_text_cursor *t, uint32_t step) {
    if (step & EB_STEP_SPACE_LETTERS) {
        return spaced_run(t, LETTER);
    }
    size_t next;
    uint32_t first = class_at(t, t->at, &next);
    if (first == LETTER) {
        return run(t, next, LETTER, SIZE_MAX);
    }
    if (first == NUMBER || is_line(t->s[t->at])) {
        return t->at;
    }
    size_t end = run(t, next, LETTER, SIZE_MAX);
    return end > next ? end : t->at;
}

static size_t numbers(const eb_text_cursor *t, uint32_t step) {
    if (step & EB_STEP_SPACE_NUMBERS) {
        return spaced_run(t, NUMBER);
    }
    size_t most = (step >> EB_STEP_NUMBERS_AT) & 3u;
    return run(t, t->at, NUMBER, most == 0 ? SIZE_MAX : most);
}

static size_t others(const eb_text_cursor *t, uint32_t step) {
    size_t end = spaced_run(t, OTHER);
    if (end > t->at && (step & EB_STEP_OTHERS_LINES)) {
        while (end < t->end && is_line(t->s[end])) {
            end++;
        }
    }
    return end;
}

// White space: up to its last line end where lines count; else all but the last character before other text;
// else all.
static size_t spaces(const eb_text_cursor *t, uint32_t step) {
    size_t at = t->at, last = t->at, line = t->at, next;
    while (at < t->end && class_at(t, at, &next) == SPACE) {
        if (is_line(t->s[at])) {
            line = next;
        }
        last = at;
        at = next;
    }
    if ((step & EB_STEP_LINES) && line > t->at) {
        return line;
    }
    return at < t->end && last > t->at ? last : at;
}

size_t eb_split(uint32_t step, const uint8_t *s, size_t at, size_t end) {
    eb_text_cursor t = {s, at, end};
    size_t next;
    if (step & EB_STEP_DIGITS) {
        if (class_at(&t, at, &next) == NUMBER) {
            return next;
        }
        while (at < end && class_at(&t, at, &next) != NUMBER) {
            at = next;
        }
        return at;
    }
    size_t stop = at;
    if (step & (EB_STEP_CONTRACTIONS | EB_STEP_CONTRACTIONS_ANY)) {
        stop = contraction(&t, (step & EB_STEP_CONTRACTIONS_ANY) != 0);
    }
    if (stop == at) {
        stop = letters(&t, step);
    }
    if (stop == at) {
        stop = numbers(&t, step);
    }
    if (stop == at) {
        stop = others(&t, step);
    }
    if (stop == at) {
        stop = spaces(&t, step);
    }
    return stop;
}
