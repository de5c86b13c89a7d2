/*
 * bytes — borrowed views of bytes, and a growable buffer.
 *
 * Promise: a view never owns; a buffer always does. Lengths are bytes. Growth failure is fatal (a room without memory
 * restarts); every caller bounds what it appends by a limit of its own.
 */
#ifndef DORMOUSE_BASE_BYTES_H
#define DORMOUSE_BASE_BYTES_H

#include "lib/base/macros.h"

struct bytes {                     /* borrowed; data may be NULL when len is 0 */
    const uint8_t *data;
    size_t         len;
};

struct buf {                       /* owned; zero-initialised is a valid empty buffer */
    uint8_t *data;
    size_t   len;
    size_t   cap;
};

#define BYTES_LIT(s) ((struct bytes){ (const uint8_t *)(s), sizeof(s) - 1 })
#define BYTES_NONE   ((struct bytes){ NULL, 0 })

/* A view of the NUL-terminated S (NULL gives the empty view). */
struct bytes bytes_of(const char *s);
static inline struct bytes bytes_from(const void *data, size_t len) { return (struct bytes){ data, len }; }
bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_str(struct bytes a, const char *s);
bool bytes_has_prefix(struct bytes a, struct bytes prefix);
/* ASCII case-insensitive equality, as HTTP field names compare (RFC 9110 section 5.1). */
bool bytes_equal_nocase(struct bytes a, struct bytes b);
/* A NUL-terminated heap copy; the caller frees. Embedded NULs are kept as they are. */
char *bytes_dup(struct bytes b);

void buf_reserve(struct buf *b, size_t more);          /* room for MORE bytes after len */
void buf_append(struct buf *b, const void *data, size_t len);
void buf_append_bytes(struct buf *b, struct bytes v);
void buf_append_str(struct buf *b, const char *s);
void buf_append_byte(struct buf *b, uint8_t c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_consume(struct buf *b, size_t n);             /* drops the first N bytes */
void buf_clear(struct buf *b);                         /* len 0; keeps memory */
void buf_fini(struct buf *b);                          /* frees; the buffer is empty and usable again */
static inline struct bytes buf_view(const struct buf *b) { return (struct bytes){ b->data, b->len }; }
const char *buf_cstr(struct buf *b);                   /* NUL-terminates behind len; borrowed */

#endif
