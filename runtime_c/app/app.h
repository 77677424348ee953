// SPDX-License-Identifier: Apache-2.0
// What the files of the bench application share. One run at a time, one link, no interrupts.
#ifndef EDGEBIT_APP_H
#define EDGEBIT_APP_H

#include <stddef.h>
#include <stdint.h>

#include "eb_port.h"
#include "edgebit/eb_link.h"

// A request, decoded. The payload lives in the receive buffer until the next eb_link_receive.
typedef struct {
    uint8_t version, kind, seq;
    uint8_t model_id[8];
    uint16_t entry, index;
    uint32_t offset, arg;
    const uint8_t *payload;
    uint32_t payload_bytes; // 0..EB_LINK_PAYLOAD_MAX
    uint32_t crc;           // of the whole frame; tells a retry from a new request
} eb_request;

// Waits for the next intact frame. 0 when there is one, -1 when the other end is gone.
int eb_link_receive(eb_request *rq);

// The payload of the next reply may be built in place here (EB_LINK_PAYLOAD_MAX bytes).
uint8_t *eb_link_payload(void);

// Sends a reply whose payload is the first `bytes` of eb_link_payload().
void eb_link_reply(const eb_request *rq, int status, const uint8_t model_id[8], uint32_t offset, uint32_t arg,
                   uint32_t bytes);

// Sends the last reply once more.
void eb_link_repeat(void);

// CRC-32 as in zlib: start with 0, feed the result of one piece into the next.
uint32_t eb_crc32(uint32_t crc, const void *data, size_t bytes);

void eb_put16(uint8_t *p, uint32_t v);
void eb_put32(uint8_t *p, uint32_t v);

// Starts a run's trace; `hash` non-zero keeps a CRC-32 of every layer's output.
void eb_trace_start(int hash);

// The CRC-32 of a layer of the last run; 0 for a layer that was not hashed.
uint32_t eb_trace_crc(uint32_t layer);

#ifdef EB_PORT_COUNTS
// What counts the cycles of a layer, or "none".
const char *eb_trace_source(void);

// Starts the counter of cycles, where there is one. Called once, before the first run.
void eb_trace_init(void);

// Cycles of a layer of the last run or step, the call of eb_trace included (about 20); UINT64_MAX when they
// are more than the counter can tell.
uint64_t eb_trace_cycles(uint32_t layer);
#else
static inline const char *eb_trace_source(void) {
    return "none";
}
static inline void eb_trace_init(void) {}
static inline uint64_t eb_trace_cycles(uint32_t layer) {
    (void)layer;
    return 0;
}
#endif

// A step of a run starts: forgets the cycles counted so far.
void eb_trace_step(void);

// Called by the model (compiled with EB_TRACE) at the end of every layer.
void eb_trace(uint32_t layer, const void *data, uint32_t bytes);

// Does nothing: emulators watch for its address to tell layers apart.
void eb_mark(uint32_t layer);

#endif
