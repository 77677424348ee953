// SPDX-License-Identifier: Apache-2.0
// The machine under a bench application: one byte stream to the host, and nothing else.
//
// Each port (cortex_m with a driver from uart/, linux, hosted) defines these four functions and calls the
// application's `int main(void)`. There are no interrupts and no heap behind them.
#ifndef EDGEBIT_EB_PORT_H
#define EDGEBIT_EB_PORT_H

#include <stdint.h>

// Makes the stream ready. Called once, first thing in main.
void eb_port_init(void);

// The next byte from the host, 0..255; waits for it. -1 when the other end is gone (never on a UART).
int eb_port_getc(void);

// Sends one byte. It may wait in a buffer until eb_port_flush.
void eb_port_putc(uint8_t byte);

// Hands everything sent so far to the host.
void eb_port_flush(void);

#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
// Ports of these cores can count cycles.
#define EB_PORT_COUNTS   1
#define EB_PORT_TOO_MANY 0xFFFFFFFFu

// Starts the cycle counter. Its name, at most 255 bytes, or "none" where none counts.
const char *eb_port_count(void);

// Counts from 0 again.
void eb_port_restart(void);

// Cycles of the core since the restart; EB_PORT_TOO_MANY when they are more than the counter can tell.
uint32_t eb_port_cycles(void);
#endif

#endif
