// SPDX-License-Identifier: Apache-2.0
// What the functions of a generated model return.
#ifndef EDGEBIT_EB_STATUS_H
#define EDGEBIT_EB_STATUS_H

typedef enum {
    EB_OK = 0,
    EB_ERR_NULL = -1,            // a required pointer is null
    EB_ERR_ARENA_SIZE = -2,      // the arena is smaller than <MODEL>_ARENA_BYTES
    EB_ERR_STATE_SIZE = -3,      // the state is smaller than <MODEL>_STATE_BYTES
    EB_ERR_ALIGN = -4,           // the arena or the state does not start at a multiple of 16 bytes
    EB_ERR_NOT_INITIALISED = -5, // the context was not set up by <model>_init
    EB_ERR_NOT_FINITE = -6       // a float input holds NaN or infinity
} eb_status;

#endif
