// SPDX-License-Identifier: Apache-2.0
// UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef EDGEBIT_TEXT_UTF8_H
#define EDGEBIT_TEXT_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define EB_REPLACEMENT 0xfffdu

// What the bytes s[0 .. n], n >= 1, start with. `bytes`: length of the character, or of the longest beginning
// of one (at least 1) when there is none; `ok`: 1 a character, 0 not one, -1 the beginning of one that n cuts
// short.
typedef struct {
    uint32_t code_point;
    uint32_t bytes;
    int32_t ok;
} eb_utf8;

static inline eb_utf8 eb_utf8_read(const uint8_t *s, size_t n) {
    uint32_t a = s[0];
    if (a < 0x80u) {
        return (eb_utf8){a, 1, 1};
    }
    uint32_t length = a >= 0xf0u ? 4 : (a >= 0xe0u ? 3 : 2);
    if (a < 0xc2u || a > 0xf4u) {
        return (eb_utf8){EB_REPLACEMENT, 1, 0};
    }
    uint32_t c = a & (0xffu >> (length + 1u));
    // The second byte decides about overlong forms, surrogates and the end of Unicode.
    uint32_t lo = a == 0xe0u ? 0xa0u : (a == 0xf0u ? 0x90u : 0x80u);
    uint32_t hi = a == 0xedu ? 0x9fu : (a == 0xf4u ? 0x8fu : 0xbfu);
    for (uint32_t i = 1; i < length; i++) {
        if (i >= n) {
            return (eb_utf8){EB_REPLACEMENT, i, -1};
        }
        uint32_t b = s[i];
        if (b < lo || b > hi) {
            return (eb_utf8){EB_REPLACEMENT, i, 0};
        }
        lo = 0x80u;
        hi = 0xbfu;
        c = (c << 6) | (b & 0x3fu);
    }
    return (eb_utf8){c, length, 1};
}

// Writes a character, 1..4 bytes; returns how many.
static inline uint32_t eb_utf8_write(uint32_t c, uint8_t *out) {
    if (c < 0x80u) {
        out[0] = (uint8_t)c;
        return 1;
    }
    uint32_t length = c < 0x800u ? 2 : (c < 0x10000u ? 3 : 4);
    for (uint32_t i = length - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80u | (c & 0x3fu));
        c >>= 6;
    }
    out[0] = (uint8_t)((0xf00u >> length) | c);
    return length;
}

#endif
