// SPDX-License-Identifier: Apache-2.0
// memcpy, memmove, memset and memcmp for programs without a C library.
//
// Weak, so that a compiler's run-time library may bring faster ones. Built with -ffreestanding: the loops
// must not be turned back into calls of the functions they implement.
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) && !defined(__clang__)
// GCC looks for such loops even under -ffreestanding.
#define EB_WEAK __attribute__((weak, used, optimize("no-tree-loop-distribute-patterns")))
#else
#define EB_WEAK __attribute__((weak, used))
#endif

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

#if defined(__x86_64__) || defined(__aarch64__)
// Both machines load and store words at any address.
typedef struct {
    uint64_t v;
} __attribute__((packed, may_alias)) word;
#define EB_BY_WORDS(a, b) 1
#else
typedef struct {
    uint32_t v;
} __attribute__((may_alias)) word;
#define EB_BY_WORDS(a, b) ((((uintptr_t)(a) | (uintptr_t)(b)) & (sizeof(word) - 1)) == 0)
#endif

EB_WEAK void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    uint8_t *d = to;
    const uint8_t *s = from;
    if (EB_BY_WORDS(d, s)) {
        for (; bytes >= sizeof(word); bytes -= sizeof(word), d += sizeof(word), s += sizeof(word)) {
            ((word *)(void *)d)->v = ((const word *)(const void *)s)->v;
        }
    }
    while (bytes--) {
        *d++ = *s++;
    }
    return to;
}

EB_WEAK void *memmove(void *to, const void *from, size_t bytes) {
    uint8_t *d = to;
    const uint8_t *s = from;
    if ((uintptr_t)d < (uintptr_t)s) {
        while (bytes--) {
            *d++ = *s++;
        }
    } else {
        while (bytes--) {
            d[bytes] = s[bytes];
        }
    }
    return to;
}

EB_WEAK void *memset(void *to, int value, size_t bytes) {
    uint8_t *d = to;
    const word pattern = {(uint8_t)value * (~(__typeof__(((word *)0)->v))0 / 255u)};
    if (EB_BY_WORDS(d, 0)) {
        for (; bytes >= sizeof(word); bytes -= sizeof(word), d += sizeof(word)) {
            *(word *)(void *)d = pattern;
        }
    }
    while (bytes--) {
        *d++ = (uint8_t)value;
    }
    return to;
}

EB_WEAK int memcmp(const void *a, const void *b, size_t bytes) {
    const uint8_t *p = a;
    const uint8_t *q = b;
    for (; bytes--; p++, q++) {
        if (*p != *q) {
            return *p < *q ? -1 : 1;
        }
    }
    return 0;
}
