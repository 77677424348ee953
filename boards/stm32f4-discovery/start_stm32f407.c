// SPDX-License-Identifier: Apache-2.0
// ST STM32F4DISCOVERY: 8 MHz crystal X2, PLL at 168 MHz, USART2 on PA2 (TX) and PA3 (RX), both on the pin
// headers.
//
// Section numbers are those of RM0090. Not yet run on a real board.
// Addresses and bits were checked against ST's stm32f407xx.h (cmsis_device_f4), pins and the UART against
// Zephyr's board file.
#include "eb_board.h"

// 7.3 RCC
#define RCC_CR           0x40023800u
#define RCC_PLLCFGR      0x40023804u
#define RCC_CFGR         0x40023808u
#define RCC_AHB1ENR      0x40023830u
#define RCC_APB1ENR      0x40023840u
#define CR_HSEON         (1u << 16)
#define CR_HSERDY        (1u << 17)
#define CR_PLLON         (1u << 24)
#define CR_PLLRDY        (1u << 25)
#define PLL_M            8u          // 8 MHz / 8 = 1 MHz
#define PLL_N            (336u << 6) // * 336 = 336 MHz
#define PLL_P_2          (0u << 16)  // / 2 = 168 MHz
#define PLL_SRC_HSE      (1u << 22)
#define PLL_Q            (7u << 24) // 48 MHz, not used
#define CFGR_SW          3u
#define CFGR_SW_PLL      2u
#define CFGR_SWS         (3u << 2)
#define CFGR_SWS_PLL     (2u << 2)
#define CFGR_PPRE1_DIV4  (5u << 10) // APB1: 42 MHz, its maximum
#define CFGR_PPRE2_DIV2  (4u << 13) // APB2: 84 MHz, its maximum
#define AHB1ENR_GPIOAEN  (1u << 0)
#define APB1ENR_USART2EN (1u << 17)
#define APB1ENR_PWREN    (1u << 28)

// 5.4 PWR
#define PWR_CR        0x40007000u
#define CR_VOS_SCALE1 (1u << 14) // needed above 144 MHz; takes effect when the PLL starts

// 3.9 flash interface
#define FLASH_ACR        0x40023C00u
#define ACR_LATENCY      7u
#define ACR_LATENCY_5    5u // 2.7 to 3.6 V, above 150 MHz (table 10)
#define ACR_PREFETCH     (1u << 8)
#define ACR_INSTRUCTIONS (1u << 9)  // cache
#define ACR_DATA         (1u << 10) // cache

// 8.4 GPIO port A
#define GPIOA_MODER        0x40020000u
#define GPIOA_PUPDR        0x4002000Cu
#define GPIOA_AFRL         0x40020020u
#define PIN_FIELD2(pin, v) ((uint32_t)(v) << (2u * (pin)))
#define PIN_FIELD4(pin, v) ((uint32_t)(v) << (4u * (pin)))
#define MODE_ALTERNATE     2u
#define PULL_UP            1u
#define AF7_USART2         7u

void eb_board_init(void) {
    eb_modify(RCC_CR, 0, CR_HSEON);
    eb_wait(RCC_CR, CR_HSERDY, CR_HSERDY);

    eb_modify(RCC_APB1ENR, 0, APB1ENR_PWREN);
    (void)EB_REG(RCC_APB1ENR); // a peripheral answers two cycles after its clock is enabled
    eb_modify(PWR_CR, 0, CR_VOS_SCALE1);

    EB_REG(RCC_PLLCFGR) = PLL_M | PLL_N | PLL_P_2 | PLL_SRC_HSE | PLL_Q;
    eb_modify(RCC_CR, 0, CR_PLLON);
    eb_wait(RCC_CR, CR_PLLRDY, CR_PLLRDY);

    // 3.5.1: more wait states before a faster clock, and read back that they hold.
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
