// SPDX-License-Identifier: Apache-2.0
// Calls functions of this image in an emulator, one after the other, for as long as cases come: reads from
// "cases" and writes to "results" in the emulator's folder by semihosting; both may be pipes. A case, all
// numbers uint32 in little endian: a function's address, 8 arguments, a number of bytes, and as many bytes
// for the start of qemu_arena. The answer is what is there then.
#include "check.h"
#include "semihosting.h"

enum { ARENA = 1 << 18 };

EB_ALIGNED(16) uint8_t qemu_arena[ARENA];

typedef void function(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);

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
