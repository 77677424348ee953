// SPDX-License-Identifier: Apache-2.0
// Numbers from -4096 to 4095, clamped to int8: what code that is generated for Armv6-M (edgebit/layouts/
// thumb_narrow.py) loads where it is proven that a value is one of them, in 2 cycles instead of 4 to 6.
//
// The table counts as code, so that only programs that have it pay for it. The instruction behind it makes
// assemblers mark what is before as data.
#include "epilogue/clamp.h"

// clang-format off
__asm__(".syntax unified\n"
        ".pushsection .text.eb_epilogue__clamp, \"ax\", %progbits\n"
        ".global eb_epilogue__clamp\n"
        ".type eb_epilogue__clamp, %function\n"
        ".thumb\n"
        "eb_epilogue__clamp:\n"
        ".space 3968, 0x80\n"
        ".set .Leb_clamp_at, -128\n"
        ".rept 256\n"
        ".byte .Leb_clamp_at\n"
        ".set .Leb_clamp_at, .Leb_clamp_at + 1\n"
        ".endr\n"
        ".space 3968, 0x7f\n"
        "bx lr\n"
        ".size eb_epilogue__clamp, . - eb_epilogue__clamp\n"
        ".popsection\n");
// clang-format on
