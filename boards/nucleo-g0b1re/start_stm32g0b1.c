// SPDX-License-Identifier: Apache-2.0
// ST Nucleo-G0B1RE: 16 MHz internal oscillator, PLL at 64 MHz in range 1 (as after reset), USART2 on PA2 (TX)
// and PA3 (RX), which the board wires to the ST-LINK's virtual serial port (UM2324).
//
// Section numbers are those of RM0444. Not yet run on a real board.
// Addresses and bits were checked against ST's stm32g0b1xx.h (cmsis_device_g0).
#include "eb_board.h"

// 5.4 RCC
#define RCC_CR           0x40021000u
#define RCC_CFGR         0x40021008u
#define RCC_PLLCFGR      0x4002100Cu
#define RCC_IOPENR       0x40021034u
#define RCC_APBENR1      0x4002103Cu
#define CR_HSION         (1u << 8)
#define CR_HSIRDY        (1u << 10)
#define CR_PLLON         (1u << 24)
#define CR_PLLRDY        (1u << 25)
#define PLL_SRC_HSI      2u
#define PLL_M_1          (0u << 4)
#define PLL_N_8          (8u << 8)  // 16 MHz * 8 = 128 MHz
#define PLL_R_2          (1u << 29) // / 2 = 64 MHz
#define PLL_R_ENABLE     (1u << 28)
#define CFGR_SW          7u
#define CFGR_SW_PLL      2u
#define CFGR_SWS         (7u << 3)
#define CFGR_SWS_PLL     (2u << 3)
#define IOPENR_GPIOAEN   (1u << 0)
#define APBENR1_USART2EN (1u << 17)

// 3.7 flash interface
#define FLASH_ACR        0x40022000u
#define ACR_LATENCY      7u
#define ACR_LATENCY_2    2u // range 1, above 48 to 64 MHz
#define ACR_PREFETCH     (1u << 8)
#define ACR_INSTRUCTIONS (1u << 9) // cache

// 7.4 GPIO port A
#define GPIOA_MODER        0x50000000u
#define GPIOA_PUPDR        0x5000000Cu
#define GPIOA_AFRL         0x50000020u
#define PIN_FIELD2(pin, v) ((uint32_t)(v) << (2u * (pin)))
#define PIN_FIELD4(pin, v) ((uint32_t)(v) << (4u * (pin)))
#define MODE_ALTERNATE     2u
#define PULL_UP            1u
#define AF1_USART2         1u

void eb_board_init(void) {
    eb_modify(RCC_CR, 0, CR_HSION);
    eb_wait(RCC_CR, CR_HSIRDY, CR_HSIRDY);

    EB_REG(RCC_PLLCFGR) = PLL_SRC_HSI | PLL_M_1 | PLL_N_8 | PLL_R_2 | PLL_R_ENABLE;
    eb_modify(RCC_CR, 0, CR_PLLON);
    eb_wait(RCC_CR, CR_PLLRDY, CR_PLLRDY);

    // 3.3.4: more wait states before a faster clock, and read back that they hold. The other bits of this
    // register (an empty flash, the debugger's access) stay as they are.
    eb_modify(FLASH_ACR, ACR_LATENCY, ACR_LATENCY_2 | ACR_PREFETCH | ACR_INSTRUCTIONS);
    eb_wait(FLASH_ACR, ACR_LATENCY, ACR_LATENCY_2);

    eb_modify(RCC_CFGR, CFGR_SW, CFGR_SW_PLL);
    eb_wait(RCC_CFGR, CFGR_SWS, CFGR_SWS_PLL);

    eb_modify(RCC_IOPENR, 0, IOPENR_GPIOAEN);
    eb_modify(RCC_APBENR1, 0, APBENR1_USART2EN);
    (void)EB_REG(RCC_APBENR1); // a peripheral answers two cycles after its clock is enabled
    eb_modify(GPIOA_AFRL, PIN_FIELD4(2, 15) | PIN_FIELD4(3, 15),
              PIN_FIELD4(2, AF1_USART2) | PIN_FIELD4(3, AF1_USART2));
    eb_modify(GPIOA_PUPDR, PIN_FIELD2(3, 3), PIN_FIELD2(3, PULL_UP));
    eb_modify(GPIOA_MODER, PIN_FIELD2(2, 3) | PIN_FIELD2(3, 3),
              PIN_FIELD2(2, MODE_ALTERNATE) | PIN_FIELD2(3, MODE_ALTERNATE));
}
