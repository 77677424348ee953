// SPDX-License-Identifier: Apache-2.0
#include "eb_port.h"

#include <stdio.h>

void eb_port_init(void) {}

int eb_port_getc(void) {
    return getchar();
}

void eb_port_putc(uint8_t c) {
    (void)putchar(c);
}

void eb_port_flush(void) {
    (void)fflush(stdout);
}
