/* ws_frame — see the header. */
#include "lib/wire/ws_frame.h"

#include <assert.h>
#include <string.h>

static enum ws_step
bad(struct ws_piece *out, uint16_t code)
{
    out->close_code = code;
    return WS_STEP_BAD;
}

/* How long the header is, as far as its bytes tell. */
static size_t
header_need(const struct ws_decoder *d)
{
    uint8_t len7;

    if (d->header_len < 2)
        return 2;
    len7 = d->header[1] & 0x7f;
    return 2 + 4 + (len7 == 126 ? 2u : len7 == 127 ? 8u : 0u);
}

static bool
first_bytes_are_valid(const struct ws_decoder *d)
{
    uint8_t opcode = d->header[0] & 0x0f;
    bool is_fin = (d->header[0] & 0x80) != 0;

    if ((d->header[0] & 0x70) != 0 || (d->header[1] & 0x80) == 0)
        return false;
    if (opcode >= 8)
        return opcode <= WS_OP_PONG && is_fin && (d->header[1] & 0x7f) <= WS_CONTROL_MAX_BYTES;
    if (opcode > WS_OP_BINARY)
        return false;
    return (opcode == WS_OP_CONTINUATION) == (d->message_opcode != 0);
}

/* The header is complete: start the frame. 0, or the code to close with. */
static uint16_t
frame_start(struct ws_decoder *d)
{
    uint8_t len7 = d->header[1] & 0x7f;
    size_t at = 2;
    uint64_t len = len7;

    if (len7 >= 126) {
        size_t n = len7 == 126 ? 2 : 8;
        len = 0;
        for (size_t i = 0; i < n; i++)
            len = len << 8 | d->header[at + i];
        at += n;
        if (len < (n == 2 ? 126u : 65536u) || len >> 63 != 0)
            return 1002;
    }
    memcpy(d->mask, d->header + at, sizeof d->mask);
    d->mask_at = 0;
    d->remaining = len;
    d->opcode = d->header[0] & 0x0f;
    d->is_fin = (d->header[0] & 0x80) != 0;
    d->is_in_frame = true;
    d->header_len = 0;
    d->control_len = 0;
    if (d->opcode < 8 && len > d->message_bytes_max - d->message_bytes)
        return 1009;
    return 0;
}

static void
unmask(struct ws_decoder *d, uint8_t *data, size_t len)
{
    uint8_t key[8];
    uint64_t word, key_word;
    size_t i = 0;

    for (size_t k = 0; k < sizeof key; k++)
        key[k] = d->mask[(d->mask_at + k) & 3];
    memcpy(&key_word, key, sizeof key_word);
    for (; len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, data + i, sizeof word);
        word ^= key_word;
        memcpy(data + i, &word, sizeof word);
    }
    for (size_t k = 0; i < len; i++, k++)
        data[i] ^= key[k];
    d->mask_at = (uint8_t)((d->mask_at + len) & 3);
}

static enum ws_step
control_piece(struct ws_decoder *d, const uint8_t *data, size_t len, struct ws_piece *out)
{
    memcpy(d->control + d->control_len, data, len);
    d->control_len = (uint8_t)(d->control_len + len);
    if (d->remaining > 0)
        return WS_STEP_MORE;
    d->is_in_frame = false;
    out->opcode = d->opcode;
    out->is_first = out->is_last = true;
    out->data = bytes_from(d->control, d->control_len);
    return WS_STEP_CONTROL;
}

static enum ws_step
data_piece(struct ws_decoder *d, const uint8_t *data, size_t len, struct ws_piece *out)
{
    out->is_first = d->message_bytes == 0 && d->opcode != WS_OP_CONTINUATION;
    if (d->opcode != WS_OP_CONTINUATION && d->message_opcode == 0) {
        d->message_opcode = d->opcode;
        memset(&d->text, 0, sizeof d->text);
    }
    d->message_bytes += len;
    out->opcode = d->message_opcode;
    out->data = bytes_from(data, len);
    out->is_last = d->remaining == 0 && d->is_fin;
    if (d->message_opcode == WS_OP_TEXT &&
        (!utf8_feed(&d->text, out->data) || (out->is_last && !utf8_is_complete(&d->text))))
        return bad(out, 1007);
    if (d->remaining == 0)
        d->is_in_frame = false;
    if (out->is_last) {
        d->message_opcode = 0;
        d->message_bytes = 0;
    }
    return WS_STEP_PIECE;
}

