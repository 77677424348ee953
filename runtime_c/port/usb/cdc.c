// SPDX-License-Identifier: Apache-2.0
// A USB serial port: one configuration with one Abstract Control Model function.
//
// "USB 2.0" is the Universal Serial Bus Specification, "CDC" the Class Definitions for Communication Devices
// 1.2, "PSTN" its subclass for modems and serial ports. The device has no serial number of its own.
#include "eb_board.h"
#include "eb_usb.h"

#define LOW(v)  (uint8_t)((v) & 0xFFu)
#define HIGH(v) (uint8_t)((v) >> 8 & 0xFFu)

#define TOUCH_BAUD 1200u

// USB 2.0 table 9-4
enum {
    GET_STATUS = 0,
    CLEAR_FEATURE = 1,
    SET_ADDRESS = 5,
    GET_DESCRIPTOR = 6,
    GET_CONFIGURATION = 8,
    SET_CONFIGURATION = 9,
    GET_INTERFACE = 10,
    SET_INTERFACE = 11
};
// PSTN table 13
enum { SET_LINE_CODING = 0x20, GET_LINE_CODING = 0x21, SET_CONTROL_LINE_STATE = 0x22 };
// USB 2.0 table 9-5
enum { DEVICE = 1, CONFIGURATION = 2, STRING = 3 };

// clang-format off
// USB 2.0 table 9-8. Class EFh, 2, 1: functions are grouped by interface association, as hosts want it.
static const uint8_t device_descriptor[18] = {
    18, DEVICE, 0x00, 0x02,    // USB 2.0
    0xEF, 2, 1, EB_USB_PACKET, // class; packets of endpoint 0
    LOW(EB_USB_VENDOR), HIGH(EB_USB_VENDOR), LOW(EB_USB_PRODUCT), HIGH(EB_USB_PRODUCT),
    0x00, 0x01,                // release 1.0
    1, 2, 0,                   // strings: manufacturer, product, no serial number
    1,                         // configurations
};

#define CONFIGURATION_BYTES 75
static const uint8_t configuration_descriptor[CONFIGURATION_BYTES] = {
    9, CONFIGURATION, CONFIGURATION_BYTES, 0, 2, 1, 0, 0x80, 50, // 2 interfaces, powered by the bus, 100 mA
    8, 11, 0, 2, 2, 2, 0, 0,                                     // these 2 are one function (CDC)
    9, 4, 0, 0, 1, 2, 2, 0, 0,                                   // interface 0: CDC, Abstract Control Model
    5, 0x24, 0x00, 0x20, 0x01,                                   // CDC 5.2.3.1: release 1.20
    5, 0x24, 0x01, 0x00, 1,                                      // PSTN 5.3.1: no call management
    4, 0x24, 0x02, 0x02,                                         // PSTN 5.3.2: line coding, control lines
    5, 0x24, 0x06, 0, 1,                                         // CDC 5.2.3.2: interface 0 controls 1
    7, 5, 0x80 | EB_USB_NOTIFY, 3, 8, 0, 255,                    // interrupt, 8 bytes
    9, 4, 1, 0, 2, 10, 0, 0, 0,                                  // interface 1: data
    7, 5, EB_USB_DATA, 2, EB_USB_PACKET, 0, 0,                   // bulk, from the host
    7, 5, 0x80 | EB_USB_DATA, 2, EB_USB_PACKET, 0, 0,            // bulk, to the host
};
// clang-format on

static uint8_t coding[7]; // PSTN table 17: u32 baud, stop bits, parity, data bits; they mean nothing here
static uint8_t configuration, open, touched;

static int32_t copy(uint8_t *reply, const uint8_t *from, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) {
        reply[i] = from[i];
    }
    return (int32_t)bytes;
}

// USB 2.0 section 9.6.7: text in UTF-16.
static int32_t string(uint8_t *reply, const char *text) {
    uint32_t n = 2;
    for (; *text != 0 && n + 2 <= EB_USB_REPLY_MAX; text++) {
        reply[n++] = (uint8_t)*text;
        reply[n++] = 0;
    }
    reply[0] = (uint8_t)n;
    reply[1] = STRING;
    return (int32_t)n;
}

