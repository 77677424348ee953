// SPDX-License-Identifier: Apache-2.0
// The core's own cycle counter: CYCCNT of the Data Watchpoint and Trace unit, 32 bits, where the architecture
// has it; SysTick by the processor's clock, 24 bits, on Armv6-M, which has no other.
//
// Registers: Armv6-M ARM (DDI 0419) B3.3, Armv7-M ARM (DDI 0403) C1.8, Armv8-M ARM (DDI 0553) D1.2. Both are
// optional, and emulators leave them out: eb_port_count says whether what was started counts.
#include "eb_port.h"

#define REG(address) (*(volatile uint32_t *)(address))

#if defined(__ARM_ARCH_6M__)

#define SYST_CSR   REG(0xE000E010u)
#define SYST_RVR   REG(0xE000E014u)
#define SYST_CVR   REG(0xE000E018u)
#define ENABLE     5u // and CLKSOURCE: the processor's clock
#define COUNT_FLAG 0x10000u
#define LONGEST    0xFFFFFFu

const char *eb_port_count(void) {
    SYST_RVR = LONGEST;
    SYST_CSR = ENABLE;
    eb_port_restart();
    return eb_port_cycles() != 0 ? "SysTick" : "none";
}

// Any write makes it 0; with the next cycle it starts down from LONGEST. The flag is read, which clears it,
// once that has happened: emulators set it on the way.
void eb_port_restart(void) {
    SYST_CVR = 0;
    for (int i = 0; i < 4 && SYST_CVR == 0; i++) {
    }
    (void)SYST_CSR;
}

uint32_t eb_port_cycles(void) {
    const uint32_t left = SYST_CVR;
    if (SYST_CSR & COUNT_FLAG) {
        return EB_PORT_TOO_MANY;
    }
    return left == 0 ? 0 : LONGEST - left + 1;
}

#else

#define DEMCR      REG(0xE000EDFCu)
#define TRCENA     0x01000000u
#define DWT_CTRL   REG(0xE0001000u)
#define DWT_CYCCNT REG(0xE0001004u)
#define DWT_LAR    REG(0xE0001FB0u) // the Cortex-M7 wants a key first; others ignore it
#define KEY        0xC5ACCE55u

const char *eb_port_count(void) {
    DEMCR |= TRCENA;
    DWT_LAR = KEY;
    eb_port_restart();
    DWT_CTRL |= 1u;
    return eb_port_cycles() != 0 || eb_port_cycles() != 0 ? "DWT" : "none";
}

void eb_port_restart(void) {
    DWT_CYCCNT = 0;
}

uint32_t eb_port_cycles(void) {
    return DWT_CYCCNT;
}

#endif
