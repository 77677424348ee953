// SPDX-License-Identifier: Apache-2.0
// Packing of pixels as numbers from 0 to 255 for cores with the DSP extension: four channels of two pixels a
// step (step_armv7em.h says how), 8 values in 14 cycles (modelled, Cortex-M4).
#include "pack_bytes/pack_bytes.h"
#include "pack_bytes/step_armv7em.h"

EB_PACK_BYTES_DECL(eb_pack_bytes__armv7em);

// clang-format off
// r0 pointers, r1 x, r2 bytes of a run, r3 bytes to the next run, r4 first pixel, r5 second pixel, r6-r9 channels and
// packed words, r10 128 in both halves, r12 end of the run, lr end of the pointers.
__asm__(".syntax unified\n"
        ".pushsection .text.eb_pack_bytes__armv7em, \"ax\", %progbits\n"
        ".p2align 2\n"
        ".thumb\n"
        ".global eb_pack_bytes__armv7em\n"
        ".type eb_pack_bytes__armv7em, %function\n"
        ".thumb_func\n"
        "eb_pack_bytes__armv7em:\n"
        "push {r4-r10, lr}\n"
        "add lr, r0, #32\n mov r10, #0x00800080\n"
        "adds r2, #3\n bic r2, r2, #3\n lsls r2, r2, #2\n"
        "rsb r3, r2, r3, lsl #2\n"
        "1:\n"
        "ldrd r4, r5, [r0], #8\n add r12, r1, r2\n lsls r6, r2, #27\n bmi 3f\n"
        "2:\n"
        EB_PACK_STEP("r4", "r5")
        "3:\n"
        EB_PACK_STEP("r4", "r5")
        "cmp r1, r12\n bne 2b\n"
        "add r1, r1, r3\n cmp r0, lr\n bne 1b\n"
        "pop {r4-r10, pc}\n"
        ".size eb_pack_bytes__armv7em, . - eb_pack_bytes__armv7em\n"
        ".popsection\n");
// clang-format on

EB_KERNEL(pack_bytes, armv7em, none);
