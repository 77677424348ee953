// SPDX-License-Identifier: Apache-2.0
// The tester as a static Linux program for 32-bit Arm without a C library: real boards, qemu-user, or an
// emulator that understands two system calls. -DEB_CHECK_ARGS holds its arguments as a list of strings.
#include "check.h"
#include "port_memory.h"

#ifndef EB_CHECK_ARGS
#define EB_CHECK_ARGS
#endif

enum { NR_EXIT = 1, NR_WRITE = 4, NR_CLOCK_GETTIME = 263, CLOCK_PROCESS_CPUTIME = 2 };

const char *const eb_check_tick_unit = "ns of processor time";
void eb_start(void);
int32_t system_call(int32_t number, int32_t a, int32_t b, int32_t c);

void eb_check_write(const char *text) {
    int32_t n = 0;
    while (text[n] != 0) {
        n++;
    }
    system_call(NR_WRITE, 1, (int32_t)(uintptr_t)text, n);
}

uint64_t eb_check_ticks(void) {
    int32_t now[2] = {0, 0};
    if (system_call(NR_CLOCK_GETTIME, CLOCK_PROCESS_CPUTIME, (int32_t)(uintptr_t)now, 0) != 0) {
        return 0;
    }
    return (uint64_t)(uint32_t)now[0] * 1000000000u + (uint64_t)(uint32_t)now[1];
}

__attribute__((used)) static void run(void) {
    static const char *const argv[] = {"check", EB_CHECK_ARGS};
    system_call(NR_EXIT, eb_check_main((int)(sizeof argv / sizeof argv[0]), argv), 0, 0);
}

// The call number goes to r7, which may be the frame pointer of C code.
__asm__(".pushsection .text.eb_start, \"ax\", %progbits\n"
        ".syntax unified\n"
        ".thumb\n"
        ".type system_call, %function\n"
        ".thumb_func\n"
        "system_call:\n"
        "push {r7, lr}\n"
        "mov r7, r0\n"
        "mov r0, r1\n"
        "mov r1, r2\n"
        "mov r2, r3\n"
        "svc #0\n"
        "pop {r7, pc}\n"
        ".global eb_start\n"
        ".type eb_start, %function\n"
        ".thumb_func\n"
        "eb_start:\n"
        "bl run\n"
        "b .\n"
        ".popsection\n");
