// SPDX-License-Identifier: Apache-2.0
// Whether the processor can run this program is looked at before anything else.
//
// AArch64: all code, the C library's too, is compiled for one core, so the first instructions are these few
// of Armv8.0: they look up AT_HWCAP (16) in the auxiliary vector that the kernel puts behind the environment
// (Linux, Documentation/arch/arm64/elf_hwcaps.rst), and go on to _start when all bits of EB_D_NEEDS_HWCAP are
// set. x86-64: only kernels are compiled for more than the baseline, and main asks first. A library has no
// first instruction: who loads it asks before anything else of it runs.
#include "session.h"

#if defined(__aarch64__)

#if defined(EB_D_NEEDS_HWCAP) && !defined(EB_D_LIBRARY)
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
__asm(".section .text.eb_start, \"ax\"\n"
      ".globl eb_start\n"
      ".type eb_start, @function\n"
      "eb_start:\n"
      "    mov x1, sp\n"
      "    ldr x2, [x1], #8\n" // argc
      "    add x1, x1, x2, lsl #3\n"
      "    add x1, x1, #8\n" // behind the end of argv
      "1:  ldr x2, [x1], #8\n"
      "    cbnz x2, 1b\n" // behind the end of the environment
      "2:  ldp x2, x3, [x1], #16\n"
      "    cbz x2, 3f\n"
      "    cmp x2, #16\n"
      "    b.ne 2b\n"
      "    ldr w4, 5f\n"
      "    and x5, x3, x4\n"
      "    cmp x5, x4\n"
      "    b.ne 3f\n"
      "    b _start\n"
      "3:  mov x8, #64\n" // write
      "    mov x0, #2\n"
      "    adr x1, 6f\n"
      "    mov x2, #(7f - 6f)\n"
      "    svc #0\n"
      "    mov x8, #94\n" // exit_group
      "    mov x0, #7\n"
      "    svc #0\n"
      "    brk #0\n"
      ".balign 4\n"
      "5:  .word " TEXT(EB_D_NEEDS_HWCAP) "\n"
                                          "6:  .ascii \"this program was made for the " EB_D_CORE_TITLE
                                          ", and this processor lacks instructions "
                                          "of it; export the model again for this board\\n\"\n"
                                          "7:\n"
                                          ".size eb_start, . - eb_start\n"
                                          ".text\n");
#endif

#if defined(EB_D_NEEDS_HWCAP) && defined(EB_D_LIBRARY)
#include <sys/auxv.h>

const char *eb_unfit_processor(void) {
    const unsigned long needs = EB_D_NEEDS_HWCAP;
    return (getauxval(AT_HWCAP) & needs) == needs
               ? NULL
               : "this library was made for the " EB_D_CORE_TITLE
                 ", and this processor lacks instructions of it; export the model again for this board";
}
#else
const char *eb_unfit_processor(void) {
    return NULL;
}
#endif

#elif defined(__x86_64__)
#include <cpuid.h>

// Bits as in the Intel 64 and IA-32 Architectures Software Developer's Manual: CPUID (volume 2A), XCR0
// (volume 1, 13.3).
const char *eb_unfit_processor(void) {
#if defined(EB_D_NEEDS_AVX2) || defined(EB_D_NEEDS_AVX512VNNI)
    enum { OSXSAVE = 1 << 27, F16C = 1 << 29, AVX2 = 1 << 5, F = 1 << 16, BW = 1 << 30, VNNI = 1 << 11 };
    static const char lacks[] =
        "this program was made for a processor with AVX2 or AVX-512 VNNI, which this one lacks; export the "
        "model again on this machine";
    unsigned a, b, c, d, first;
    if (!__get_cpuid(1, &a, &b, &first, &d) || (first & OSXSAVE) == 0) {
        return lacks;
    }
    uint32_t saved, high;
    __asm volatile("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        return lacks;
    }
    if ((saved & 6u) != 6u || (first & F16C) == 0 || (b & AVX2) == 0) {
        return lacks;
    }
#ifdef EB_D_NEEDS_AVX512VNNI
    if ((saved & 0xE6u) != 0xE6u || (b & F) == 0 || (b & BW) == 0 || (c & VNNI) == 0) {
        return lacks;
    }
#endif
#endif
    return NULL;
}

#else
#error "this program is for x86-64 and AArch64"
#endif
