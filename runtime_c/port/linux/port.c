// SPDX-License-Identifier: Apache-2.0
// Linux without a C library, for x86-64, AArch64 and 32-bit Arm: entry point, three system calls, buffered
// stdin and stdout.
//
// One static program that runs under Linux, under qemu-user, and in an emulator that answers three system
// calls (read, write, exit: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h and
// arch/arm/tools/syscall.tbl in Linux).
#include <stddef.h>
#include <stdint.h>

#include "eb_port.h"

#if defined(EB_NEEDS_AVX2) || defined(EB_NEEDS_AVX512VNNI)
#include <cpuid.h>
#endif

int main(void);
void _start(void);
void eb_linux_start(void);

enum { STDIN = 0, STDOUT = 1, STDERR = 2, EINTR_NEGATED = -4, BUFFER_BYTES = 4096 };

#if defined(__x86_64__)
enum { SYS_READ = 0, SYS_WRITE = 1, SYS_EXIT = 60 };

static long eb_syscall(long number, long a, long b, long c) {
    long result;
    __asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

// System V ABI: the stack pointer is a multiple of 16 before a call; rbp 0 marks the outermost frame.
__asm(".globl _start\n"
      ".type _start, @function\n"
      "_start:\n"
      "    xorl %ebp, %ebp\n"
      "    andq $-16, %rsp\n"
      "    call eb_linux_start\n"
      "    ud2\n"
      ".size _start, . - _start\n");
#elif defined(__aarch64__)
enum { SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT = 93 };

static long eb_syscall(long number, long a, long b, long c) {
    register long x8 __asm("x8") = number;
    register long x0 __asm("x0") = a;
    register long x1 __asm("x1") = b;
    register long x2 __asm("x2") = c;
    __asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}

// AAPCS64: x29 and x30 zero mark the outermost frame; the kernel gives an aligned stack.
__asm(".globl _start\n"
      ".type _start, %function\n"
      "_start:\n"
      "    mov x29, #0\n"
      "    mov x30, #0\n"
      "    bl eb_linux_start\n"
      "    brk #0\n"
      ".size _start, . - _start\n");
#elif defined(__thumb__)
enum { SYS_READ = 3, SYS_WRITE = 4, SYS_EXIT = 1 };

long eb_syscall(long number, long a, long b, long c);

// The call number goes to r7, which may be the frame pointer of C code.
__asm(".pushsection .text.eb_syscall, \"ax\", %progbits\n"
      ".syntax unified\n"
      ".thumb\n"
      ".type eb_syscall, %function\n"
      ".thumb_func\n"
      "eb_syscall:\n"
      "    push {r7, lr}\n"
      "    mov r7, r0\n"
      "    mov r0, r1\n"
      "    mov r1, r2\n"
      "    mov r2, r3\n"
      "    svc #0\n"
      "    pop {r7, pc}\n"
      ".size eb_syscall, . - eb_syscall\n"
      // AAPCS: the stack is a multiple of 8 at a call; lr 0 marks the outermost frame.
      ".globl _start\n"
      ".type _start, %function\n"
      ".thumb_func\n"
      "_start:\n"
      "    movs r0, #0\n"
      "    mov lr, r0\n"
      "    bl eb_linux_start\n"
      "    udf #0\n"
      ".size _start, . - _start\n"
      ".popsection\n");
#else
#error "this port is for x86-64, AArch64 and 32-bit Arm (Thumb); use port/hosted elsewhere"
#endif

static struct {
    uint8_t bytes[BUFFER_BYTES];
    size_t at, end;
} in;

static struct {
    uint8_t bytes[BUFFER_BYTES];
    size_t end;
} out;

static _Noreturn void eb_exit(int status) {
    for (;;) {
        (void)eb_syscall(SYS_EXIT, status, 0, 0);
    }
}

// Kernels for vector instructions were chosen when the model was exported, maybe on another machine. Bits as
// in the Intel 64 and IA-32 Architectures Software Developer's Manual, CPUID (volume 2A) and XCR0 (volume
// 1, 13.3).
#if defined(EB_NEEDS_AVX2) || defined(EB_NEEDS_AVX512VNNI)
static int eb_bits_set(uint32_t word, uint32_t bits) {
    return (word & bits) == bits;
}

static int eb_processor_fits(void) {
    enum { OSXSAVE = 1 << 27, AVX2 = 1 << 5, AVX512F = 1 << 16, AVX512BW = 1 << 30, AVX512_VNNI = 1 << 11 };
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !eb_bits_set(c, OSXSAVE)) {
        return 0;
    }
    uint32_t saved, high;
    __asm volatile("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        return 0;
    }
#ifdef EB_NEEDS_AVX512VNNI
    if (!eb_bits_set(saved, 0xE6) || !eb_bits_set(b, AVX512F | AVX512BW) || !eb_bits_set(c, AVX512_VNNI)) {
        return 0;
    }
#endif
#ifdef EB_NEEDS_AVX2
    if (!eb_bits_set(saved, 0x06) || !eb_bits_set(b, AVX2)) {
        return 0;
    }
#endif
    return 1;
}
#else
static int eb_processor_fits(void) {
    return 1;
}
#endif

static const char eb_unfit[] =
    "this program was made for a processor with AVX2 or AVX-512 VNNI, which this one "
    "lacks; export the model again on this machine\n";

void eb_linux_start(void) {
    if (!eb_processor_fits()) {
        (void)eb_syscall(SYS_WRITE, STDERR, (long)(intptr_t)eb_unfit, (long)sizeof eb_unfit - 1);
        eb_exit(1);
    }
    const int status = main();
    eb_port_flush();
    eb_exit(status);
}

void eb_port_init(void) {}

int eb_port_getc(void) {
    if (in.at == in.end) {
        long n;
        do {
            n = eb_syscall(SYS_READ, STDIN, (long)(intptr_t)in.bytes, BUFFER_BYTES);
        } while (n == EINTR_NEGATED);
        if (n <= 0) {
            return -1;
        }
        in.at = 0;
        in.end = (size_t)n;
    }
    return in.bytes[in.at++];
}

void eb_port_putc(uint8_t byte) {
    if (out.end == BUFFER_BYTES) {
        eb_port_flush();
    }
    out.bytes[out.end++] = byte;
}

void eb_port_flush(void) {
    size_t at = 0;
    while (at < out.end) {
        const long n = eb_syscall(SYS_WRITE, STDOUT, (long)(intptr_t)(out.bytes + at), (long)(out.end - at));
        if (n == EINTR_NEGATED) {
            continue;
        }
        if (n <= 0) {
            eb_exit(1); // nobody is listening
        }
        at += (size_t)n;
    }
    out.end = 0;
}
