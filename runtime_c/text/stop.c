// SPDX-License-Identifier: Apache-2.0
// Stop strings in a stream (Knuth, Morris, Pratt, one automaton a string). Text that may still become a stop
// string is held back. Held text needs no memory: it is the beginning of the stop string that matched
// furthest.
#include "text/eb_text.h"

int32_t eb_stop_init(eb_stopper *s, eb_stop_string *strings, uint32_t count, uint16_t *fails,
                     size_t fails_cap) {
    if (s == NULL || (count > 0 && (strings == NULL || fails == NULL))) {
        return EB_TEXT_ARGUMENT;
    }
    for (uint32_t k = 0; k < count; k++) {
        eb_stop_string *p = &strings[k];
        if (p->text == NULL || p->length == 0 || p->length > UINT16_MAX) {
            return EB_TEXT_ARGUMENT;
        }
        if (p->length > fails_cap) {
            return EB_TEXT_ROOM;
        }
        p->matched = 0;
        p->fails = fails;
        fails[0] = 0;
        for (uint32_t i = 1, m = 0; i < p->length; i++) {
            while (m > 0 && p->text[m] != p->text[i]) {
                m = fails[m - 1];
            }
            m += p->text[m] == p->text[i];
            fails[i] = (uint16_t)m;
        }
        fails += p->length;
        fails_cap -= p->length;
    }
    *s = (eb_stopper){strings, count, 0, 0, 0};
    return EB_TEXT_OK;
}

// The state of one string after one more byte.
static void advance(eb_stop_string *p, char c) {
    while (p->matched > 0 && p->text[p->matched] != c) {
        p->matched = p->fails[p->matched - 1];
    }
    p->matched += p->text[p->matched] == c;
}

int32_t eb_stop_push(eb_stopper *s, const char *text, size_t n, char *out, size_t cap, int *stopped) {
    if (s == NULL || stopped == NULL || (n > 0 && (text == NULL || out == NULL)) || n > INT32_MAX) {
        return EB_TEXT_ARGUMENT;
    }
    *stopped = (int)s->stopped;
    if (s->stopped) {
        return 0;
    }
    if (cap < s->held || cap - s->held < n) {
        return EB_TEXT_ROOM;
    }
    size_t wrote = 0;
    for (size_t i = 0; i < n && !s->stopped; i++) {
        uint32_t most = 0, holder = 0, done = 0;
        for (uint32_t k = 0; k < s->count; k++) {
            eb_stop_string *p = &s->strings[k];
            advance(p, text[i]);
            if (p->matched == p->length && p->length > done) {
                done = p->length;
            }
            if (p->matched > most) {
                most = p->matched;
                holder = k;
            }
        }
        uint32_t keep = done > 0 ? done : most;
        uint32_t release = s->held + 1 - keep; // of the held bytes and this one
        const char *held = s->count > 0 ? s->strings[s->holder].text : text;
        for (uint32_t k = 0; k < release; k++) {
            out[wrote++] = k < s->held ? held[k] : text[i];
        }
        s->held = keep;
        s->holder = holder;
        s->stopped = done > 0;
    }
    if (s->stopped) {
        s->held = 0;
    }
    *stopped = (int)s->stopped;
    return (int32_t)wrote;
}

int32_t eb_stop_flush(eb_stopper *s, char *out, size_t cap) {
    if (s == NULL || out == NULL) {
        return EB_TEXT_ARGUMENT;
    }
    if (cap < s->held) {
        return EB_TEXT_ROOM;
    }
    uint32_t n = s->held;
    for (uint32_t k = 0; k < n; k++) {
        out[k] = s->strings[s->holder].text[k];
    }
    for (uint32_t k = 0; k < s->count; k++) {
        s->strings[k].matched = 0;
    }
    s->held = 0;
    return (int32_t)n;
}
