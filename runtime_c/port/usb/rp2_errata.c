// SPDX-License-Identifier: Apache-2.0
// What the RP2040's USB controller does wrong as a device, and the ways round it (RP2040 Datasheet, appendix
// B); on the RP2350, where none of it is needed, nothing. Not yet run on a real board.
//
// RP2040-E5 (steppings B0 and B1): after a bus reset the controller wants to see an idle bus (the J state)
// for 800 us before it is connected, which behind a busy hub never comes. So once the host has ended its
// reset we take the input from the PHY for a while and give it J from GPIO15, the one pin that can stand in
// for D+: its pad is cut off, its input forced high. Nothing else may use GPIO15 while that lasts.
//
// RP2040-E15 (all steppings): certain errors on the bus during a packet to the host hang the controller. The
// USB 2.0 hub of a Raspberry Pi 4 makes them when a packet is asked for in the last 200 us of a frame. So
// packets of data become available just after a frame has begun: one a millisecond, 64 KB/s.
#include "eb_board.h"
#include "eb_usb.h"

#ifdef EB_RP2040

// 4.1.4 USB registers
#define SOF_RD              (EB_USB_BASE + 0x48u) // bits 10 to 0: number of the frame
#define SIE_STATUS          (EB_USB_BASE + 0x50u)
#define USB_MUXING          (EB_USB_BASE + 0x74u)
#define PHY_DIRECT          (EB_USB_BASE + 0x7Cu)
#define PHY_DIRECT_OVERRIDE (EB_USB_BASE + 0x80u)
#define SOF_FRAME           0x7FFu
#define SIE_LINE_STATE      (3u << 2) // 0: both lines low, which is a reset
#define SIE_CONNECTED       (1u << 16)
#define MUXING_TO_PHY       (1u << 0)
#define MUXING_TO_PAD       (1u << 2)
#define MUXING_SOFTCON      (1u << 3)
#define DIRECT_DP_PULLUP    (1u << 1)
#define OVERRIDE_DP_PULLUP  (1u << 2)

// 2.20 SYSINFO: the chip's revision is 1 in B0 and B1, 2 in B2
#define CHIP_ID       0x40000000u
#define CHIP_REVISION 28u

// 2.19 GPIO15
#define GPIO15_CTRL          0x4001407Cu
#define GPIO15_PAD           0x4001C040u
#define CTRL_FUNCSEL_USB_DP  8u
#define CTRL_OUTPUT_DISABLED (2u << 12)
#define CTRL_INPUT_HIGH      (3u << 16)
#define PAD_BUS_KEEP         ((1u << 2) | (1u << 3)) // both pulls: holds what is there

// A turn of a loop that reads a register takes 6 cycles or more: so many last 1 ms at least.
#define LOOKS_OF_1_MS (EB_CLOCK_HZ / 6000u)

static int in_reset; // the controller may need help to leave it

void eb_rp2_bus_reset(void) {
    in_reset = EB_REG(CHIP_ID) >> CHIP_REVISION == 1;
}

void eb_rp2_line_state(void) {
    if (!in_reset || !(EB_REG(SIE_STATUS) & SIE_LINE_STATE)) {
        return;
    }
    in_reset = 0;
    const uint32_t ctrl = EB_REG(GPIO15_CTRL), pad = EB_REG(GPIO15_PAD);
    EB_REG(GPIO15_PAD) = pad | PAD_BUS_KEEP;
    EB_REG(GPIO15_CTRL) = CTRL_FUNCSEL_USB_DP | CTRL_OUTPUT_DISABLED | CTRL_INPUT_HIGH;
    eb_modify(PHY_DIRECT, 0, DIRECT_DP_PULLUP); // the pull-up stays while the PHY is cut off
    eb_modify(PHY_DIRECT_OVERRIDE, 0, OVERRIDE_DP_PULLUP);
    EB_REG(USB_MUXING) = MUXING_TO_PAD | MUXING_SOFTCON;

    // 800 us of J are wanted; a host that has gone meanwhile must not hold us up.
    for (uint32_t looks = 0; looks < 2u * LOOKS_OF_1_MS; looks++) {
        if (looks >= LOOKS_OF_1_MS && EB_REG(SIE_STATUS) & SIE_CONNECTED) {
            break;
        }
        (void)EB_REG(SIE_STATUS);
    }
    EB_REG(USB_MUXING) = MUXING_TO_PHY | MUXING_SOFTCON;
    eb_modify(PHY_DIRECT_OVERRIDE, OVERRIDE_DP_PULLUP, 0);
    EB_REG(GPIO15_CTRL) = ctrl;
    EB_REG(GPIO15_PAD) = pad;
}

void eb_rp2_frame_start(void) {
    const uint32_t frame = EB_REG(SOF_RD) & SOF_FRAME;
    for (uint32_t looks = 0; looks < LOOKS_OF_1_MS; looks++) { // a host that sleeps starts no frames
        if ((EB_REG(SOF_RD) & SOF_FRAME) != frame) {
            break;
        }
    }
}

#else

void eb_rp2_bus_reset(void) {}

void eb_rp2_line_state(void) {}

void eb_rp2_frame_start(void) {}

#endif
