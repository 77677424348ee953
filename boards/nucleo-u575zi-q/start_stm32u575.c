// SPDX-License-Identifier: Apache-2.0
// ST Nucleo-U575ZI-Q: 16 MHz internal oscillator, PLL1 at 160 MHz, instruction cache on, USART1 on PA9 (TX)
// and PA10 (RX), which the board wires to the ST-LINK's virtual serial port (UM2861 7.9).
//
// Section numbers are those of RM0456; addresses are the non-secure ones. Not yet run on a real board.
// Addresses and bits were checked against ST's stm32u575xx.h (cmsis_device_u5), pins and the UART against
// Zephyr's board file.
#include "eb_board.h"

// 11.8 RCC
#define RCC_CR              0x46020C00u
#define RCC_CFGR1           0x46020C1Cu
#define RCC_PLL1CFGR        0x46020C28u
#define RCC_PLL1DIVR        0x46020C34u
#define RCC_AHB2ENR1        0x46020C8Cu
#define RCC_AHB3ENR         0x46020C94u
#define RCC_APB2ENR         0x46020CA4u
#define RCC_CCIPR1          0x46020CE0u
#define CR_HSION            (1u << 8)
#define CR_HSIRDY           (1u << 10)
#define CR_PLL1ON           (1u << 24)
#define CR_PLL1RDY          (1u << 25)
#define PLL1CFGR_SRC_HSI    2u
#define PLL1CFGR_RANGE_8_16 (3u << 2) // of the input, in MHz
#define PLL1CFGR_M_1        (0u << 8) // 16 MHz, also the input of the booster (MBOOST 0: / 1)
#define PLL1CFGR_REN        (1u << 18)
#define PLL1DIVR_N_20       (20u - 1u)        // * 20 = 320 MHz
#define PLL1DIVR_P_2        ((2u - 1u) << 9)  // off
#define PLL1DIVR_Q_2        ((2u - 1u) << 16) // off
#define PLL1DIVR_R_2        ((2u - 1u) << 24) // / 2 = 160 MHz
#define CFGR1_SW            3u
#define CFGR1_SW_PLL1       3u
#define CFGR1_SWS           (3u << 2)
#define CFGR1_SWS_PLL1      (3u << 2)
#define AHB2ENR1_GPIOAEN    (1u << 0)
#define AHB3ENR_PWREN       (1u << 2)
#define APB2ENR_USART1EN    (1u << 14)
#define CCIPR1_USART1       3u
#define CCIPR1_USART1_HSI   2u

// 10.11 PWR
#define PWR_VOSR      0x4602080Cu
#define VOSR_BOOSTRDY (1u << 14)
#define VOSR_VOSRDY   (1u << 15)
#define VOSR_RANGE_1  (3u << 16)
#define VOSR_BOOSTEN  (1u << 18)

// 7.9 flash interface
#define FLASH_ACR     0x40022000u
#define ACR_LATENCY   0xFu
#define ACR_LATENCY_4 4u // range 1, 128 to 160 MHz (table 54)
#define ACR_PREFETCH  (1u << 8)

// 8.7 instruction cache
#define ICACHE_CR      0x40030400u
#define ICACHE_SR      0x40030404u
#define ICACHE_CR_EN   1u
#define ICACHE_SR_BUSY 1u

// 13.4 GPIO port A
#define GPIOA_MODER        0x42020000u
#define GPIOA_PUPDR        0x4202000Cu
#define GPIOA_AFRH         0x42020024u
#define PIN_FIELD2(pin, v) ((uint32_t)(v) << (2u * (pin)))
#define MODE_ALTERNATE     2u
#define PULL_UP            1u
#define AF7_USART1         7u

void eb_board_init(void) {
    eb_modify(RCC_CR, 0, CR_HSION);
    eb_wait(RCC_CR, CR_HSIRDY, CR_HSIRDY);

    // 10.5.4: above 55 MHz range 1 needs the booster, which takes its clock from the PLL's input.
    eb_modify(RCC_AHB3ENR, 0, AHB3ENR_PWREN);
    (void)EB_REG(RCC_AHB3ENR);
    EB_REG(RCC_PLL1CFGR) = PLL1CFGR_SRC_HSI | PLL1CFGR_RANGE_8_16 | PLL1CFGR_M_1;
    eb_modify(PWR_VOSR, 0, VOSR_RANGE_1);
    eb_wait(PWR_VOSR, VOSR_VOSRDY, VOSR_VOSRDY);
    eb_modify(PWR_VOSR, 0, VOSR_BOOSTEN);
    eb_wait(PWR_VOSR, VOSR_BOOSTRDY, VOSR_BOOSTRDY);

    EB_REG(RCC_PLL1DIVR) = PLL1DIVR_N_20 | PLL1DIVR_P_2 | PLL1DIVR_Q_2 | PLL1DIVR_R_2;
    eb_modify(RCC_PLL1CFGR, 0, PLL1CFGR_REN);
    eb_modify(RCC_CR, 0, CR_PLL1ON);
    eb_wait(RCC_CR, CR_PLL1RDY, CR_PLL1RDY);

    // 7.3.3: more wait states before a faster clock, and read back that they hold.
    EB_REG(FLASH_ACR) = ACR_LATENCY_4 | ACR_PREFETCH;
    eb_wait(FLASH_ACR, ACR_LATENCY, ACR_LATENCY_4);
    eb_wait(ICACHE_SR, ICACHE_SR_BUSY, 0); // it empties itself after reset
    eb_modify(ICACHE_CR, 0, ICACHE_CR_EN);
    eb_modify(RCC_CFGR1, CFGR1_SW, CFGR1_SW_PLL1);
    eb_wait(RCC_CFGR1, CFGR1_SWS, CFGR1_SWS_PLL1);

    eb_modify(RCC_CCIPR1, CCIPR1_USART1, CCIPR1_USART1_HSI);
    eb_modify(RCC_AHB2ENR1, 0, AHB2ENR1_GPIOAEN);
    eb_modify(RCC_APB2ENR, 0, APB2ENR_USART1EN);
    (void)EB_REG(RCC_APB2ENR);
    eb_modify(GPIOA_AFRH, 0xFF0u, (AF7_USART1 << 4) | (AF7_USART1 << 8)); // PA9, PA10
    eb_modify(GPIOA_PUPDR, PIN_FIELD2(10, 3), PIN_FIELD2(10, PULL_UP));
    eb_modify(GPIOA_MODER, PIN_FIELD2(9, 3) | PIN_FIELD2(10, 3),
              PIN_FIELD2(9, MODE_ALTERNATE) | PIN_FIELD2(10, MODE_ALTERNATE));
}
