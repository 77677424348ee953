// SPDX-License-Identifier: Apache-2.0
// Start-up of every Cortex-M board: vector table, reset, .data and .bss, then main.
//
// Registers: Armv6-M ARM (DDI 0419) B3.2, Armv7-M ARM (DDI 0403) B3.2, Armv8-M ARM (DDI 0553) D1.2.
#include "eb_board.h"
#include "eb_port.h"
#ifdef EB_USB_BASE
#include "eb_usb.h"
#endif

int main(void);
void Reset(void);
void eb_start(void);
void eb_fault(void);

// From the linker script. Word aligned at both ends.
extern uint32_t eb_data_load[], eb_data_start[], eb_data_end[], eb_bss_start[], eb_bss_end[], eb_stack_top[];

#if defined(__ARM_FP)
// CPACR (0xE000ED88): full access to CP10 and CP11. This must come before any C: a compiler may use floating
// point registers even to clear .bss.
#define EB_ENABLE_FPU                                                                                        \
    "ldr r0, =0xE000ED88\n"                                                                                  \
    "ldr r1, [r0]\n"                                                                                         \
    "ldr r2, =0x00F00000\n"                                                                                  \
    "orrs r1, r2\n"                                                                                          \
    "str r1, [r0]\n"                                                                                         \
    "dsb\n"                                                                                                  \
    "isb\n"
#else
#define EB_ENABLE_FPU
#endif

#if defined(__ARM_ARCH_8M_MAIN__)
// A boot ROM may have left a stack limit behind.
#define EB_CLEAR_STACK_LIMIT                                                                                 \
    "movs r0, #0\n"                                                                                          \
    "msr msplim, r0\n"
#else
#define EB_CLEAR_STACK_LIMIT
#endif

// Interrupts off, VTOR (0xE000ED08) at our table, stack at the top of RAM, floating point on.
__attribute__((naked, noreturn, used)) void Reset(void) {
    __asm volatile("cpsid i\n" EB_CLEAR_STACK_LIMIT "ldr r0, =eb_vectors\n"
                   "ldr r1, =0xE000ED08\n"
                   "str r0, [r1]\n"
                   "ldr r0, =eb_stack_top\n"
                   "mov sp, r0\n" EB_ENABLE_FPU "bl eb_start\n"
                   "1: b 1b\n"
                   ".ltorg\n");
}

__attribute__((noreturn, used)) void eb_start(void) {
    const uint32_t *from = eb_data_load;
    for (uint32_t *to = eb_data_start; to < eb_data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = eb_bss_start; to < eb_bss_end;) {
        *to++ = 0;
    }
    eb_board_init();
    eb_uart_init();
#ifdef EB_USB_BASE
    eb_usb_init();
#endif
    (void)main();
    for (;;) {
    }
}

// A fault, or an interrupt nobody asked for: stop where a debugger or an emulator finds us.
__attribute__((noreturn, used)) void eb_fault(void) {
    for (;;) {
        __asm volatile("" ::: "memory");
    }
}

typedef union {
    void (*handler)(void);
    uint32_t *stack;
} eb_vector;

// The 16 system exceptions; no interrupt is ever enabled.
__attribute__((section(".vectors"), used)) const eb_vector eb_vectors[16] = {
    {.stack = eb_stack_top}, {.handler = Reset},    {.handler = eb_fault}, {.handler = eb_fault},
    {.handler = eb_fault},   {.handler = eb_fault}, {.handler = eb_fault}, {.handler = eb_fault},
    {.handler = eb_fault},   {.handler = eb_fault}, {.handler = eb_fault}, {.handler = eb_fault},
    {.handler = eb_fault},   {.handler = eb_fault}, {.handler = eb_fault}, {.handler = eb_fault},
};

void eb_port_init(void) {}
