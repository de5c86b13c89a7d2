/*
 * egress_headers — header blobs (messages.def) to field lines on the wire, and back.
 *
 * Promise: what leaves is a field line and nothing more (no CR, LF or NUL gets through, names are tokens); what the transport
 * owns (framing, connection, host) is left out; what arrives becomes UTF-8 with lower-case names. Pure.
 */
#ifndef DORMOUSE_EGRESS_HEADERS_H
#define DORMOUSE_EGRESS_HEADERS_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

/* Takes the next field off *BLOB. False at the end, or with *out_bad set when the blob is not one. */
bool headers_next(struct bytes *blob, struct bytes *out_name, struct bytes *out_value, bool *out_bad);
/* The value of the first field NAME (lower case); data NULL when there is none. */
struct bytes headers_find(struct bytes blob, const char *name);

/* Is this a field that the transport writes itself, so that the caller's is left out? */
bool headers_is_transport(struct bytes name);
/* Appends "name: value" with the value in Latin-1. False with err: not a field. */
MUST_USE bool headers_line(struct buf *out, struct bytes name, struct bytes value, struct err *err);

/* A line from the wire without its CRLF: appended as "name\nvalue\n" to BLOB. False: not a field line (it is skipped). */
bool headers_add_wire(struct buf *blob, struct bytes line);
/* The same from a name and a value. False: the name is not a token. */
bool headers_add_field(struct buf *blob, struct bytes name, struct bytes value);
/* BLOB without the fields called NAME. */
void headers_remove(struct buf *blob, const char *name);
/* Latin-1 bytes as UTF-8. */
void latin1_to_utf8(struct buf *out, struct bytes in);

#endif
