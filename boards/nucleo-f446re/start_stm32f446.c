// SPDX-License-Identifier: Apache-2.0
// ST Nucleo-F446RE: 16 MHz internal oscillator, PLL at 180 MHz with over-drive, USART2 on PA2 (TX) and PA3
// (RX), which the board wires to the ST-LINK's virtual serial port (UM1724 6.8).
//
// Section numbers are those of RM0390. The internal oscillator (1 % at 25 C, DS10693 table 40) is used
// because the 8 MHz from the ST-LINK depends on solder bridges. Not yet run on a real board.
// Addresses and bits were checked against ST's stm32f446xx.h (cmsis_device_f4), pins and the UART against
// Zephyr's board file.
#include "eb_board.h"

// 6.3 RCC
#define RCC_CR           0x40023800u
#define RCC_PLLCFGR      0x40023804u
#define RCC_CFGR         0x40023808u
#define RCC_AHB1ENR      0x40023830u
#define RCC_APB1ENR      0x40023840u
#define CR_HSION         (1u << 0)
#define CR_HSIRDY        (1u << 1)
#define CR_PLLON         (1u << 24)
#define CR_PLLRDY        (1u << 25)
#define PLL_M            8u          // 16 MHz / 8 = 2 MHz
#define PLL_N            (180u << 6) // * 180 = 360 MHz
#define PLL_P_2          (0u << 16)  // / 2 = 180 MHz
#define PLL_SRC_HSI      (0u << 22)
#define PLL_Q            (8u << 24) // 45 MHz, not used
#define PLL_R            (2u << 28) // not used; 0 and 1 are forbidden
#define CFGR_SW          3u
#define CFGR_SW_PLL      2u
#define CFGR_SWS         (3u << 2)
#define CFGR_SWS_PLL     (2u << 2)
#define CFGR_PPRE1_DIV4  (5u << 10) // APB1: 45 MHz, its maximum
#define CFGR_PPRE2_DIV2  (4u << 13) // APB2: 90 MHz, its maximum
#define AHB1ENR_GPIOAEN  (1u << 0)
#define APB1ENR_USART2EN (1u << 17)
#define APB1ENR_PWREN    (1u << 28)

// 5.4 PWR
#define PWR_CR        0x40007000u
#define PWR_CSR       0x40007004u
#define CR_VOS_SCALE1 (3u << 14)
#define CR_ODEN       (1u << 16)
#define CR_ODSWEN     (1u << 17)
#define CSR_ODRDY     (1u << 16)
#define CSR_ODSWRDY   (1u << 17)

// 3.8 flash interface
#define FLASH_ACR        0x40023C00u
#define ACR_LATENCY      0xFu
#define ACR_LATENCY_5    5u // 2.7 to 3.6 V, above 150 MHz (table 5)
#define ACR_PREFETCH     (1u << 8)
#define ACR_INSTRUCTIONS (1u << 9)  // cache
#define ACR_DATA         (1u << 10) // cache

// 7.4 GPIO port A
#define GPIOA_MODER        0x40020000u
#define GPIOA_PUPDR        0x4002000Cu
#define GPIOA_AFRL         0x40020020u
#define PIN_FIELD2(pin, v) ((uint32_t)(v) << (2u * (pin)))
#define PIN_FIELD4(pin, v) ((uint32_t)(v) << (4u * (pin)))
#define MODE_ALTERNATE     2u
#define PULL_UP            1u
#define AF7_USART2         7u

void eb_board_init(void) {
    eb_modify(RCC_CR, 0, CR_HSION);
    eb_wait(RCC_CR, CR_HSIRDY, CR_HSIRDY);

    eb_modify(RCC_APB1ENR, 0, APB1ENR_PWREN);
    (void)EB_REG(RCC_APB1ENR); // 6.2.11: a peripheral answers two cycles after its clock is enabled
    eb_modify(PWR_CR, 0, CR_VOS_SCALE1);

    EB_REG(RCC_PLLCFGR) = PLL_M | PLL_N | PLL_P_2 | PLL_SRC_HSI | PLL_Q | PLL_R;
    eb_modify(RCC_CR, 0, CR_PLLON);
    eb_wait(RCC_CR, CR_PLLRDY, CR_PLLRDY);

    // 5.1.4: over-drive is needed above 168 MHz, and is switched on while still running from HSI.
    eb_modify(PWR_CR, 0, CR_ODEN);
    eb_wait(PWR_CSR, CSR_ODRDY, CSR_ODRDY);
    eb_modify(PWR_CR, 0, CR_ODSWEN);
    eb_wait(PWR_CSR, CSR_ODSWRDY, CSR_ODSWRDY);

    // 3.4.1: more wait states before a faster clock, and read back that they hold.
    EB_REG(FLASH_ACR) = ACR_LATENCY_5 | ACR_PREFETCH | ACR_INSTRUCTIONS | ACR_DATA;
    eb_wait(FLASH_ACR, ACR_LATENCY, ACR_LATENCY_5);

    eb_modify(RCC_CFGR, 0, CFGR_PPRE1_DIV4 | CFGR_PPRE2_DIV2);
    eb_modify(RCC_CFGR, CFGR_SW, CFGR_SW_PLL);
    eb_wait(RCC_CFGR, CFGR_SWS, CFGR_SWS_PLL);

    eb_modify(RCC_AHB1ENR, 0, AHB1ENR_GPIOAEN);
    eb_modify(RCC_APB1ENR, 0, APB1ENR_USART2EN);
    (void)EB_REG(RCC_APB1ENR);
    eb_modify(GPIOA_AFRL, PIN_FIELD4(2, 15) | PIN_FIELD4(3, 15),
              PIN_FIELD4(2, AF7_USART2) | PIN_FIELD4(3, AF7_USART2));
    eb_modify(GPIOA_PUPDR, PIN_FIELD2(3, 3), PIN_FIELD2(3, PULL_UP));
    eb_modify(GPIOA_MODER, PIN_FIELD2(2, 3) | PIN_FIELD2(3, 3),
              PIN_FIELD2(2, MODE_ALTERNATE) | PIN_FIELD2(3, MODE_ALTERNATE));
}
