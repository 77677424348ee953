// SPDX-License-Identifier: Apache-2.0
// What the boot ROM of the i.MX RT1062 reads before it starts an image in serial flash, for the Teensy 4.1's
// W25Q64JV.
//
// Section numbers are those of the i.MX RT1060 Reference Manual. Not yet run on a real board.
// Checked word by word against the header of PJRC's own programs (bootdata.c of its teensy4 cores), which
// also asks for custom sequences, all of them empty, and leaves room for a signature.
#include "eb_board.h"

void Reset(void);
extern uint32_t eb_data_load[], eb_data_start[], eb_data_end[];

#define FLASH_START 0x60000000u
#define FLASH_BYTES 0x800000u

// 9.6.3.1: one FlexSPI sequence is eight 16-bit instructions, two a word: opcode, pads (0: one line, 2:
// four), operand
#define LUT(op0, pads0, arg0, op1, pads1, arg1)                                                              \
    (((uint32_t)(op1) << 26) | ((uint32_t)(pads1) << 24) | ((uint32_t)(arg1) << 16) |                        \
     ((uint32_t)(op0) << 10) | ((uint32_t)(pads0) << 8) | (uint32_t)(arg0))
#define CMD     0x01u
#define ADDRESS 0x02u
#define MODE    0x07u
#define READ    0x09u
#define DUMMY   0x0Cu
#define STOP    0x00u
#define FOUR    2u

typedef struct {
    uint32_t tag, version, reserved0;
    uint8_t read_sample_clock, hold_time, setup_time, column_width;
    uint32_t reserved1[13];
    uint8_t device_type, pads, clock, custom_sequences;
    uint32_t reserved2[2];
    uint32_t bytes_a1, bytes_a2, bytes_b1, bytes_b2;
    uint32_t reserved3[8];
    uint32_t lut[64];
    uint32_t reserved4[16];
    uint32_t page_bytes, sector_bytes, command_clock, reserved5, block_bytes, reserved6[11];
} flash_config;
_Static_assert(sizeof(flash_config) == 512, "the flash configuration block has 512 bytes");

typedef struct {
    uint32_t header;
    void (*entry)(void);
    uint32_t reserved0, device_data;
    const void *boot_data, *self;
    uint32_t signature, reserved1;
    uint32_t start, bytes, plugin; // 9.7.1.2 boot data
} vector_table;

typedef struct {
    flash_config config;
    uint8_t gap[0x1000u - sizeof(flash_config)];
    vector_table ivt;
} flash_header;

extern const flash_header eb_flash_header;

__attribute__((section(".boot2"), used)) const flash_header
    eb_flash_header =
        {
            .config =
                {
                    .tag = 0x42464346u, // "FCFB"
                    .version = 0x56010000u,
                    .read_sample_clock = 1, // looped back from the DQS pad
                    .hold_time = 1,
                    .setup_time = 2,
                    .device_type = 1, // serial NOR
                    .pads = 4,
                    .clock = 6, // 100 MHz
                    .bytes_a1 = FLASH_BYTES,
                    // EBh, fast read on four lines (W25Q64JV 8.2.11): address and mode on four lines, then
                    // four dummy cycles
                    .lut = {LUT(CMD, 0, 0xEB, ADDRESS, FOUR, 24), LUT(MODE, FOUR, 0xFF, DUMMY, FOUR, 4),
                            LUT(READ, FOUR, 1, STOP, 0, 0)},
                    .page_bytes = 256,
                    .sector_bytes = 4096,
                    .command_clock = 1, // 30 MHz
                    .block_bytes = 65536,
                },
            .ivt =
                {
                    .header = 0x432000D1u, // tag D1h, 32 bytes, version 4.3
                    .entry = Reset,
                    .boot_data = &eb_flash_header.ivt.start,
                    .self = &eb_flash_header.ivt,
                    .start = FLASH_START,
                    .bytes = FLASH_BYTES,
                },
};
