/* ws_handshake — the opening handshake of a WebSocket, the server's side (RFC 6455 section 4.2). */
#ifndef DORMOUSE_WIRE_WS_HANDSHAKE_H
#define DORMOUSE_WIRE_WS_HANDSHAKE_H

#include "lib/base/bytes.h"

#define WS_ACCEPT_BYTES 28 /* base64 of a SHA-1 */

enum ws_handshake {
    WS_HANDSHAKE_OK,
    WS_HANDSHAKE_BAD,
    WS_HANDSHAKE_VERSION /* answer 426 with Sec-WebSocket-Version: 13 */
};

/* HEADERS flat, of a GET whose Upgrade header names websocket. Fills OUT_ACCEPT with Sec-WebSocket-Accept. */
enum ws_handshake ws_handshake_check(struct bytes headers, char out_accept[WS_ACCEPT_BYTES + 1]);
/* The key is base64 of 16 bytes. Fills OUT_ACCEPT. */
MUST_USE bool ws_accept(struct bytes key, char out_accept[WS_ACCEPT_BYTES + 1]);

#endif
