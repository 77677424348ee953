// SPDX-License-Identifier: Apache-2.0
// The USB controller of RP2040 (data sheet section 4.1) and RP2350 (section 12.7), as a full-speed device,
// polled. Registers and memory are alike in both, but for the isolation of the PHY (bit 2 of MAIN_CTRL),
// which comes up set on the RP2350. Addresses and bits were checked against the register headers of Raspberry
// Pi's pico-sdk for both chips, the order of events against TinyUSB's driver. Not yet run on a real board.
//
// Errata of the RP2040 (EB_RP2040) that a device meets are worked round in rp2_errata.c: E5 and E15. E2 is of
// a register that we do not use (EP_ABORT), E4 is a host's, and the RP2350 has none of the four.
//
// A host is never kept waiting for long while we poll. While a model runs nobody polls: the controller then
// answers NAK, which hosts take for seconds.
#include "eb_board.h"
#include "eb_usb.h"

// Registers, from EB_USB_BASE
#define ADDR_ENDP  (EB_USB_BASE + 0x00u)
#define MAIN_CTRL  (EB_USB_BASE + 0x40u)
#define SIE_CTRL   (EB_USB_BASE + 0x4Cu)
#define SIE_STATUS (EB_USB_BASE + 0x50u) // events stay until 1 is written to them
#define BUFF_STATUS                                                                                          \
    (EB_USB_BASE + 0x58u) // a bit for each buffer that is done, even ones to the host; as above
#define EP_STALL_ARM (EB_USB_BASE + 0x68u)
#define USB_MUXING   (EB_USB_BASE + 0x74u)
#define USB_PWR      (EB_USB_BASE + 0x78u)

#define MAIN_CTRL_ENABLE   (1u << 0) // bit 1 clear: a device; bit 2 clear: the PHY is not isolated
#define SIE_CTRL_PULLUP    (1u << 16)
#define SIE_CTRL_EP0_DONE  (1u << 29) // BUFF_STATUS tells of endpoint 0 too
#define SIE_SUSPENDED      (1u << 4)
#define SIE_SETUP          (1u << 17)
#define SIE_BUS_RESET      (1u << 19)
#define MUXING_TO_PHY      (1u << 0)
#define MUXING_SOFTCON     (1u << 3)
#define PWR_DETECT         (1u << 2) // taken from us, not from a pin: VBUS is there
#define PWR_DETECT_FROM_US (1u << 3)

// The controller's memory, from EB_USB_MEMORY: the last request, endpoint and buffer control, buffers
#define SETUP_PACKET   EB_USB_MEMORY
#define ENDPOINT(n)    (EB_USB_MEMORY + 8u * (n)) // n >= 1; to the host, then from it
#define TO_HOST(n)     (EB_USB_MEMORY + 0x80u + 8u * (n))
#define FROM_HOST(n)   (EB_USB_MEMORY + 0x84u + 8u * (n))
#define EP0_BUFFER     0x100u // offsets in the memory, in steps of 64
#define NOTIFY_BUFFER  0x180u
#define RECEIVE_BUFFER 0x1C0u
#define SEND_BUFFER    0x200u
#define BYTES(buffer)  ((volatile uint8_t *)(uintptr_t)(EB_USB_MEMORY + (buffer)))

#define ENDPOINT_ENABLE    (1u << 31)
#define ENDPOINT_DONE      (1u << 29) // BUFF_STATUS tells of each of its buffers
#define ENDPOINT_BULK      (2u << 26)
#define ENDPOINT_INTERRUPT (3u << 26)

#define BUFFER_FULL      (1u << 15)
#define BUFFER_DATA1     (1u << 13)
#define BUFFER_STALL     (1u << 11)
#define BUFFER_AVAILABLE (1u << 10)
#define BUFFER_LENGTH    0x3FFu

#define DONE_TO_HOST(n)   (1u << (2u * (n)))
#define DONE_FROM_HOST(n) (1u << (2u * (n) + 1u))

static uint8_t reply[EB_USB_REPLY_MAX];
static uint32_t reply_bytes, reply_at; // of the control request under way
static uint32_t reply_toggle;          // BUFFER_DATA1 or 0, of its next packet
static uint32_t next_address;          // once the request that sets it is over
static int takes_data;                 // it goes from the host to us, with data

