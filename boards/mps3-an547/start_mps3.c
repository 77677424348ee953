// SPDX-License-Identifier: Apache-2.0
// Arm MPS3 with the AN547 image: the FPGA starts with its clocks running and UART0 connected (DAI 0547).
#include "eb_board.h"

#define SCB_CCR EB_REG(0xE000ED14u) // Armv8.1-M ARM (DDI 0553), D1.2.9

#define CCR_BRANCH_PREDICTION (1u << 18)
#define CCR_LOW_OVERHEAD_LOOP (1u << 19) // off after reset: `le` would fetch its target again every time

void eb_board_init(void) {
    SCB_CCR |= CCR_BRANCH_PREDICTION | CCR_LOW_OVERHEAD_LOOP;
    __asm__ volatile("dsb\n isb" ::: "memory");
}
