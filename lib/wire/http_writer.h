/*
 * http_writer — the heads of HTTP/1.1 responses, from what an agent answered.
 *
 * Promise: whatever the agent's headers hold, one well-formed head comes out or nothing: names are tokens, values hold
 * no control characters, what belongs to the connection (RFC 9110 section 7.6.1) or to the framing is ours alone. No
 * response splitting.
 */
#ifndef DORMOUSE_WIRE_HTTP_WRITER_H
#define DORMOUSE_WIRE_HTTP_WRITER_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/wire/wire_limits.h"

enum http_framing {
    HTTP_FRAMING_NONE,   /* 1xx, 204, 304: no body and no length */
    HTTP_FRAMING_LENGTH, /* Content-Length: length */
    HTTP_FRAMING_CHUNKED,
    HTTP_FRAMING_CLOSE /* HTTP/1.0: the body ends with the connection */
};

enum http_connection {
    HTTP_KEEP,
    HTTP_KEEP_1_0 /* says so, for a 1.0 client */,
    HTTP_CLOSE,
    HTTP_UPGRADE /* 101 websocket */
};

struct http_answer {
    int status;
    struct bytes status_text; /* "": the usual one */
    struct bytes headers;     /* flat; Latin-1 as UTF-8 */
    enum http_framing framing;
    uint64_t length;
    enum http_connection connection;
    struct bytes date; /* IMF-fixdate */
};

/* Appends the head with its empty line. ERR_MALFORMED: a header was not sendable; OUT is then as before. */
MUST_USE bool http_answer_write(struct buf *out, const struct http_answer *answer, struct err *err);
/* "200" → "OK"; "" when there is no usual text. */
struct bytes http_reason(int status);
/* Starts a chunk of LEN bytes (> 0); the bytes and "\r\n" follow. The last one is "0\r\n\r\n". */
void http_chunk_header(struct buf *out, size_t len);
#define HTTP_DATE_BYTES 29
/* "Sun, 06 Nov 1994 08:49:37 GMT" */
void http_date(char out[HTTP_DATE_BYTES + 1], int64_t wall_ms);
/* The other way; -1 when it is no IMF-fixdate. Seconds since 1970. */
int64_t http_date_parse(struct bytes text);
/* Is this a header of the connection, never passed on? */
bool http_is_hop_by_hop(struct bytes name);
bool http_is_token(struct bytes name);

#endif
