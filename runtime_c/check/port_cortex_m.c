// SPDX-License-Identifier: Apache-2.0
// The tester on a Cortex-M with a semihosting host: an emulator, or a debugger on a board. -DEB_CHECK_ARGS
// holds its arguments as a list of strings.
#include "check.h"
#include "port_memory.h"

#ifndef EB_CHECK_ARGS
#define EB_CHECK_ARGS
#endif

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, SYS_ELAPSED = 0x30 };
enum { ADP_STOPPED_APPLICATION_EXIT = 0x20026 };

const char *const eb_check_tick_unit = "ticks";
void eb_start(void);

extern uint8_t __bss_start[];
extern uint8_t __bss_end[];
extern uint8_t __stack_top[];

static int32_t semihost(int32_t op, const void *argument) {
    register int32_t r0 __asm__("r0") = op;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void eb_check_write(const char *text) {
    semihost(SYS_WRITE0, text);
}

uint64_t eb_check_ticks(void) {
    uint32_t ticks[2] = {0, 0};
    return semihost(SYS_ELAPSED, ticks) == 0 ? (uint64_t)ticks[1] << 32 | ticks[0] : 0;
}

// GCC and Clang for Arm call these by their run-time ABI names too.
void __aeabi_memcpy(void *to, const void *from, size_t n);
void __aeabi_memcpy4(void *to, const void *from, size_t n);
void __aeabi_memcpy8(void *to, const void *from, size_t n);
void __aeabi_memset(void *to, size_t n, int value);
void __aeabi_memclr(void *to, size_t n);
void __aeabi_memclr4(void *to, size_t n);
void __aeabi_memclr8(void *to, size_t n);

void __aeabi_memcpy(void *to, const void *from, size_t n) {
    memcpy(to, from, n);
}
void __aeabi_memcpy4(void *to, const void *from, size_t n) {
    memcpy(to, from, n);
}
void __aeabi_memcpy8(void *to, const void *from, size_t n) {
    memcpy(to, from, n);
}
void __aeabi_memset(void *to, size_t n, int value) {
    memset(to, value, n);
}
void __aeabi_memclr(void *to, size_t n) {
    memset(to, 0, n);
}
void __aeabi_memclr4(void *to, size_t n) {
    memset(to, 0, n);
}
void __aeabi_memclr8(void *to, size_t n) {
    memset(to, 0, n);
}

void eb_start(void) {
    static const char *const argv[] = {"check", EB_CHECK_ARGS};
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; // CPACR: the FPU, before any code could use it
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
    memset(__bss_start, 0, (size_t)(__bss_end - __bss_start));
    uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, 0};
    block[1] = (uint32_t)eb_check_main((int)(sizeof argv / sizeof argv[0]), argv);
    semihost(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[2] = {__stack_top,
                                                                                  (const void *)eb_start};