static enum ws_step
payload(struct ws_decoder *d, uint8_t **data, size_t *len, struct ws_piece *out)
{
    size_t n = *len < d->remaining ? *len : (size_t)d->remaining;
    uint8_t *at = *data;

    unmask(d, at, n);
    d->remaining -= n;
    *data += n;
    *len -= n;
    return d->opcode >= 8 ? control_piece(d, at, n, out) : data_piece(d, at, n, out);
}

enum ws_step
ws_decode(struct ws_decoder *d, uint8_t **data, size_t *len, struct ws_piece *out)
{
    assert(d->message_bytes_max > 0);

    for (;;) {
        if (d->is_in_frame && (*len > 0 || d->remaining == 0)) {
            enum ws_step step = payload(d, data, len, out);
            if (step != WS_STEP_MORE)
                return step;
        }
        while (!d->is_in_frame && *len > 0 && d->header_len < header_need(d)) {
            d->header[d->header_len++] = *(*data)++;
            (*len)--;
            if (d->header_len == 2 && !first_bytes_are_valid(d))
                return bad(out, 1002);
        }
        if (!d->is_in_frame && d->header_len >= 2 && d->header_len == header_need(d)) {
            uint16_t code = frame_start(d);
            if (code != 0)
                return bad(out, code);
            if (d->remaining == 0)
                continue;
        }
        if (*len == 0)
            return WS_STEP_MORE;
    }
}

void
ws_frame_header(struct buf *out, enum ws_opcode opcode, bool is_fin, size_t payload_len)
{
    uint8_t h[10];
    size_t n = 2;

    h[0] = (uint8_t)((is_fin ? 0x80 : 0) | opcode);
    if (payload_len < 126) {
        h[1] = (uint8_t)payload_len;
    } else if (payload_len < 65536) {
        h[1] = 126;
        h[2] = (uint8_t)(payload_len >> 8);
        h[3] = (uint8_t)payload_len;
        n = 4;
    } else {
        h[1] = 127;
        for (size_t i = 0; i < 8; i++)
            h[2 + i] = (uint8_t)((uint64_t)payload_len >> (56 - 8 * i));
        n = 10;
    }
    buf_append(out, h, n);
}

bool
ws_code_is_sendable(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

void
ws_frame_close(struct buf *out, uint16_t code, struct bytes reason)
{
    uint8_t c[2] = { (uint8_t)(code >> 8), (uint8_t)code };

    if (code == 1005) {
        ws_frame_header(out, WS_OP_CLOSE, true, 0);
        return;
    }
    assert(ws_code_is_sendable(code));
    if (reason.len > WS_CONTROL_MAX_BYTES - 2) {
        reason.len = WS_CONTROL_MAX_BYTES - 2;
        while (reason.len > 0 && (reason.data[reason.len] & 0xc0) == 0x80)
            reason.len--;
    }
    ws_frame_header(out, WS_OP_CLOSE, true, 2 + reason.len);
    buf_append(out, c, sizeof c);
    buf_append_bytes(out, reason);
}

bool
ws_close_parse(struct bytes p, uint16_t *out_code, struct bytes *out_reason)
{
    *out_reason = BYTES_NONE;
    *out_code = 1005;
    if (p.len == 0)
        return true;
    *out_code = 1002;
    if (p.len == 1 || !ws_code_is_sendable((uint16_t)(p.data[0] << 8 | p.data[1])))
        return false;
    *out_reason = bytes_from(p.data + 2, p.len - 2);
    if (!utf8_is_valid(*out_reason)) {
        *out_code = 1007;
        return false;
    }
    *out_code = (uint16_t)(p.data[0] << 8 | p.data[1]);
    return true;
}
