// SPDX-License-Identifier: Apache-2.0
#ifndef APP_MODEL_H
#define APP_MODEL_H

#include "tiny.h"

#define EB_APP_MODEL_NAME  "tiny"
#define EB_APP_BOARD_NAME  TINY_BOARD
#define EB_APP_MODEL_ID    {0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0x00}
#define EB_APP_INPUTS      1
#define EB_APP_OUTPUTS     2
#define EB_APP_LAYERS      2
#define EB_APP_SEGMENTS    2
#define EB_APP_ARENA_BYTES (TINY_BYTES + 20u)
#define EB_APP_STATE_BYTES 0
#define EB_APP_CTX         tiny_ctx
#define EB_APP_INIT        tiny_init
#define EB_APP_RESET       tiny_reset
#define EB_APP_RUN         tiny_run
#define EB_APP_INPUT_TABLE                                                                                   \
    {                                                                                                        \
        {                                                                                                    \
            0, TINY_BYTES                                                                                    \
        }                                                                                                    \
    }
#define EB_APP_OUTPUT_TABLE  {{0, TINY_BYTES}, {TINY_BYTES, 8}}
#define EB_APP_SEGMENT_TABLE tiny_segments

#endif