static int32_t descriptor(uint32_t type, uint32_t index, uint8_t *reply) {
    static const uint8_t english[4] = {4, STRING, 0x09, 0x04};
    if (type == DEVICE) {
        return copy(reply, device_descriptor, sizeof device_descriptor);
    }
    if (type == CONFIGURATION && index == 0) {
        return copy(reply, configuration_descriptor, sizeof configuration_descriptor);
    }
    if (type != STRING || index > 2) {
        return EB_USB_STALL;
    }
    return index == 0 ? copy(reply, english, sizeof english)
                      : string(reply, index == 1 ? "EdgeBit" : EB_USB_NAME);
}

static int32_t standard(const uint8_t *setup, uint32_t value, uint8_t *reply) {
    static const uint8_t nothing[2] = {0, 0};
    switch (setup[1]) {
    case GET_STATUS:
        return copy(reply, nothing, 2);
    case GET_INTERFACE:
        return copy(reply, nothing, 1);
    case GET_CONFIGURATION:
        return copy(reply, &configuration, 1);
    case GET_DESCRIPTOR:
        return descriptor(value >> 8, value & 0xFFu, reply);
    case SET_ADDRESS:
        eb_usb_set_address(value & 0x7Fu);
        return EB_USB_ACCEPT;
    case SET_CONFIGURATION:
        if (value > 1) {
            return EB_USB_STALL;
        }
        configuration = (uint8_t)value;
        eb_usb_configure((int)value);
        return EB_USB_ACCEPT;
    case SET_INTERFACE:
        if (value != 0 || !configuration) {
            return EB_USB_STALL;
        }
        eb_usb_configure(1);
        return EB_USB_ACCEPT;
    case CLEAR_FEATURE: // ENDPOINT_HALT of a data endpoint; nothing else can be set
        if (value != 0 || (setup[0] & 0x1Fu) != 2 || (setup[4] & 0x0Fu) != EB_USB_DATA) {
            return EB_USB_STALL;
        }
        eb_usb_restart(setup[4] & 0x80);
        return EB_USB_ACCEPT;
    default:
        return EB_USB_STALL;
    }
}

static int32_t of_class(const uint8_t *setup, uint32_t value, uint8_t *reply) {
    switch (setup[1]) {
    case SET_LINE_CODING:
        return EB_USB_DATA_OUT;
    case GET_LINE_CODING:
        return copy(reply, coding, sizeof coding);
    case SET_CONTROL_LINE_STATE:
        open = value & 1u;
        if (!open && (coding[0] | (uint32_t)coding[1] << 8) == TOUCH_BAUD && !(coding[2] | coding[3])) {
            touched = 1;
        }
        return EB_USB_ACCEPT;
    default:
        return EB_USB_STALL;
    }
}

int32_t eb_cdc_request(const uint8_t setup[8], uint8_t *reply) {
    const uint32_t value = setup[2] | (uint32_t)setup[3] << 8;
    const int32_t asked = setup[6] | (int32_t)setup[7] << 8;
    const uint32_t kind = setup[0] & 0x60u;
    int32_t n = EB_USB_STALL;
    if (kind == 0) {
        n = standard(setup, value, reply);
    } else if (kind == 0x20) {
        n = of_class(setup, value, reply);
    }
    const int to_host = setup[0] & 0x80;
    if ((n > 0 && !to_host) || (n == EB_USB_ACCEPT && to_host) ||
        (n == EB_USB_DATA_OUT && (to_host || !asked))) {
        return EB_USB_STALL; // a request that says it goes the other way
    }
    return n < asked ? n : asked;
}

void eb_cdc_data(const volatile uint8_t *data, uint32_t bytes) {
    if (bytes == sizeof coding) {
        for (uint32_t i = 0; i < sizeof coding; i++) {
            coding[i] = data[i];
        }
    }
}

void eb_cdc_reset(void) {
    configuration = open = touched = 0;
}

int eb_cdc_open(void) {
    return open;
}

int eb_cdc_touched(void) {
    return touched;
}
