// SPDX-License-Identifier: Apache-2.0
// Arm MPS2 with the AN386 image: the FPGA starts with its clocks running and UART0 connected (DAI 0386).
#include "eb_board.h"

void eb_board_init(void) {}
