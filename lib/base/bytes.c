/*
 * bytes — see bytes.h.
 *
 * Threads: none.
 */
#include "lib/base/bytes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_CAP_MIN 64 /* most buffers hold a line or a small frame: the first growth should be the last */

static uint8_t
ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

struct bytes
bytes_of(const char *s)
{
    return s == NULL ? BYTES_NONE : bytes_from(s, strlen(s));
}

bool
bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool
bytes_equal_str(struct bytes a, const char *s)
{
    return bytes_equal(a, bytes_of(s));
}

bool
bytes_has_prefix(struct bytes a, struct bytes prefix)
{
    return a.len >= prefix.len && bytes_equal(bytes_from(a.data, prefix.len), prefix);
}

bool
bytes_equal_nocase(struct bytes a, struct bytes b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return false;
    return true;
}

char *
bytes_dup(struct bytes b)
{
    char *copy = malloc(b.len + 1);

    assert(copy != NULL);
    if (b.len > 0)
        memcpy(copy, b.data, b.len);
    copy[b.len] = '\0';
    return copy;
}

void
buf_reserve(struct buf *b, size_t more)
{
    size_t cap = b->cap;

    assert(more <= SIZE_MAX / 4);
    assert(b->len <= SIZE_MAX / 4);
    if (cap - b->len >= more)
        return;
    if (cap < BUF_CAP_MIN)
        cap = BUF_CAP_MIN;
    while (cap - b->len < more)
        cap *= 2;
    b->data = realloc(b->data, cap);
    assert(b->data != NULL);
    b->cap = cap;
}

void
buf_append(struct buf *b, const void *data, size_t len)
{
    if (len == 0)
        return;
    buf_reserve(b, len);
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

void
buf_append_bytes(struct buf *b, struct bytes v)
{
    buf_append(b, v.data, v.len);
}

void
buf_append_str(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void
buf_append_byte(struct buf *b, uint8_t c)
{
    buf_reserve(b, 1);
    b->data[b->len++] = c;
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    int need;

    va_start(args, fmt);
    need = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    assert(need >= 0);
    buf_reserve(b, (size_t)need + 1);
    va_start(args, fmt);
    (void)vsnprintf((char *)b->data + b->len, (size_t)need + 1, fmt, args); /* measured above */
    va_end(args);
    b->len += (size_t)need;
}

void
buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->len);
    if (n == 0)
        return;
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

void
buf_clear(struct buf *b)
{
    b->len = 0;
}

void
buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){ 0 };
}

const char *
buf_cstr(struct buf *b)
{
    buf_reserve(b, 1);
    b->data[b->len] = '\0';
    return (const char *)b->data;
}
