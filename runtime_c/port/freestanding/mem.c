// SPDX-License-Identifier: Apache-2.0
// memcpy, memmove, memset and memcmp for programs without a C library.
//
// Weak, so that a compiler's run-time library may bring faster ones. Built with -ffreestanding: the loops
// must not be turned back into calls of the functions they implement.
#include <stddef.h>
#include <stdint.h>

#define EB_WEAK __attribute__((weak, used))

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

// Words of 8 bytes at any alignment; both machines this file is for (x86-64, AArch64) load them directly.
typedef struct {
    uint64_t v;
} __attribute__((packed, may_alias)) word;

EB_WEAK void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    uint8_t *d = to;
    const uint8_t *s = from;
    for (; bytes >= 8; bytes -= 8, d += 8, s += 8) {
        ((word *)d)->v = ((const word *)s)->v;
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
        for (; bytes >= 8; bytes -= 8, d += 8, s += 8) {
            ((word *)d)->v = ((const word *)s)->v;
        }
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
    const uint64_t pattern = (uint64_t)(uint8_t)value * UINT64_C(0x0101010101010101);
    for (; bytes >= 8; bytes -= 8, d += 8) {
        ((word *)d)->v = pattern;
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
