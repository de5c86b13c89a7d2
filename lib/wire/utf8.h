/*
 * utf8 — is this UTF-8? Piece by piece, as WebSocket text arrives (RFC 3629, RFC 6455 section 8.1).
 *
 * Promise: surrogates, overlong forms and code points above U+10FFFF are refused at their first impossible byte.
 */
#ifndef DORMOUSE_WIRE_UTF8_H
#define DORMOUSE_WIRE_UTF8_H

#include "lib/base/bytes.h"

struct utf8_check {    /* zero: at the start */
    uint8_t need;      /* continuation bytes still missing */
    uint8_t low, high; /* bounds of the next one */
};

/* False when PIECE cannot continue what came before. */
MUST_USE bool utf8_feed(struct utf8_check *check, struct bytes piece);
/* At the end: no sequence is cut off. */
static inline bool
utf8_is_complete(const struct utf8_check *check)
{
    return check->need == 0;
}
/* The whole of TEXT. */
MUST_USE bool utf8_is_valid(struct bytes text);

#endif
