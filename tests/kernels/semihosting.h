// SPDX-License-Identifier: Apache-2.0
// Files of an emulator's folder, by semihosting (Arm, Semihosting for AArch32 and AArch64): what programs of
// the tests that QEMU runs share.
#ifndef EDGEBIT_TESTS_SEMIHOSTING_H
#define EDGEBIT_TESTS_SEMIHOSTING_H

#include <stdint.h>

enum { SYS_OPEN = 1, SYS_CLOSE = 2, SYS_WRITE = 5, SYS_READ = 6, READ_BINARY = 1, WRITE_BINARY = 5 };

static uintptr_t call(uintptr_t op, const void *argument) {
    register uintptr_t r0 __asm__("r0") = op;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uintptr_t open_file(const char *name, uintptr_t mode, uintptr_t length) {
    const uintptr_t block[3] = {(uintptr_t)name, mode, length};
    return call(SYS_OPEN, block);
}

// All bytes, however few come at a time; 0 at the end of the file.
static int transfer(uintptr_t op, uintptr_t file, const void *data, uint32_t bytes) {
    const uint8_t *at = data;
    while (bytes > 0) {
        const uintptr_t block[3] = {file, (uintptr_t)at, bytes};
        const uint32_t left = (uint32_t)call(op, block);
        if (left >= bytes) {
            return 0;
        }
        at += bytes - left;
        bytes = left;
    }
    return 1;
}

#endif
