// SPDX-License-Identifier: Apache-2.0
// Any machine with a C library: stdin and stdout as the byte stream.
#include <stdio.h>
#include <stdlib.h>

#include "eb_port.h"

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

void eb_port_init(void) {
#ifdef _WIN32
    (void)_setmode(_fileno(stdin), _O_BINARY);
    (void)_setmode(_fileno(stdout), _O_BINARY);
#endif
}

int eb_port_getc(void) {
    const int c = getchar();
    return c == EOF ? -1 : c;
}

void eb_port_putc(uint8_t byte) {
    if (putchar(byte) == EOF) {
        exit(1); // nobody is listening
    }
}

void eb_port_flush(void) {
    if (fflush(stdout) != 0) {
        exit(1);
    }
}
