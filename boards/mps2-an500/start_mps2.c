// SPDX-License-Identifier: Apache-2.0
// Arm MPS2 with the AN500 image: the FPGA starts with its clocks running and UART0 connected (DAI 0500).
#include "eb_board.h"

void eb_board_init(void) {}
