// SPDX-License-Identifier: Apache-2.0
// Arm MPS2 with the AN385 image: the FPGA starts with its clocks running and UART0 connected (DAI 0385).
#include "eb_board.h"

void eb_board_init(void) {}
