// SPDX-License-Identifier: Apache-2.0
// Arm MPS2 with the AN505 image: the FPGA starts with its clocks running, in secure state, UART0 connected
// (DAI 0505).
#include "eb_board.h"

void eb_board_init(void) {}
