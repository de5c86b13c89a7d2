/*
 * http_reader — HTTP/1.x requests out of bytes from outside (RFC 9112), one after the other on a connection.
 *
 * Promise: what RFC 9112 and RFC 9110 call ambiguous is refused, never repaired: obs-fold, bare CR or LF, a missing or
 * second Host, Content-Length twice or beside Transfer-Encoding, any transfer coding but chunked, bad chunks, user
 * information in the authority. The result is independent of how the bytes were cut into pieces. Nothing is allocated
 * per request once the head buffer has grown to the connection's usual head. Underneath: llhttp (the parser of Node.js)
 * in strict mode; the checks that its version lacks are made here.
 */
#ifndef DORMOUSE_WIRE_HTTP_READER_H
#define DORMOUSE_WIRE_HTTP_READER_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/wire/wire_limits.h"

struct http_reader; /* opaque; one per connection */

enum http_step {
    HTTP_STEP_MORE, /* everything was used; give more */
    HTTP_STEP_HEAD, /* the head is complete: http_reader_head(); feed on for the body */
    HTTP_STEP_DONE, /* the message is complete; http_reader_next() before the next one */
    HTTP_STEP_BAD   /* http_reader_status() says with what to answer; the connection must close */
};

struct http_head {           /* views are valid until http_reader_next() */
    struct bytes method;     /* upper case as sent */
    struct bytes path;       /* origin form: begins with "/", with the query; absolute form was split */
    struct bytes host;       /* authority as sent, with port; never empty */
    struct bytes headers;    /* "name\nvalue\n"…, lower-case names, Latin-1 values as UTF-8 */
    uint64_t content_length; /* 0 when absent or chunked */
    bool has_length;
    bool is_chunked;
    bool is_http_1_0;
    bool keep_alive;
    bool expects_continue;
    bool is_head;     /* method HEAD */
    bool has_upgrade; /* Connection: upgrade and an Upgrade header */
};

struct http_reader *http_reader_create(void);
void http_reader_destroy(struct http_reader **reader);

/* Reads a prefix of IN; *out_used says how much. Body bytes are appended to BODY, without their framing. */
enum http_step http_reader_feed(struct http_reader *reader, struct bytes in, size_t *out_used, struct buf *body);
const struct http_head *http_reader_head(const struct http_reader *reader);
/* After HTTP_STEP_DONE: forgets the message. */
void http_reader_next(struct http_reader *reader);
/* Nothing of a message was seen yet: the connection is idle, and may be closed without an answer. */
bool http_reader_is_idle(const struct http_reader *reader);
int http_reader_status(const struct http_reader *reader);         /* 400, 405, 414, 431, 501, 505 */
const char *http_reader_reason(const struct http_reader *reader); /* one sentence, static */

/* The value of the first header NAME (lower case) in a flat list; false when absent. */
bool http_header_find(struct bytes headers, const char *name, struct bytes *out_value);
/* Iterates a flat list: REST starts as the whole list; false at its end or when it is not well formed. */
bool http_header_next(struct bytes *rest, struct bytes *out_name, struct bytes *out_value);
/* TOKEN is an element of the comma-separated VALUE, without regard to case. */
bool http_list_has(struct bytes value, const char *token);
/* Digits only, no sign, no overflow. */
MUST_USE bool http_number(struct bytes text, uint64_t *out);

#endif
