// SPDX-License-Identifier: Apache-2.0
// Unicode normalisation form C (UAX 15): decompose, order combining marks, compose. Marks are ordered by
// counting, so a long run of them takes linear time.
#include "text/internal.h"

#if EB_TEXT_HAS_NFC
#include "text/unicode_nfc.h"

#define COUNT_OF(a) (sizeof(a) / sizeof(a)[0])
#define SHORT_RUN   16u

enum {
    S_BASE = 0xac00,
    L_BASE = 0x1100,
    V_BASE = 0x1161,
    T_BASE = 0x11a7,
    L_COUNT = 19,
    V_COUNT = 21,
    T_COUNT = 28
};
enum { S_COUNT = L_COUNT * V_COUNT * T_COUNT };

static uint32_t combining(uint32_t c) {
    size_t lo = 0, hi = COUNT_OF(eb_unicode_combining);
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (eb_unicode_combining[mid] >> 8 <= c) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return eb_unicode_combining[lo] & 255u;
}

static const uint32_t *step_of(uint32_t c) {
    size_t lo = 0, hi = COUNT_OF(eb_unicode_steps) / 3;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (eb_unicode_steps[3 * mid] < c) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < COUNT_OF(eb_unicode_steps) / 3 && eb_unicode_steps[3 * lo] == c ? &eb_unicode_steps[3 * lo]
                                                                                : NULL;
}

// The full canonical decomposition, at most 4 characters; returns how many. Second parts never decompose.
static uint32_t decompose(uint32_t c, uint32_t out[4]) {
    if (c - S_BASE < S_COUNT) {
        uint32_t s = c - S_BASE;
        out[0] = L_BASE + s / (V_COUNT * T_COUNT);
        out[1] = V_BASE + s % (V_COUNT * T_COUNT) / T_COUNT;
        out[2] = T_BASE + s % T_COUNT;
        return s % T_COUNT == 0 ? 2 : 3;
    }
    uint32_t tail[3], n_tail = 0;
    const uint32_t *step = c < 0xc0u ? NULL : step_of(c);
    while (step != NULL) {
        c = step[1];
        if (step[2] != 0 && n_tail < 3) {
            tail[n_tail++] = step[2];
        }
        step = step_of(c);
    }
    out[0] = c;
    for (uint32_t i = 0; i < n_tail; i++) {
        out[1 + i] = tail[n_tail - 1 - i];
    }
    return 1 + n_tail;
}

// The character that two make, or 0.
static uint32_t compose(uint32_t a, uint32_t b) {
    if (a - L_BASE < L_COUNT && b - V_BASE < V_COUNT) {
        return S_BASE + ((a - L_BASE) * V_COUNT + (b - V_BASE)) * T_COUNT;
    }
    if (a - S_BASE < S_COUNT && (a - S_BASE) % T_COUNT == 0 && b - T_BASE - 1u < T_COUNT - 1u) {
        return a + (b - T_BASE);
    }
    size_t lo = 0, hi = COUNT_OF(eb_unicode_composing);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const uint32_t *s = &eb_unicode_steps[3u * eb_unicode_composing[mid]];
        if (s[1] < a || (s[1] == a && s[2] < b)) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo == COUNT_OF(eb_unicode_composing)) {
        return 0;
    }
    const uint32_t *s = &eb_unicode_steps[3u * eb_unicode_composing[lo]];
    return s[1] == a && s[2] == b ? s[0] : 0;
}

// Orders a run of combining marks by class, equals as they came. c[i] holds class << 24 | character.
static void order(uint32_t *c, size_t n, uint32_t *spare) {
    if (n <= SHORT_RUN) {
        for (size_t i = 1; i < n; i++) {
            uint32_t v = c[i];
            size_t k = i;
            while (k > 0 && c[k - 1] >> 24 > v >> 24) {
                c[k] = c[k - 1];
                k--;
            }
            c[k] = v;
        }
        return;
    }
    size_t at[256] = {0};
    for (size_t i = 0; i < n; i++) {
        at[c[i] >> 24]++;
        spare[i] = c[i];
    }
    size_t sum = 0;
    for (size_t k = 0; k < 256; k++) {
        size_t here = at[k];
        at[k] = sum;
        sum += here;
    }
    for (size_t i = 0; i < n; i++) {
        c[at[spare[i] >> 24]++] = spare[i];
    }
}

static size_t compose_all(uint32_t *c, size_t n) {
    size_t out = 0, starter = SIZE_MAX;
    uint32_t last = 0; // class of the last character kept since the starter
    for (size_t i = 0; i < n; i++) {
        uint32_t k = c[i] >> 24, v = c[i] & 0xffffffu;
        if (starter != SIZE_MAX && (out == starter + 1 || last < k)) {
            uint32_t made = compose(c[starter], v);
            if (made != 0) {
                c[starter] = made;
                continue;
            }
        }
        if (k == 0) {
            starter = out;
        }
        last = k;
        c[out++] = v;
    }
    return out;
}

int32_t eb_nfc(eb_span *text, eb_scratch *memory) {
    size_t plain = 0, n = 0; // before the first character that could change; characters after decomposition
    uint32_t parts[4];
    while (plain < text->n && text->s[plain] < 0xccu) { // U+0300 starts with 0xcc
        plain++;
    }
    if (plain == text->n) {
        return EB_TEXT_OK;
    }
    for (size_t i = 0; i < text->n;) {
        eb_utf8 u = eb_utf8_read(text->s + i, text->n - i);
        n += decompose(u.code_point, parts);
        i += u.bytes;
    }
    eb_scratch mine = *memory;
    if (n > SIZE_MAX / 8) {
        return EB_TEXT_SCRATCH;
    }
    uint32_t *c = (uint32_t *)eb_scratch_take(&mine, 4 * n);
    uint32_t *spare = (uint32_t *)eb_scratch_take(&mine, 4 * n);
    if (c == NULL || spare == NULL) {
        return EB_TEXT_SCRATCH;
    }
    size_t at = 0, marks = 0; // c[marks .. at] are combining marks
    for (size_t i = 0; i < text->n;) {
        eb_utf8 u = eb_utf8_read(text->s + i, text->n - i);
        i += u.bytes;
        uint32_t count = decompose(u.code_point, parts);
        for (uint32_t k = 0; k < count; k++) {
            uint32_t class = parts[k] < 0x300u ? 0 : combining(parts[k]);
            if (class == 0) {
                order(c + marks, at - marks, spare);
                marks = at + 1;
            }
            c[at++] = class << 24 | parts[k];
        }
    }
    order(c + marks, at - marks, spare);
    n = compose_all(c, at);
    // The result replaces `spare` where it fits; a character of c takes 4 bytes, as its text does at most.
    uint8_t *out = (uint8_t *)spare;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += eb_utf8_write(c[i], out + bytes);
    }
    uint8_t *kept = memory->at;
    for (size_t i = 0; i < bytes; i++) {
        kept[i] = out[i];
    }
    if (eb_scratch_take(memory, bytes) == NULL) {
        return EB_TEXT_SCRATCH;
    }
    *text = (eb_span){kept, bytes};
    return EB_TEXT_OK;
}

#else

int32_t eb_nfc(eb_span *text, eb_scratch *memory) {
    (void)text;
    (void)memory;
    return EB_TEXT_TABLE;
}

#endif
