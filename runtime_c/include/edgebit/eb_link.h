// SPDX-License-Identifier: Apache-2.0
// The link protocol, version 1: how a host talks to the bench application over any byte stream.
// edgebit/devices/link.py is the other end and states the same constants.
//
// On the wire a frame is COBS(header | payload | crc) followed by one zero byte. COBS is Cheshire and Baker,
// "Consistent Overhead Byte Stuffing" (1999). crc is the CRC-32 of zlib over header and payload, little
// endian. All fields are little endian:
//
//   byte  0  u8   version, 1
//         1  u8   kind; a reply has bit 7 set
//         2  u8   seq; the reply echoes it
//         3  u8   status; 0 in requests, an eb_link_status in replies (two's complement)
//         4  u8x8 model id, the first 8 bytes of the certificate; a reply holds the device's own
//        12  u16  entry; 0, or 1 of a language model (docs/link-protocol.md says what requests mean to one)
//        14  u16  index
//        16  u32  offset
//        20  u32  arg
//        24       payload, 0..512 bytes
//
// A reply echoes entry, index and offset (SEGMENT sets offset). Frames that do not decode, are too long or
// too short, or fail the CRC are dropped without an answer; the next zero byte starts afresh. A request that
// repeats the last one bit for bit (HELLO excepted) is a retry after a lost reply: the reply is sent again
// and nothing is done twice. A host therefore changes seq from one request to the next.
//
//   kind       request                              reply
//   HELLO      model id may be 0                    payload: see below
//   WRITE      input index, offset, payload         -
//   RUN        arg bit 0: CRC every layer output    arg: eb_status of the run
//   READ       output index, offset, arg: bytes     arg: size of the whole output; payload
//   HASHES     offset: first layer                  arg: number of layers; payload: u32 CRC-32 a layer
//   SEGMENT    weight segment index                 arg: its CRC-32, offset: its layer
//   RESET      -                                    arg: eb_status
//   CYCLES     offset: first layer                  arg: number of layers; payload: u64 a layer (all
//                                                   bits set: too many to tell); empty without a cycle source
//
// HELLO's payload: u16 protocol version, u16 largest payload, u8x16 image id, u16 inputs, u16 outputs,
// u16 layers, u16 segments, u32 arena bytes, then three strings, each a u8 length and that many bytes of
// UTF-8: board, model, cycle source ("DWT", "SysTick", "none").
#ifndef EDGEBIT_EB_LINK_H
#define EDGEBIT_EB_LINK_H

#define EB_LINK_VERSION     1
#define EB_LINK_HEADER      24
#define EB_LINK_PAYLOAD_MAX 512
#define EB_LINK_FRAME_MAX   (EB_LINK_HEADER + EB_LINK_PAYLOAD_MAX + 4)
// COBS adds one byte, and one more for every 254.
#define EB_LINK_WIRE_MAX (EB_LINK_FRAME_MAX + 1 + EB_LINK_FRAME_MAX / 254)
#define EB_LINK_REPLY    0x80

enum {
    EB_LINK_HELLO = 1,
    EB_LINK_WRITE = 2,
    EB_LINK_RUN = 3,
    EB_LINK_READ = 4,
    EB_LINK_HASHES = 5,
    EB_LINK_SEGMENT = 6,
    EB_LINK_RESET = 7,
    EB_LINK_CYCLES = 8
};

typedef enum {
    EB_LINK_OK = 0,
    EB_LINK_ERR_KIND = -1,    // no such kind of request
    EB_LINK_ERR_MODEL = -2,   // the request is for another model
    EB_LINK_ERR_RANGE = -3,   // index, offset or length outside of the object
    EB_LINK_ERR_VERSION = -4, // protocol version of the request is not ours
    EB_LINK_ERR_ENTRY = -5,   // the model has no such entry
    EB_LINK_ERR_INIT = -6,    // the model could not be initialised
    EB_LINK_ERR_NO_TRACE = -7 // the last run was not asked to hash its layers
} eb_link_status;

// What eb_mark() is told besides the index of a layer that has just ended.
#define EB_MARK_START  0xFFFFFFFFu // a run starts; what follows belongs to layer 0
#define EB_MARK_RESUME 0xFFFFFFFEu // drop what happened since the last mark (a layer was being hashed)

#endif