static uint32_t received, received_at,
    receive_toggle;                  // bytes in the buffer from the host, and those taken out
static uint32_t filled, send_toggle; // bytes in the buffer to the host
static int sending, ends_full;       // it is the controller's; the last packet was a full one
static int configured, listening;

// Hands a buffer to the controller. AVAILABLE goes in after the rest, at least one cycle of the 48 MHz clock
// later (4.1.2.5.1 "Concurrent access"; twelve cycles are enough up to 576 MHz).
__attribute__((noinline)) static void give(uint32_t control, uint32_t value) {
    EB_REG(control) = value;
    __asm volatile("nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop" ::: "memory");
    EB_REG(control) = value | BUFFER_AVAILABLE;
}

static void receive(void) {
    received = received_at = 0;
    give(FROM_HOST(EB_USB_DATA), receive_toggle | EB_USB_PACKET);
    receive_toggle ^= BUFFER_DATA1;
}

static void stop_listening(void) {
    listening = 0;
    filled = 0;
    ends_full = 0;
}

void eb_usb_configure(int on) {
    configured = on;
    stop_listening();
    sending = 0;
    received = received_at = 0;
    receive_toggle = send_toggle = 0;
    const uint32_t enable = on ? ENDPOINT_ENABLE | ENDPOINT_DONE : 0;
    EB_REG(ENDPOINT(EB_USB_NOTIFY)) = enable | ENDPOINT_INTERRUPT | NOTIFY_BUFFER;
    EB_REG(ENDPOINT(EB_USB_DATA)) = enable | ENDPOINT_BULK | SEND_BUFFER;
    EB_REG(ENDPOINT(EB_USB_DATA) + 4u) = enable | ENDPOINT_BULK | RECEIVE_BUFFER;
    EB_REG(TO_HOST(EB_USB_NOTIFY)) = 0;
    EB_REG(TO_HOST(EB_USB_DATA)) = 0;
    EB_REG(FROM_HOST(EB_USB_DATA)) = 0;
    if (on) {
        receive();
    }
}

void eb_usb_restart(int in) {
    if (!configured) {
        return;
    }
    if (in) {
        send_toggle = 0;
    } else {
        receive_toggle = 0;
        receive();
    }
}

void eb_usb_set_address(uint32_t address) {
    next_address = address;
}

// Sends the next packet of the reply; one of no bytes when there is none, which ends a request without reply.
static void reply_packet(void) {
    const uint32_t left = reply_bytes - reply_at;
    const uint32_t n = left < EB_USB_PACKET ? left : EB_USB_PACKET;
    for (uint32_t i = 0; i < n; i++) {
        BYTES(EP0_BUFFER)[i] = reply[reply_at + i];
    }
    reply_at += n;
    give(TO_HOST(0), BUFFER_FULL | reply_toggle | n);
    reply_toggle ^= BUFFER_DATA1;
}

static void request(void) {
    uint8_t setup[8];
    for (uint32_t i = 0; i < 8; i++) {
        setup[i] = ((volatile uint8_t *)(uintptr_t)SETUP_PACKET)[i];
    }
    const int32_t answer = eb_cdc_request(setup, reply);
    reply_at = reply_bytes = 0;
    reply_toggle = BUFFER_DATA1; // USB 2.0 section 8.5.3: what follows a request starts with DATA1
    takes_data = answer == EB_USB_DATA_OUT;
    if (answer == EB_USB_STALL) {
        EB_REG(EP_STALL_ARM) = 3;
        EB_REG(TO_HOST(0)) = BUFFER_STALL;
        EB_REG(FROM_HOST(0)) = BUFFER_STALL;
        return;
    }
    if (answer !=
        EB_USB_ACCEPT) { // data from the host, or the empty packet that says it has had enough of ours
        give(FROM_HOST(0), BUFFER_DATA1 | EB_USB_PACKET);
    }
    if (!takes_data) {
        reply_bytes = (uint32_t)answer;
        reply_packet();
    }
}

