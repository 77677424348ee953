// SPDX-License-Identifier: Apache-2.0
// A serial port on the board's own USB: what its parts ask of each other. Everything is polled.
//
// usb/<model>.c (and its <model>_errata.c) drives the controller, cdc.c answers what a host asks of the
// device (it says what the device is), both.c makes one byte stream of the USB port and the UART.
// board_config.h names the controller's addresses (EB_USB_BASE, EB_USB_MEMORY), its ids (EB_USB_VENDOR,
// EB_USB_PRODUCT) and its name (EB_USB_NAME).
#ifndef EDGEBIT_EB_USB_H
#define EDGEBIT_EB_USB_H

#include <stdint.h>

// Bytes of the largest packet of every endpoint: full speed, USB 2.0 section 5.5.3 and 5.8.3.
#define EB_USB_PACKET 64

// The endpoints that descriptors name: notifications to the host (never sent), data both ways.
#define EB_USB_NOTIFY 1
#define EB_USB_DATA   2

// The largest reply to a control request.
#define EB_USB_REPLY_MAX 80

// What becomes of a control request, besides a number of bytes of reply.
enum {
    EB_USB_ACCEPT = 0,    // done, there is nothing to send back
    EB_USB_DATA_OUT = -1, // the host sends data next
    EB_USB_STALL = -2     // there is no such request
};

// usb/<model>.c

// Shows the device to the host. The controller's clock runs, and it is out of reset.
void eb_usb_init(void);

// Sees to what the host wants; the next byte that it sent, 0..255, or -1 when there is none yet.
int eb_usb_poll(void);

// Sends one byte. It may wait in a buffer until eb_usb_flush, and is lost when no program on the host
// listens.
void eb_usb_putc(uint8_t byte);

// Hands everything sent so far to the host.
void eb_usb_flush(void);

// The host has chosen the configuration (or none, when `on` is 0): data endpoints start anew.
void eb_usb_configure(int on);

// The host has cleared the halt of a data endpoint: its next packet is DATA0. `in`: towards the host.
void eb_usb_restart(int in);

// The device's address from the next request on.
void eb_usb_set_address(uint32_t address);

// usb/rp2_errata.c, for rp2.c alone

// The host has reset the bus.
void eb_rp2_bus_reset(void);

// To be called while polling: helps the controller out of the reset, once the host has ended it.
void eb_rp2_line_state(void);

// Returns when it is safe to let the host have a packet of data.
void eb_rp2_frame_start(void);

// usb/cdc.c

// Answers a control request, whose 8 bytes are `setup`: bytes of `reply` (at most EB_USB_REPLY_MAX, and no
// more than asked for), or one of the values above.
int32_t eb_cdc_request(const uint8_t setup[8], uint8_t *reply);

// Takes the data of a request that was answered with EB_USB_DATA_OUT.
void eb_cdc_data(const volatile uint8_t *data, uint32_t bytes);

// Forgets what the host has said: it has reset the bus.
void eb_cdc_reset(void);

// Non-zero while a program on the host has the port open (DTR).
int eb_cdc_open(void);

// Non-zero once a program has closed the port at 1200 baud, which asks for the boot loader.
int eb_cdc_touched(void);

// The board's start-up code

// Restarts into the boot loader that takes images over USB.
void eb_board_bootloader(void);

#endif
