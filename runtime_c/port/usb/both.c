// SPDX-License-Identifier: Apache-2.0
// One byte stream from a UART and a USB serial port: whichever spoke last is answered.
#include "eb_board.h"
#include "eb_port.h"
#include "eb_usb.h"

static int on_usb;    // where the last byte came from
static int held = -1; // a byte that waits behind the zero that parts two senders

int eb_port_getc(void) {
    int c = held;
    held = -1;
    while (c < 0) {
        int usb = 1;
        c = eb_usb_poll();
        if (c < 0) {
            usb = 0;
            c = eb_uart_poll();
        }
        if (c >= 0 && usb != on_usb) {
            // Half a frame of one is no start of a frame of the other: a zero ends it.
            on_usb = usb;
            held = c;
            return 0;
        }
    }
    return c;
}

void eb_port_putc(uint8_t byte) {
    if (on_usb) {
        eb_usb_putc(byte);
    } else {
        eb_uart_putc(byte);
    }
}

void eb_port_flush(void) {
    if (on_usb) {
        eb_usb_flush();
    }
}
