/*
 * egress_headers — see egress_headers.h.
 *
 * Threads: none; pure.
 */
#include "src/egress/egress_headers.h"

#include <string.h>

bool
headers_next(struct bytes *blob, struct bytes *out_name, struct bytes *out_value, bool *out_bad)
{
    const uint8_t *name_end;
    const uint8_t *value_end;
    size_t left;

    *out_bad = false;
    if (blob->len == 0)
        return false;
    name_end = memchr(blob->data, '\n', blob->len);
    left = name_end == NULL ? 0 : blob->len - (size_t)(name_end + 1 - blob->data);
    value_end = left == 0 ? NULL : memchr(name_end + 1, '\n', left);
    if (value_end == NULL) {
        *out_bad = true;
        return false;
    }
    *out_name = bytes_from(blob->data, (size_t)(name_end - blob->data));
    *out_value = bytes_from(name_end + 1, (size_t)(value_end - name_end - 1));
    *blob = bytes_from(value_end + 1, blob->len - (size_t)(value_end + 1 - blob->data));
    return true;
}

struct bytes
headers_find(struct bytes blob, const char *name)
{
    struct bytes field;
    struct bytes value;
    bool bad;

    while (headers_next(&blob, &field, &value, &bad))
        if (bytes_equal_str(field, name))
            return value.data == NULL ? BYTES_LIT("") : value;
    return BYTES_NONE;
}

bool
headers_is_transport(struct bytes name)
{
    static const char *const names[] = {
        "connection", "content-length",    "expect",  "host", "http2-settings", "keep-alive", "proxy-connection", "te",
        "trailer",    "transfer-encoding", "upgrade",
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (bytes_equal_nocase(name, bytes_of(names[i])))
            return true;
    return false;
}

/* RFC 9110 section 5.6.2. */
static bool
is_token(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!is_letter && !(c >= '0' && c <= '9') && (c == 0 || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return name.len > 0;
}

bool
headers_line(struct buf *out, struct bytes name, struct bytes value, struct err *err)
{
    if (!is_token(name))
        return err_set(err, ERR_MALFORMED, 0, "'%.*s' is not a header name", (int)(name.len > 64 ? 64 : name.len),
                       (const char *)name.data);
    buf_append_bytes(out, name);
    buf_append_str(out, ": ");
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.data[i];
        if (c == '\0' || c == '\r' || c == '\n')
            return err_set(err, ERR_MALFORMED, 0, "header '%.*s' has a line end in its value", (int)name.len,
                           (const char *)name.data);
        if (c >= 0x80) {
            /* U+0080 to U+00FF: C2 xx or C3 xx. */
            if ((c != 0xC2 && c != 0xC3) || i + 1 == value.len || (value.data[i + 1] & 0xC0) != 0x80)
                return err_set(err, ERR_MALFORMED, 0, "header '%.*s' has characters above U+00FF in its value",
                               (int)name.len, (const char *)name.data);
            c = (uint8_t)((c & 3) << 6 | (value.data[++i] & 0x3F));
        }
        buf_append_byte(out, c);
    }
    return true;
}

void
latin1_to_utf8(struct buf *out, struct bytes in)
{
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.data[i];
        if (c >= 0x80)
            buf_append_byte(out, (uint8_t)(0xC0 | c >> 6));
        buf_append_byte(out, c >= 0x80 ? (uint8_t)(0x80 | (c & 0x3F)) : c);
    }
}

static struct bytes
trim(struct bytes b)
{
    while (b.len > 0 && (b.data[0] == ' ' || b.data[0] == '\t'))
        b = bytes_from(b.data + 1, b.len - 1);
    while (b.len > 0 && (b.data[b.len - 1] == ' ' || b.data[b.len - 1] == '\t'))
        b.len--;
    return b;
}

bool
headers_add_field(struct buf *blob, struct bytes name, struct bytes value)
{
    size_t start = blob->len;

    value = trim(value);
    if (!is_token(name) ||
        (value.len > 0 && (memchr(value.data, '\n', value.len) != NULL || memchr(value.data, '\0', value.len) != NULL)))
        return false;
    buf_append_bytes(blob, name);
    for (size_t i = start; i < blob->len; i++)
        if (blob->data[i] >= 'A' && blob->data[i] <= 'Z')
            blob->data[i] |= 0x20;
    buf_append_byte(blob, '\n');
    latin1_to_utf8(blob, value);
    buf_append_byte(blob, '\n');
    return true;
}

bool
headers_add_wire(struct buf *blob, struct bytes line)
{
    const uint8_t *colon = line.len == 0 ? NULL : memchr(line.data, ':', line.len);
    size_t name_len = colon == NULL ? 0 : (size_t)(colon - line.data);

    return colon != NULL &&
           headers_add_field(blob, bytes_from(line.data, name_len), bytes_from(colon + 1, line.len - name_len - 1));
}

void
headers_remove(struct buf *blob, const char *name)
{
    struct bytes rest = buf_view(blob);
    struct buf kept = { 0 };
    struct bytes field;
    struct bytes value;
    bool bad;

    while (headers_next(&rest, &field, &value, &bad)) {
        if (bytes_equal_str(field, name))
            continue;
        buf_append_bytes(&kept, field);
        buf_append_byte(&kept, '\n');
        buf_append_bytes(&kept, value);
        buf_append_byte(&kept, '\n');
    }
    buf_fini(blob);
    *blob = kept;
}
