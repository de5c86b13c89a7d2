/*
 * ws_frame — WebSocket frames, the server's side (RFC 6455 section 5).
 *
 * Promise: the decoder takes bytes in pieces of any size and keeps no payload, so that an idle socket costs 160 bytes
 * here; (wslay's frame layer, which egress uses, keeps 4 KB per socket). Every rule of section 5 is checked: masks,
 * reserved bits and opcodes, shortest lengths, whole control frames of at most 125 bytes, continuation order, sizes
 * before their payload arrives.
 */
#ifndef DORMOUSE_WIRE_WS_FRAME_H
#define DORMOUSE_WIRE_WS_FRAME_H

#include "lib/base/bytes.h"
#include "lib/wire/utf8.h"
#include "lib/wire/wire_limits.h"

enum ws_opcode {
    WS_OP_CONTINUATION = 0,
    WS_OP_TEXT = 1,
    WS_OP_BINARY = 2,
    WS_OP_CLOSE = 8,
    WS_OP_PING = 9,
    WS_OP_PONG = 10
};

struct ws_decoder { /* zero but message_bytes_max: at the start */
    uint64_t message_bytes_max;
    uint64_t message_bytes; /* of the message under way */
    uint64_t remaining;     /* payload of this frame still to come */
    struct utf8_check text;
    uint8_t header[14];
    uint8_t header_len;
    uint8_t mask[4];
    uint8_t mask_at;
    uint8_t opcode;
    uint8_t message_opcode; /* text or binary while a message is under way, else 0 */
    bool is_fin;
    bool is_in_frame;
    uint8_t control_len;
    uint8_t control[WS_CONTROL_MAX_BYTES];
};

enum ws_step {
    WS_STEP_MORE,    /* everything was used */
    WS_STEP_PIECE,   /* payload of a data message; is_last: the message is complete */
    WS_STEP_CONTROL, /* a whole control frame */
    WS_STEP_BAD      /* close with piece.close_code */
};

struct ws_piece {
    uint8_t opcode; /* text or binary also for continuations; close, ping, pong */
    bool is_first, is_last;
    struct bytes data;   /* unmasked; in the caller's buffer, or the decoder's for control frames */
    uint16_t close_code; /* WS_STEP_BAD: 1002, 1007 or 1009 */
};

/* Takes the next piece out of *DATA (which is unmasked in place and advanced). */
enum ws_step ws_decode(struct ws_decoder *decoder, uint8_t **data, size_t *len, struct ws_piece *out);

/* An unmasked frame header; the payload follows it. */
void ws_frame_header(struct buf *out, enum ws_opcode opcode, bool is_fin, size_t payload_len);
/* A Close frame. code 1005: without a code. The reason is cut at 123 bytes, between characters. */
void ws_frame_close(struct buf *out, uint16_t code, struct bytes reason);
/* May stand in a Close frame (RFC 6455 section 7.4). */
bool ws_code_is_sendable(uint16_t code);
/* Reads a Close payload: 1005 when empty. False when malformed (1002) or not UTF-8 (1007): *out_code then says with
 * what to close. */
MUST_USE bool ws_close_parse(struct bytes payload, uint16_t *out_code, struct bytes *out_reason);

#endif
