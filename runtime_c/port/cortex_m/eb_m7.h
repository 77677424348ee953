// SPDX-License-Identifier: Apache-2.0
// The caches and the memory protection unit of a Cortex-M7, for start-up code of boards.
//
// Registers: Armv7-M ARM (DDI 0403), B2.2.7 (cache maintenance), B3.2.8 (CCR), B3.5 (MPU), B4.8 (cache
// identification).
#ifndef EDGEBIT_EB_M7_H
#define EDGEBIT_EB_M7_H

#include "eb_board.h"

#define EB_SCB_CCR     0xE000ED14u
#define EB_SCB_CCSIDR  0xE000ED80u
#define EB_SCB_CSSELR  0xE000ED84u
#define EB_SCB_ICIALLU 0xE000EF50u
#define EB_SCB_DCISW   0xE000EF60u
#define EB_MPU_CTRL    0xE000ED94u
#define EB_MPU_RBAR    0xE000ED9Cu
#define EB_MPU_RASR    0xE000EDA0u

#define EB_CCR_DC (1u << 16)
#define EB_CCR_IC (1u << 17)

// Fields of MPU_RASR. A region has 2^(size + 1) bytes.
#define EB_MPU_ENABLE     1u
#define EB_MPU_SIZE(size) ((uint32_t)(size) << 1)
#define EB_MPU_NORMAL     ((1u << 19) | (1u << 17) | (1u << 16)) // TEX 1, C, B: write-back, write-allocate
#define EB_MPU_DEVICE     (2u << 19) // TEX 2: not cached, never read ahead of the program
#define EB_MPU_READ_WRITE (3u << 24)
#define EB_MPU_READ_ONLY  (6u << 24)
#define EB_MPU_NO_EXECUTE (1u << 28)

static inline void eb_barrier(void) {
    __asm volatile("dsb\n isb" ::: "memory");
}

// Describes region `number` (0 to 15; higher ones win). Takes effect with eb_m7_protect.
static inline void eb_m7_region(uint32_t number, uint32_t origin, uint32_t attributes) {
    EB_REG(EB_MPU_RBAR) = origin | (1u << 4) | number;
    EB_REG(EB_MPU_RASR) = attributes | EB_MPU_ENABLE;
}

// Turns the memory protection unit on.
static inline void eb_m7_protect(void) {
    EB_REG(EB_MPU_CTRL) = 1u;
    eb_barrier();
}

// Empties both caches and turns them on, unless they already are. Nothing here uses DMA, so memory and cache
// never have to be brought together by hand.
static inline void eb_m7_caches(void) {
    if (!(EB_REG(EB_SCB_CCR) & EB_CCR_IC)) {
        eb_barrier();
        EB_REG(EB_SCB_ICIALLU) = 0;
        eb_barrier();
        EB_REG(EB_SCB_CCR) |= EB_CCR_IC;
        eb_barrier();
    }
    if (!(EB_REG(EB_SCB_CCR) & EB_CCR_DC)) {
        EB_REG(EB_SCB_CSSELR) = 0; // the data cache of level 1
        eb_barrier();
        const uint32_t id = EB_REG(EB_SCB_CCSIDR);
        const uint32_t sets = (id >> 13) & 0x7FFFu; // less one, as are the ways
        const uint32_t ways = (id >> 3) & 0x3FFu;
        for (uint32_t set = 0; set <= sets; set++) {
            for (uint32_t way = 0; way <= ways; way++) {
                EB_REG(EB_SCB_DCISW) =
                    (set << 5) | (way << 30); // lines of 32 bytes, 4 ways (TRM DDI 0489, 3.3)
            }
        }
        eb_barrier();
        EB_REG(EB_SCB_CCR) |= EB_CCR_DC;
        eb_barrier();
    }
}

#endif
