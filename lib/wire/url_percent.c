/*
 * url_percent — percent-encoding with the sets of the URL Standard, and decoding.
 *
 * Threads: none; pure.
 */
#include "lib/wire/url_internal.h"

#include <string.h>

#define NOT_PLAIN (SET_C0 | SET_FRAGMENT | SET_QUERY | SET_SPECIAL_QUERY | SET_PATH | SET_USERINFO | SET_FORM)

/* Each set contains the one before it in the standard's chain; the table spells the result out. */
#define IN_C0            NOT_PLAIN
#define IN_FRAGMENT_ONLY (SET_FRAGMENT | SET_PATH | SET_USERINFO | SET_FORM)
#define IN_QUERY_ONLY    (SET_QUERY | SET_SPECIAL_QUERY | SET_PATH | SET_USERINFO | SET_FORM)
#define IN_ALL_BUT_C0    (NOT_PLAIN & ~SET_C0)
#define IN_PATH          (SET_PATH | SET_USERINFO | SET_FORM)
#define IN_USERINFO      (SET_USERINFO | SET_FORM)

static const uint8_t sets[256] = {
    [0x00 ... 0x1F] = IN_C0,
    [' '] = IN_ALL_BUT_C0,
    ['!'] = SET_FORM,
    ['"'] = IN_ALL_BUT_C0,
    ['#'] = IN_QUERY_ONLY,
    ['$'] = SET_FORM,
    ['%'] = SET_FORM,
    ['&'] = SET_FORM,
    ['\''] = SET_SPECIAL_QUERY | SET_FORM,
    ['('] = SET_FORM,
    [')'] = SET_FORM,
    ['+'] = SET_FORM,
    [','] = SET_FORM,
    ['/'] = IN_USERINFO,
    [':'] = IN_USERINFO,
    [';'] = IN_USERINFO,
    ['<'] = IN_ALL_BUT_C0,
    ['='] = IN_USERINFO,
    ['>'] = IN_ALL_BUT_C0,
    ['?'] = IN_PATH,
    ['@'] = IN_USERINFO,
    ['['] = IN_USERINFO,
    ['\\'] = IN_USERINFO,
    [']'] = IN_USERINFO,
    ['^'] = IN_PATH,
    ['`'] = IN_FRAGMENT_ONLY,
    ['{'] = IN_PATH,
    ['|'] = IN_USERINFO,
    ['}'] = IN_PATH,
    ['~'] = SET_FORM,
    [0x7F ... 0xFF] = IN_C0,
};

bool
percent_must_encode(uint8_t c, enum percent_set set)
{
    return (sets[c] & set) != 0;
}

void
percent_encode(struct buf *out, struct bytes in, enum percent_set set)
{
    static const char digits[] = "0123456789ABCDEF";
    uint8_t *to;

    buf_reserve(out, in.len * 3 + 1);
    to = out->data + out->len;
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.data[i];
        if ((sets[c] & set) == 0) {
            *to++ = c;
            continue;
        }
        *to++ = '%';
        *to++ = (uint8_t)digits[c >> 4];
        *to++ = (uint8_t)digits[c & 15];
    }
    out->len = (size_t)(to - out->data);
}

int
hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

void
percent_decode(struct buf *out, struct bytes in)
{
    buf_reserve(out, in.len + 1);
    for (size_t i = 0; i < in.len; i++) {
        int high = i + 2 < in.len && in.data[i] == '%' ? hex_digit(in.data[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(in.data[i + 2]) : -1;
        if (low < 0) {
            out->data[out->len++] = in.data[i];
            continue;
        }
        out->data[out->len++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
}
