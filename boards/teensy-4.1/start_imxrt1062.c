// SPDX-License-Identifier: Apache-2.0
// PJRC Teensy 4.1: 24 MHz crystal, Arm PLL at 1200 MHz, core at 600 MHz, caches on, LPUART6 on pins 1 (TX)
// and 0 (RX).
//
// Section numbers are those of the i.MX RT1060 Reference Manual. The boot ROM has set up execution from
// flash, whose clock does not come from the Arm PLL. Not yet run on a real board.
// Addresses, bits and the order of steps were checked against PJRC's imxrt.h and clockspeed.c (its teensy4
// cores).
#include "eb_m7.h"

// 14.7 clock controller
#define CCM_CACRR              0x400FC010u
#define CCM_CBCDR              0x400FC014u
#define CCM_CBCMR              0x400FC018u
#define CCM_CSCDR1             0x400FC024u
#define CCM_CDHIPR             0x400FC048u
#define CCM_CCGR3              0x400FC074u
#define CCM_CCGR4              0x400FC078u
#define CCM_CCGR6              0x400FC080u
#define CACRR_ARM_PODF_DIV2    1u
#define CBCDR_IPG_PODF         (3u << 8)
#define CBCDR_IPG_PODF_DIV4    (3u << 8)
#define CBCDR_AHB_PODF         (7u << 10) // 0: not divided
#define CBCDR_PERIPH_CLK_SEL   (1u << 25) // 1: from PERIPH_CLK2
#define CBCDR_PERIPH_CLK2_PODF (7u << 27)
#define CBCMR_PERIPH_CLK2_SEL  (3u << 12)
#define CBCMR_PERIPH_CLK2_OSC  (1u << 12)
#define CBCMR_PRE_PERIPH       (3u << 18)
#define CBCMR_PRE_PERIPH_ARM   (3u << 18) // the Arm PLL, divided by ARM_PODF
#define CDHIPR_AHB_BUSY        (1u << 1)
#define CDHIPR_PERIPH2_BUSY    (1u << 3)
#define CDHIPR_PERIPH_BUSY     (1u << 5)
#define CDHIPR_ARM_BUSY        (1u << 16)
#define CSCDR1_UART_CLK_PODF   0x3Fu
#define CSCDR1_UART_CLK_OSC    (1u << 6)
#define CCGR3_LPUART6          (3u << 6)
#define CCGR4_IOMUXC           (3u << 2)
#define CCGR6_DCDC             (3u << 6)

// 14.8 PLLs
#define PLL_ARM           0x400D8000u
#define PLL_ARM_POWERDOWN (1u << 12)
#define PLL_ARM_ENABLE    (1u << 13)
#define PLL_ARM_LOCK      (1u << 31)
#define PLL_ARM_DIV_100   100u // 24 MHz * 100 / 2 = 1200 MHz

// 18.7 core supply
#define DCDC_REG0        0x40080000u
#define DCDC_REG3        0x4008000Cu
#define REG0_STS_DC_OK   (1u << 31)
#define REG3_TRG         0x1Fu
#define REG3_TRG_1250_MV 18u // 0.8 V + 18 * 25 mV, for 600 MHz (IMXRT1060CEC table 10)

// 11.7 pins
#define MUX_GPIO_AD_B0_02       0x401F80C4u
#define MUX_GPIO_AD_B0_03       0x401F80C8u
#define PAD_GPIO_AD_B0_02       0x401F82B4u
#define PAD_GPIO_AD_B0_03       0x401F82B8u
#define LPUART6_RX_SELECT_INPUT 0x401F8550u
#define LPUART6_TX_SELECT_INPUT 0x401F8554u
#define ALT2_LPUART6            2u
#define SELECT_GPIO_AD_B0       1u
#define PAD_UART ((3u << 14) | (1u << 13) | (1u << 12) | (2u << 6) | (6u << 3)) // 22 k pull-up, 100 MHz

static void set_clock(void) {
    // Enough voltage first.
    eb_modify(CCM_CCGR6, 0, CCGR6_DCDC);
    eb_modify(DCDC_REG3, REG3_TRG, REG3_TRG_1250_MV);
    eb_wait(DCDC_REG0, REG0_STS_DC_OK, REG0_STS_DC_OK);

    // 14.6.1.3: run from the crystal while the PLL starts.
    eb_modify(CCM_CBCDR, CBCDR_PERIPH_CLK2_PODF, 0);
    eb_modify(CCM_CBCMR, CBCMR_PERIPH_CLK2_SEL, CBCMR_PERIPH_CLK2_OSC);
    eb_wait(CCM_CDHIPR, CDHIPR_PERIPH2_BUSY, 0);
    eb_modify(CCM_CBCDR, 0, CBCDR_PERIPH_CLK_SEL);
    eb_wait(CCM_CDHIPR, CDHIPR_PERIPH_BUSY, 0);

    EB_REG(PLL_ARM) = PLL_ARM_POWERDOWN;
    EB_REG(PLL_ARM) = PLL_ARM_ENABLE | PLL_ARM_DIV_100;
    eb_wait(PLL_ARM, PLL_ARM_LOCK, PLL_ARM_LOCK);

    EB_REG(CCM_CACRR) = CACRR_ARM_PODF_DIV2;
    eb_wait(CCM_CDHIPR, CDHIPR_ARM_BUSY, 0);
    eb_modify(CCM_CBCDR, CBCDR_AHB_PODF, 0);
    eb_wait(CCM_CDHIPR, CDHIPR_AHB_BUSY, 0);
    eb_modify(CCM_CBCDR, CBCDR_IPG_PODF, CBCDR_IPG_PODF_DIV4); // 150 MHz, its maximum
    eb_modify(CCM_CBCMR, CBCMR_PRE_PERIPH, CBCMR_PRE_PERIPH_ARM);
    eb_modify(CCM_CBCDR, CBCDR_PERIPH_CLK_SEL, 0);
    eb_wait(CCM_CDHIPR, CDHIPR_PERIPH_BUSY, 0);
}

void eb_board_init(void) {
    set_clock();

    // Everything is device memory, which the core never reads ahead of the program, but the memories we have.
    eb_m7_region(0, 0x00000000u, EB_MPU_SIZE(31) | EB_MPU_DEVICE | EB_MPU_READ_WRITE | EB_MPU_NO_EXECUTE);
    eb_m7_region(1, 0x20200000u, EB_MPU_SIZE(18) | EB_MPU_NORMAL | EB_MPU_READ_WRITE | EB_MPU_NO_EXECUTE);
    eb_m7_region(2, 0x60000000u, EB_MPU_SIZE(22) | EB_MPU_NORMAL | EB_MPU_READ_ONLY); // 8 MiB
    eb_m7_protect();
    eb_m7_caches();

    eb_modify(CCM_CSCDR1, CSCDR1_UART_CLK_PODF, CSCDR1_UART_CLK_OSC);
    eb_modify(CCM_CCGR3, 0, CCGR3_LPUART6);
    eb_modify(CCM_CCGR4, 0, CCGR4_IOMUXC);
    EB_REG(MUX_GPIO_AD_B0_02) = ALT2_LPUART6;
    EB_REG(MUX_GPIO_AD_B0_03) = ALT2_LPUART6;
    EB_REG(PAD_GPIO_AD_B0_02) = PAD_UART;
    EB_REG(PAD_GPIO_AD_B0_03) = PAD_UART;
    EB_REG(LPUART6_TX_SELECT_INPUT) = SELECT_GPIO_AD_B0;
    EB_REG(LPUART6_RX_SELECT_INPUT) = SELECT_GPIO_AD_B0;
}
