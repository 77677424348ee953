// SPDX-License-Identifier: Apache-2.0
#ifndef EB_PORT_H
#define EB_PORT_H

#include <stdint.h>

void eb_port_init(void);
int eb_port_getc(void);
void eb_port_putc(uint8_t c);
void eb_port_flush(void);

#endif
