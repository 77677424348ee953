// SPDX-License-Identifier: Apache-2.0
// The tester as a static Linux program for AArch64 without a C library: real boards, qemu-user, or an
// emulator that understands two system calls. -DEB_CHECK_ARGS holds its arguments as a list of strings.
#include "check.h"
#include "port_memory.h"

#ifndef EB_CHECK_ARGS
#define EB_CHECK_ARGS
#endif

enum { NR_WRITE = 64, NR_EXIT = 93, NR_CLOCK_GETTIME = 113, CLOCK_PROCESS_CPUTIME = 2 };

const char *const eb_check_tick_unit = "ns of processor time";
void eb_start(void);

static int64_t system_call(int64_t number, int64_t a, int64_t b, int64_t c) {
    register int64_t x8 __asm__("x8") = number;
    register int64_t x0 __asm__("x0") = a;
    register int64_t x1 __asm__("x1") = b;
    register int64_t x2 __asm__("x2") = c;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}

void eb_check_write(const char *text) {
    int64_t n = 0;
    while (text[n] != 0) {
        n++;
    }
    system_call(NR_WRITE, 1, (int64_t)(uintptr_t)text, n);
}

uint64_t eb_check_ticks(void) {
    int64_t now[2] = {0, 0};
    if (system_call(NR_CLOCK_GETTIME, CLOCK_PROCESS_CPUTIME, (int64_t)(uintptr_t)now, 0) != 0) {
        return 0;
    }
    return (uint64_t)now[0] * 1000000000u + (uint64_t)now[1];
}

__attribute__((used)) static void run(void) {
    static const char *const argv[] = {"check", EB_CHECK_ARGS};
    system_call(NR_EXIT, eb_check_main((int)(sizeof argv / sizeof argv[0]), argv), 0, 0);
}

__asm__(".pushsection .text.eb_start, \"ax\", %progbits\n"
        ".global eb_start\n"
        "eb_start:\n"
        "mov x29, #0\n"
        "bl run\n"
        "b .\n"
        ".popsection\n");
