// SPDX-License-Identifier: Apache-2.0
// ST Nucleo-L4R5ZI: 16 MHz internal oscillator, PLL at 120 MHz in range 1 boost mode, LPUART1 on PG7 (TX) and
// PG8 (RX), which the board wires to the ST-LINK's virtual serial port (UM2179 6.9).
//
// Section numbers are those of RM0432. Not yet run on a real board.
// Addresses and bits were checked against ST's stm32l4r5xx.h (cmsis_device_l4), pins and the UART against
// Zephyr's board file.
#include "eb_board.h"

// 6.4 RCC
#define RCC_CR            0x40021000u
#define RCC_CFGR          0x40021008u
#define RCC_PLLCFGR       0x4002100Cu
#define RCC_AHB2ENR       0x4002104Cu
#define RCC_APB1ENR1      0x40021058u
#define RCC_APB1ENR2      0x4002105Cu
#define RCC_CCIPR         0x40021088u
#define CR_HSION          (1u << 8)
#define CR_HSIRDY         (1u << 10)
#define CR_PLLON          (1u << 24)
#define CR_PLLRDY         (1u << 25)
#define PLL_SRC_HSI       2u
#define PLL_M_2           (1u << 4)  // 16 MHz / 2 = 8 MHz
#define PLL_N_30          (30u << 8) // * 30 = 240 MHz
#define PLL_R_2           (0u << 25) // / 2 = 120 MHz
#define PLL_R_ENABLE      (1u << 24)
#define CFGR_SW           3u
#define CFGR_SW_PLL       3u
#define CFGR_SWS          (3u << 2)
#define CFGR_SWS_PLL      (3u << 2)
#define CFGR_HPRE         (15u << 4)
#define CFGR_HPRE_DIV2    (8u << 4)
#define AHB2ENR_GPIOGEN   (1u << 6)
#define APB1ENR1_PWREN    (1u << 28)
#define APB1ENR2_LPUART1  (1u << 0)
#define CCIPR_LPUART1     (3u << 10)
#define CCIPR_LPUART1_HSI (2u << 10)

// 5.4 PWR
#define PWR_CR1     0x40007000u
#define PWR_CR2     0x40007004u
#define PWR_SR2     0x40007014u
#define PWR_CR5     0x40007080u
#define CR1_VOS     (3u << 9)
#define CR1_RANGE_1 (1u << 9)
#define CR2_IOSV    (1u << 9)  // PG2 to PG15 have their own supply, which must be declared valid (5.1.2)
#define SR2_VOSF    (1u << 10) // the regulator is still changing
#define CR5_R1MODE  (1u << 8)  // 0: boost mode, needed above 80 MHz

// 3.7 flash interface
#define FLASH_ACR        0x40022000u
#define ACR_LATENCY      0xFu
#define ACR_LATENCY_5    5u // boost mode, 100 to 120 MHz (table 12)
#define ACR_PREFETCH     (1u << 8)
#define ACR_INSTRUCTIONS (1u << 9)  // cache
#define ACR_DATA         (1u << 10) // cache

// 8.4 GPIO port G
#define GPIOG_MODER        0x48001800u
#define GPIOG_PUPDR        0x4800180Cu
#define GPIOG_AFRL         0x48001820u
#define GPIOG_AFRH         0x48001824u
#define PIN_FIELD2(pin, v) ((uint32_t)(v) << (2u * (pin)))
#define MODE_ALTERNATE     2u
#define PULL_UP            1u
#define AF8_LPUART1        8u

void eb_board_init(void) {
    eb_modify(RCC_CR, 0, CR_HSION);
    eb_wait(RCC_CR, CR_HSIRDY, CR_HSIRDY);

    eb_modify(RCC_APB1ENR1, 0, APB1ENR1_PWREN);
    (void)EB_REG(RCC_APB1ENR1);
    eb_modify(PWR_CR1, CR1_VOS, CR1_RANGE_1);
    eb_wait(PWR_SR2, SR2_VOSF, 0);
    eb_modify(PWR_CR5, CR5_R1MODE, 0);
    eb_modify(PWR_CR2, 0, CR2_IOSV);

    EB_REG(RCC_PLLCFGR) = PLL_SRC_HSI | PLL_M_2 | PLL_N_30 | PLL_R_2 | PLL_R_ENABLE;
    eb_modify(RCC_CR, 0, CR_PLLON);
    eb_wait(RCC_CR, CR_PLLRDY, CR_PLLRDY);

    // 3.3.3: more wait states before a faster clock, and read back that they hold.
    EB_REG(FLASH_ACR) = ACR_LATENCY_5 | ACR_PREFETCH | ACR_INSTRUCTIONS | ACR_DATA;
    eb_wait(FLASH_ACR, ACR_LATENCY, ACR_LATENCY_5);

    // 5.1.8: above 80 MHz the bus clock must be halved while the system clock changes, and for 1 us after it.
    eb_modify(RCC_CFGR, CFGR_HPRE, CFGR_HPRE_DIV2);
    eb_modify(RCC_CFGR, CFGR_SW, CFGR_SW_PLL);
    eb_wait(RCC_CFGR, CFGR_SWS, CFGR_SWS_PLL);
    for (uint32_t i = 0; i < 60u; i++) {
        __asm volatile("" ::: "memory"); // at least 60 cycles of 60 MHz
    }
    eb_modify(RCC_CFGR, CFGR_HPRE, 0);

    eb_modify(RCC_CCIPR, CCIPR_LPUART1, CCIPR_LPUART1_HSI);
    eb_modify(RCC_AHB2ENR, 0, AHB2ENR_GPIOGEN);
    eb_modify(RCC_APB1ENR2, 0, APB1ENR2_LPUART1);
    (void)EB_REG(RCC_APB1ENR2);
    eb_modify(GPIOG_AFRL, 15u << 28, AF8_LPUART1 << 28); // PG7
    eb_modify(GPIOG_AFRH, 15u, AF8_LPUART1);             // PG8
    eb_modify(GPIOG_PUPDR, PIN_FIELD2(8, 3), PIN_FIELD2(8, PULL_UP));
    eb_modify(GPIOG_MODER, PIN_FIELD2(7, 3) | PIN_FIELD2(8, 3),
              PIN_FIELD2(7, MODE_ALTERNATE) | PIN_FIELD2(8, MODE_ALTERNATE));
}
