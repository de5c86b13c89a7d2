/*
 * form — see form.h.
 *
 * Threads: none; pure.
 */
#include "lib/wire/form.h"

#include <string.h>

#include "lib/wire/url_internal.h"

static void
encode(struct buf *out, struct bytes in)
{
    while (in.len > 0) {
        const uint8_t *space = memchr(in.data, ' ', in.len);
        size_t len = space == NULL ? in.len : (size_t)(space - in.data);
        percent_encode(out, bytes_from(in.data, len), SET_FORM);
        if (space == NULL)
            return;
        buf_append_byte(out, '+');
        in = bytes_from(in.data + len + 1, in.len - len - 1);
    }
}

void
form_encode_pair(struct buf *out, struct bytes name, struct bytes value)
{
    if (out->len > 0)
        buf_append_byte(out, '&');
    encode(out, name);
    buf_append_byte(out, '=');
    encode(out, value);
}

/* How many bytes the UTF-8 sequence at the start of IN has; *ok: whether it is whole and allowed. A broken one is as
 * long as its longest prefix that could have become one (the Encoding Standard's maximal subpart). */
static size_t
utf8_sequence(struct bytes in, bool *ok)
{
    uint8_t c = in.data[0];
    size_t need = c < 0x80                ? 0
                  : c >= 0xC2 && c < 0xE0 ? 1
                  : c >= 0xE0 && c < 0xF0 ? 2
                  : c >= 0xF0 && c < 0xF5 ? 3
                                          : SIZE_MAX;
    uint8_t low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    uint8_t high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;

    *ok = false;
    if (need == SIZE_MAX)
        return 1;
    for (size_t i = 1; i <= need; i++) {
        if (i == in.len || in.data[i] < low || in.data[i] > high)
            return i;
        low = 0x80;
        high = 0xBF;
    }
    *ok = true;
    return need + 1;
}

/* UTF-8 decode without BOM, lossy: broken sequences become U+FFFD. */
static void
append_valid_utf8(struct buf *out, struct bytes in)
{
    while (in.len > 0) {
        bool ok;
        size_t len = utf8_sequence(in, &ok);
        if (ok)
            buf_append(out, in.data, len);
        else
            buf_append(out, "\xEF\xBF\xBD", 3);
        in = bytes_from(in.data + len, in.len - len);
    }
}

static void
decode(struct buf *out, struct bytes in)
{
    struct buf spaced = { 0 };
    struct buf raw = { 0 };

    buf_clear(out);
    buf_append_bytes(&spaced, in);
    for (size_t i = 0; i < spaced.len; i++)
        if (spaced.data[i] == '+')
            spaced.data[i] = ' ';
    percent_decode(&raw, buf_view(&spaced));
    append_valid_utf8(out, buf_view(&raw));
    buf_fini(&raw);
    buf_fini(&spaced);
}

bool
form_decode_pair(struct bytes *rest, struct buf *name, struct buf *value)
{
    while (rest->len > 0) {
        const uint8_t *end = memchr(rest->data, '&', rest->len);
        struct bytes pair = bytes_from(rest->data, end == NULL ? rest->len : (size_t)(end - rest->data));
        size_t used = pair.len + (end != NULL);
        const uint8_t *equals;
        size_t name_len;

        *rest = bytes_from(rest->data + used, rest->len - used);
        if (pair.len == 0)
            continue;
        equals = memchr(pair.data, '=', pair.len);
        name_len = equals == NULL ? pair.len : (size_t)(equals - pair.data);
        decode(name, bytes_from(pair.data, name_len));
        decode(value, equals == NULL ? BYTES_NONE : bytes_from(equals + 1, pair.len - name_len - 1));
        return true;
    }
    return false;
}