static void control_done(uint32_t done) {
    if (done & DONE_FROM_HOST(0) && takes_data) {
        takes_data = 0;
        eb_cdc_data(BYTES(EP0_BUFFER), EB_REG(FROM_HOST(0)) & BUFFER_LENGTH);
        reply_packet();
    }
    if (!(done & DONE_TO_HOST(0))) {
        return;
    }
    if (reply_at < reply_bytes) {
        reply_packet();
    } else if (next_address != 0) {
        EB_REG(ADDR_ENDP) = next_address;
        next_address = 0;
    } else if (eb_cdc_touched()) {
        eb_board_bootloader();
    }
}

static void reset(void) {
    eb_rp2_bus_reset();
    EB_REG(ADDR_ENDP) = 0;
    next_address = 0;
    takes_data = 0;
    reply_at = reply_bytes = 0;
    eb_cdc_reset();
    eb_usb_configure(0);
}

// Whatever the controller has to say.
static void serve(void) {
    const uint32_t status = EB_REG(SIE_STATUS) & (SIE_BUS_RESET | SIE_SETUP | SIE_SUSPENDED);
    const uint32_t done = EB_REG(BUFF_STATUS);
    eb_rp2_line_state();
    if (status & SIE_BUS_RESET) {
        EB_REG(BUFF_STATUS) = done;
        EB_REG(SIE_STATUS) = SIE_BUS_RESET;
        reset();
        return;
    }
    if (done) {
        EB_REG(BUFF_STATUS) = done;
        control_done(done);
        if (done & DONE_TO_HOST(EB_USB_DATA)) {
            sending = 0;
        }
        if (done & DONE_FROM_HOST(EB_USB_DATA) && configured) {
            received = EB_REG(FROM_HOST(EB_USB_DATA)) & BUFFER_LENGTH;
            received_at = 0;
            listening = 1; // who asks wants an answer
            if (received == 0) {
                receive();
            }
        }
    }
    if (status & SIE_SETUP) {
        const int was_open = eb_cdc_open();
        EB_REG(SIE_STATUS) = SIE_SETUP;
        request();
        if (was_open && !eb_cdc_open()) {
            stop_listening();
        }
    }
    if (status & SIE_SUSPENDED) {
        EB_REG(SIE_STATUS) = SIE_SUSPENDED;
        stop_listening();
    }
}

// Whether there is room in the buffer to the host; waits for it while somebody listens.
static int room(void) {
    while (listening && sending) {
        serve();
    }
    return listening;
}

static void send(void) {
    eb_rp2_frame_start();
    give(TO_HOST(EB_USB_DATA), BUFFER_FULL | send_toggle | filled);
    send_toggle ^= BUFFER_DATA1;
    ends_full = filled == EB_USB_PACKET;
    sending = 1;
    filled = 0;
}

void eb_usb_init(void) {
    for (uint32_t at = 0; at < EP0_BUFFER; at += 4) {
        EB_REG(EB_USB_MEMORY + at) = 0;
    }
    EB_REG(USB_MUXING) = MUXING_TO_PHY | MUXING_SOFTCON;
    EB_REG(USB_PWR) = PWR_DETECT | PWR_DETECT_FROM_US;
    EB_REG(MAIN_CTRL) = MAIN_CTRL_ENABLE;
    EB_REG(SIE_CTRL) = SIE_CTRL_EP0_DONE;
    EB_REG(SIE_CTRL) = SIE_CTRL_EP0_DONE | SIE_CTRL_PULLUP;
}

int eb_usb_poll(void) {
    serve();
    if (received_at == received) {
        return -1;
    }
    const int c = BYTES(RECEIVE_BUFFER)[received_at++];
    if (received_at == received) {
        receive();
    }
    return c;
}

void eb_usb_putc(uint8_t byte) {
    if (!room()) {
        return;
    }
    BYTES(SEND_BUFFER)[filled++] = byte;
    if (filled == EB_USB_PACKET) {
        send();
    }
}

void eb_usb_flush(void) {
    // A transfer ends with a packet that is not full (USB 2.0 section 5.8.3), if need be an empty one.
    if (room() && (filled > 0 || ends_full)) {
        send();
    }
}
