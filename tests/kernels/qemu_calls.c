// SPDX-License-Identifier: Apache-2.0
// Calls functions of this image in an emulator, one after the other, for as long as cases come: reads from
// "cases" and writes to "results" in the emulator's folder by semihosting; both may be pipes. A case, all
// numbers uint32 in little endian: a function's address, 8 arguments, a number of bytes, and as many bytes
// for the start of qemu_arena. The answer is what is there then.
#include "check.h"

enum { SYS_OPEN = 1, SYS_WRITE = 5, SYS_READ = 6, READ_BINARY = 1, WRITE_BINARY = 5 };
enum { ARENA = 1 << 18 };

EB_ALIGNED(16) uint8_t qemu_arena[ARENA];

typedef void function(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);

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
static int transfer(uintptr_t op, uintptr_t file, void *data, uint32_t bytes) {
    uint8_t *at = data;
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

int eb_check_main(int argc, const char *const *argv) {
    (void)argc;
    (void)argv;
    uintptr_t in = open_file("cases", READ_BINARY, 5);
    uintptr_t out = open_file("results", WRITE_BINARY, 7);
    uint32_t head[10];
    while (transfer(SYS_READ, in, head, sizeof head) && head[9] <= ARENA &&
           transfer(SYS_READ, in, qemu_arena, head[9])) {
        ((function *)(uintptr_t)head[0])(head[1], head[2], head[3], head[4], head[5], head[6], head[7],
                                         head[8]);
        if (!transfer(SYS_WRITE, out, qemu_arena, head[9])) {
            return 1;
        }
    }
    return 0;
}
