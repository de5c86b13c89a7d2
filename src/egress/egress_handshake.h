/*
 * egress_handshake — the opening handshake of a WebSocket, the client's side (RFC 6455 section 4.1): request out, answer in.
 *
 * Promise: an answer counts as 101 only when every rule of section 4.2.2 holds; any other answer is handed on whole, its body cut
 * at EGRESS_WS_REFUSAL_MAX_BYTES. Pure, but for the key, which the caller draws.
 */
#ifndef DORMOUSE_EGRESS_HANDSHAKE_H
#define DORMOUSE_EGRESS_HANDSHAKE_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/wire/url.h"

struct handshake;

/* HEADERS: the caller's blob. KEY: 16 random bytes. False with err: the headers are not fields. */
MUST_USE bool handshake_create(struct handshake **out_handshake, const struct url *url, struct bytes headers, const uint8_t key[16],
                               struct err *err);
void handshake_destroy(struct handshake **handshake);

/* The bytes to send. */
struct bytes handshake_request(const struct handshake *handshake);

enum handshake_state { HANDSHAKE_MORE, HANDSHAKE_OPEN, HANDSHAKE_REFUSED, HANDSHAKE_BROKEN };
/* Takes bytes from the server. *out_used: how many; what is behind an OPEN belongs to the WebSocket. */
enum handshake_state handshake_feed(struct handshake *handshake, struct bytes in, size_t *out_used);
/* The connection ended: an answer without a length is complete then. */
enum handshake_state handshake_eof(struct handshake *handshake);

/* With OPEN or REFUSED. */
int handshake_status(const struct handshake *handshake);
struct bytes handshake_status_text(const struct handshake *handshake);
struct bytes handshake_headers(const struct handshake *handshake);   /* a blob */
struct bytes handshake_body(const struct handshake *handshake);

#endif
