// SPDX-License-Identifier: Apache-2.0
// What compilers call even when there is no C library. Include in one file of a freestanding program.
#ifndef EDGEBIT_CHECK_PORT_MEMORY_H
#define EDGEBIT_CHECK_PORT_MEMORY_H

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

void *memcpy(void *to, const void *from, size_t n) {
    uint8_t *d = to;
    const uint8_t *s = from;
    while (n-- > 0) {
        *d++ = *s++;
        __asm__ volatile("" ::: "memory"); // or the compiler makes this loop a call of memcpy
    }
    return to;
}

void *memmove(void *to, const void *from, size_t n) {
    uint8_t *d = to;
    const uint8_t *s = from;
    if ((uintptr_t)d <= (uintptr_t)s) {
        return memcpy(to, from, n);
    }
    while (n-- > 0) {
        d[n] = s[n];
        __asm__ volatile("" ::: "memory");
    }
    return to;
}

void *memset(void *to, int value, size_t n) {
    uint8_t *d = to;
    while (n-- > 0) {
        *d++ = (uint8_t)value;
        __asm__ volatile("" ::: "memory");
    }
    return to;
}

#endif
