// SPDX-License-Identifier: Apache-2.0
// ST Nucleo-H743ZI: 64 MHz internal oscillator, PLL1 at 400 MHz, buses at 200 and 100 MHz, caches on, USART3
// on PD8 (TX) and PD9 (RX), which the board wires to the ST-LINK's virtual serial port (UM1974 6.9).
//
// Section numbers are those of RM0433. 400 MHz is what voltage scale 1 allows on every revision of the chip.
// Not yet run on a real board.
// Addresses and bits were checked against ST's stm32h743xx.h (cmsis_device_h7), pins and the UART against
// Zephyr's board file.
#include "eb_m7.h"

// 8.7 RCC
#define RCC_CR               0x58024400u
#define RCC_CFGR             0x58024410u
#define RCC_D1CFGR           0x58024418u
#define RCC_D2CFGR           0x5802441Cu
#define RCC_D3CFGR           0x58024420u
#define RCC_PLLCKSELR        0x58024428u
#define RCC_PLLCFGR          0x5802442Cu
#define RCC_PLL1DIVR         0x58024430u
#define RCC_D2CCIP2R         0x58024454u
#define RCC_AHB4ENR          0x580244E0u
#define RCC_APB1LENR         0x580244E8u
#define CR_HSION             (1u << 0)
#define CR_HSIRDY            (1u << 2)
#define CR_HSIDIV            (3u << 3)
#define CR_PLL1ON            (1u << 24)
#define CR_PLL1RDY           (1u << 25)
#define PLLCKSELR_SRC        3u // 0: HSI
#define PLLCKSELR_DIVM1      (63u << 4)
#define PLLCKSELR_DIVM1_4    (4u << 4) // 64 MHz / 4 = 16 MHz
#define PLLCFGR_PLL1         ((1u << 0) | (1u << 1) | (3u << 2) | (7u << 16))
#define PLLCFGR_RANGE_8_16   (3u << 2) // of the input, in MHz; VCOSEL 0: 192 to 836 MHz
#define PLLCFGR_DIVP1EN      (1u << 16)
#define PLL1DIVR_N_50        (50u - 1u)        // * 50 = 800 MHz
#define PLL1DIVR_P_2         ((2u - 1u) << 9)  // / 2 = 400 MHz
#define PLL1DIVR_Q_2         ((2u - 1u) << 16) // off
#define PLL1DIVR_R_2         ((2u - 1u) << 24) // off
#define CFGR_SW              7u
#define CFGR_SW_PLL1         3u
#define CFGR_SWS             (7u << 3)
#define CFGR_SWS_PLL1        (3u << 3)
#define D1CFGR_HPRE_DIV2     8u        // buses: 200 MHz
#define D1CFGR_D1PPRE_DIV2   (4u << 4) // 100 MHz
#define D2CFGR_D2PPRE1_DIV2  (4u << 4)
#define D2CFGR_D2PPRE2_DIV2  (4u << 8)
#define D3CFGR_D3PPRE_DIV2   (4u << 4)
#define D2CCIP2R_USART234578 7u
#define D2CCIP2R_USART_HSI   3u
#define AHB4ENR_GPIODEN      (1u << 3)
#define APB1LENR_USART3EN    (1u << 18)

// 6.8 PWR
#define PWR_CSR1       0x58024804u
#define PWR_CR3        0x5802480Cu
#define PWR_D3CR       0x58024818u
#define CR3_SUPPLY     7u
#define CR3_SUPPLY_LDO ((1u << 1) | (1u << 2)) // may be written once after power-on
#define CSR1_ACTVOSRDY (1u << 13)
#define D3CR_VOS       (3u << 14)
#define D3CR_VOSRDY    (1u << 13)

// 4.9 flash interface
#define FLASH_ACR     0x52002000u
#define ACR_ALL       0x3Fu
#define ACR_2_AT_200M (2u | (2u << 4)) // 185 to 210 MHz at voltage scale 1 (table 17)

// 11.4 GPIO port D
#define GPIOD_MODER        0x58020C00u
#define GPIOD_PUPDR        0x58020C0Cu
#define GPIOD_AFRH         0x58020C24u
#define PIN_FIELD2(pin, v) ((uint32_t)(v) << (2u * (pin)))
#define MODE_ALTERNATE     2u
#define PULL_UP            1u
#define AF7_USART3         7u

void eb_board_init(void) {
    eb_modify(RCC_CR, CR_HSIDIV, CR_HSION);
    eb_wait(RCC_CR, CR_HSIRDY, CR_HSIRDY);

    // 6.4.1 and 6.6.2: fix the supply, then raise the voltage.
    eb_modify(PWR_CR3, CR3_SUPPLY, CR3_SUPPLY_LDO);
    eb_wait(PWR_CSR1, CSR1_ACTVOSRDY, CSR1_ACTVOSRDY);
    eb_modify(PWR_D3CR, 0, D3CR_VOS); // scale 1
    eb_wait(PWR_D3CR, D3CR_VOSRDY, D3CR_VOSRDY);

    eb_modify(RCC_PLLCKSELR, PLLCKSELR_SRC | PLLCKSELR_DIVM1, PLLCKSELR_DIVM1_4);
    eb_modify(RCC_PLLCFGR, PLLCFGR_PLL1, PLLCFGR_RANGE_8_16 | PLLCFGR_DIVP1EN);
    EB_REG(RCC_PLL1DIVR) = PLL1DIVR_N_50 | PLL1DIVR_P_2 | PLL1DIVR_Q_2 | PLL1DIVR_R_2;
    eb_modify(RCC_CR, 0, CR_PLL1ON);
    eb_wait(RCC_CR, CR_PLL1RDY, CR_PLL1RDY);

    // Bus dividers and wait states before the faster clock.
    EB_REG(RCC_D1CFGR) = D1CFGR_HPRE_DIV2 | D1CFGR_D1PPRE_DIV2;
    EB_REG(RCC_D2CFGR) = D2CFGR_D2PPRE1_DIV2 | D2CFGR_D2PPRE2_DIV2;
    EB_REG(RCC_D3CFGR) = D3CFGR_D3PPRE_DIV2;
    EB_REG(FLASH_ACR) = ACR_2_AT_200M;
    eb_wait(FLASH_ACR, ACR_ALL, ACR_2_AT_200M);
    eb_modify(RCC_CFGR, CFGR_SW, CFGR_SW_PLL1);
    eb_wait(RCC_CFGR, CFGR_SWS, CFGR_SWS_PLL1);
    eb_m7_caches();

    eb_modify(RCC_D2CCIP2R, D2CCIP2R_USART234578, D2CCIP2R_USART_HSI);
    eb_modify(RCC_AHB4ENR, 0, AHB4ENR_GPIODEN);
    eb_modify(RCC_APB1LENR, 0, APB1LENR_USART3EN);
    (void)EB_REG(RCC_APB1LENR);
    eb_modify(GPIOD_AFRH, 0xFFu, AF7_USART3 | (AF7_USART3 << 4)); // PD8, PD9
    eb_modify(GPIOD_PUPDR, PIN_FIELD2(9, 3), PIN_FIELD2(9, PULL_UP));
    eb_modify(GPIOD_MODER, PIN_FIELD2(8, 3) | PIN_FIELD2(9, 3),
              PIN_FIELD2(8, MODE_ALTERNATE) | PIN_FIELD2(9, MODE_ALTERNATE));
}
