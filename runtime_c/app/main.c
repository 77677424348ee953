// SPDX-License-Identifier: Apache-2.0
// Bench application: one model, driven over the link. It knows the machine through eb_port.h and the model
// through the generated app_model.h, and nothing else.
#include "app.h"

#include "app_model.h"
#include "eb_port.h"
#include "edgebit/eb_status.h"
#include "edgebit/eb_types.h"

#include "answers.h"

typedef struct {
    uint32_t offset; // from the start of the arena
    uint32_t bytes;
} range;

static const range inputs[] = EB_APP_INPUT_TABLE;
static const range outputs[] = EB_APP_OUTPUT_TABLE;

static EB_ALIGNED(EB_ALIGN) uint8_t arena[EB_APP_ARENA_BYTES > 0 ? EB_APP_ARENA_BYTES : 1];
static EB_ALIGNED(EB_ALIGN) uint8_t state[EB_APP_STATE_BYTES > 0 ? EB_APP_STATE_BYTES : 1];
static EB_APP_CTX ctx;
static int init_status;

static void do_write(const eb_request *rq, result *r) {
    if (!within(rq->index, EB_APP_INPUTS) || !fits(rq->offset, rq->payload_bytes, inputs[rq->index].bytes)) {
        r->status = EB_LINK_ERR_RANGE;
        return;
    }
    if (rq->payload_bytes > 0) {
        memcpy(arena + inputs[rq->index].offset + rq->offset, rq->payload, rq->payload_bytes);
    }
}

static void do_read(const eb_request *rq, uint8_t *p, result *r) {
    if (!within(rq->index, EB_APP_OUTPUTS) || !fits(rq->offset, rq->arg, outputs[rq->index].bytes) ||
        rq->arg > EB_LINK_PAYLOAD_MAX) {
        r->status = EB_LINK_ERR_RANGE;
        return;
    }
    r->arg = outputs[rq->index].bytes;
    r->bytes = rq->arg;
    if (rq->arg > 0) {
        memcpy(p, arena + outputs[rq->index].offset + rq->offset, rq->arg);
    }
}

static void do_run(const eb_request *rq, result *r) {
    if (init_status != EB_OK) {
        r->status = EB_LINK_ERR_INIT;
        return;
    }
    hashed = (int)(rq->arg & 1u);
    eb_trace_start(hashed);
    r->arg = (uint32_t)EB_APP_RUN(&ctx);
}

static void do_segment(const eb_request *rq, result *r) {
    if (!within(rq->index, EB_APP_SEGMENTS)) {
        r->status = EB_LINK_ERR_RANGE;
        return;
    }
    r->offset = EB_APP_SEGMENT_TABLE[rq->index].layer;
    r->arg = eb_crc32(0, EB_APP_SEGMENT_TABLE[rq->index].p, EB_APP_SEGMENT_TABLE[rq->index].bytes);
}

static void answer(const eb_request *rq) {
    uint8_t *p = eb_link_payload();
    result r = {acceptable(rq, 1), rq->offset, 0, 0};
    if (r.status == EB_LINK_OK) {
        switch (rq->kind) {
        case EB_LINK_HELLO:
            r.bytes = hello(p);
            break;
        case EB_LINK_WRITE:
            do_write(rq, &r);
            break;
        case EB_LINK_RUN:
            do_run(rq, &r);
            break;
        case EB_LINK_READ:
            do_read(rq, p, &r);
            break;
        case EB_LINK_HASHES:
            hashes_of(rq, p, &r);
            break;
        case EB_LINK_SEGMENT:
            do_segment(rq, &r);
            break;
        case EB_LINK_RESET:
            hashed = 0;
            r.arg = init_status == EB_OK ? (uint32_t)EB_APP_RESET(&ctx) : (uint32_t)init_status;
            break;
        case EB_LINK_CYCLES:
            cycles_of(rq, p, &r);
            break;
        default:
            r.status = EB_LINK_ERR_KIND;
            break;
        }
    }
    eb_link_reply(rq, (int)r.status, model_id, r.offset, r.arg, r.bytes);
}

int main(void) {
    eb_port_init();
    eb_trace_init();
    init_status = (int)EB_APP_INIT(&ctx, state, EB_APP_STATE_BYTES, arena, EB_APP_ARENA_BYTES);
    serve();
    return 0;
}
