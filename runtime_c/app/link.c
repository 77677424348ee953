// SPDX-License-Identifier: Apache-2.0
// Frames in, frames out: COBS, CRC-32 and the header. The format is described in edgebit/eb_link.h.
#include "app.h"

#include "eb_port.h"

static uint8_t rx[EB_LINK_WIRE_MAX];
static uint8_t tx[EB_LINK_FRAME_MAX];
static uint32_t tx_bytes;

static uint32_t get16(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t get32(const uint8_t *p) {
    return get16(p) | get16(p + 2) << 16;
}

void eb_put16(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v & 0xFFu);
    p[1] = (uint8_t)(v >> 8 & 0xFFu);
}

void eb_put32(uint8_t *p, uint32_t v) {
    eb_put16(p, v);
    eb_put16(p + 2, v >> 16);
}

uint32_t eb_crc32(uint32_t crc, const void *data, size_t bytes) {
    // One entry a nibble of the reflected polynomial 0xEDB88320: small, and quick enough on a Cortex-M0+.
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
        0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
        0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    const uint8_t *p = (const uint8_t *)data;
    crc = ~crc;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= p[i];
        crc = table[crc & 15u] ^ crc >> 4;
        crc = table[crc & 15u] ^ crc >> 4;
    }
    return ~crc;
}

// Decodes in place (the output never overtakes the input). The number of bytes, or -1 when it is not COBS.
static int32_t cobs_decode(uint8_t *buf, uint32_t bytes) {
    uint32_t in = 0, out = 0;
    while (in < bytes) {
        uint32_t code = buf[in++];
        if (code == 0 || code - 1 > bytes - in) {
            return -1;
        }
        for (uint32_t i = 1; i < code; i++) {
            buf[out++] = buf[in++];
        }
        if (code != 255 && in < bytes) {
            buf[out++] = 0;
        }
    }
    return (int32_t)out;
}

// Sends bytes up to the next zero (or 254, or the end) as one COBS group, over and over, then the zero.
static void cobs_send(const uint8_t *data, uint32_t bytes) {
    uint32_t start = 0;
    for (;;) {
        uint32_t run = 0;
        while (start + run < bytes && data[start + run] != 0 && run < 254) {
            run++;
        }
        eb_port_putc((uint8_t)(run + 1));
        for (uint32_t i = 0; i < run; i++) {
            eb_port_putc(data[start + i]);
        }
        start += run;
        if (start == bytes) {
            break;
        }
        if (run < 254) {
            start++; // the zero that the group's code stands for
        }
    }
    eb_port_putc(0);
    eb_port_flush();
}

static int parse(eb_request *rq, uint32_t wire_bytes) {
    int32_t n = cobs_decode(rx, wire_bytes);
    if (n < EB_LINK_HEADER + 4 || n > EB_LINK_FRAME_MAX) {
        return -1;
    }
    uint32_t body = (uint32_t)n - 4;
    rq->crc = eb_crc32(0, rx, body);
    if (rq->crc != get32(rx + body)) {
        return -1;
    }
    rq->version = rx[0];
    rq->kind = rx[1];
    rq->seq = rx[2];
    for (uint32_t i = 0; i < 8; i++) {
        rq->model_id[i] = rx[4 + i];
    }
    rq->entry = (uint16_t)get16(rx + 12);
    rq->index = (uint16_t)get16(rx + 14);
    rq->offset = get32(rx + 16);
    rq->arg = get32(rx + 20);
    rq->payload = rx + EB_LINK_HEADER;
    rq->payload_bytes = body - EB_LINK_HEADER;
    return 0;
}

int eb_link_receive(eb_request *rq) {
    uint32_t n = 0;
    int overflow = 0;
    for (;;) {
        int c = eb_port_getc();
        if (c < 0) {
            return -1;
        }
        if (c != 0) {
            if (n < sizeof rx) {
                rx[n++] = (uint8_t)c;
            } else {
                overflow = 1;
            }
            continue;
        }
        if (!overflow && n > 0 && parse(rq, n) == 0) {
            return 0;
        }
        n = 0;
        overflow = 0;
    }
}

uint8_t *eb_link_payload(void) {
    return tx + EB_LINK_HEADER;
}

void eb_link_reply(const eb_request *rq, int status, const uint8_t model_id[8], uint32_t offset, uint32_t arg,
                   uint32_t bytes) {
    tx[0] = EB_LINK_VERSION;
    tx[1] = (uint8_t)(rq->kind | EB_LINK_REPLY);
    tx[2] = rq->seq;
    tx[3] = (uint8_t)((uint32_t)status & 0xFFu);
    for (uint32_t i = 0; i < 8; i++) {
        tx[4 + i] = model_id[i];
    }
    eb_put16(tx + 12, rq->entry);
    eb_put16(tx + 14, rq->index);
    eb_put32(tx + 16, offset);
    eb_put32(tx + 20, arg);
    uint32_t body = EB_LINK_HEADER + bytes;
    eb_put32(tx + body, eb_crc32(0, tx, body));
    tx_bytes = body + 4;
    cobs_send(tx, tx_bytes);
}

void eb_link_repeat(void) {
    cobs_send(tx, tx_bytes);
}
