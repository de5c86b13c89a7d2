/*
 * attachment — what an agent keeps with a hibernatable socket: up to WS_ATTACHMENT_MAX_BYTES, for as long as the socket is open.
 *
 * Promise: it takes a block of just its size, compressed when it is more than a few hundred bytes and that helps.
 */
#ifndef DORMOUSE_GATEWAY_ATTACHMENT_H
#define DORMOUSE_GATEWAY_ATTACHMENT_H

#include "lib/base/bytes.h"

struct attachment { /* all zero: empty */
    uint8_t *data;
    uint16_t kept; /* bytes at data */
    uint16_t bytes; /* of the attachment; more than kept: compressed */
};

/* Replaces what was there. */
void attachment_set(struct attachment *attachment, struct bytes value);
/* Points into the attachment or SCRATCH (cleared first): valid until either is changed. */
struct bytes attachment_get(const struct attachment *attachment, struct buf *scratch);
void attachment_fini(struct attachment *attachment);

#endif
