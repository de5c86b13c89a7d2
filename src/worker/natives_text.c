/* natives_text — text, encodings, digests (docs/host-interface.md). */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "src/worker/natives.h"

/* ---- UTF-8 ---- */

jsval
native_utf8(NATIVE_PARAMS)
{
    struct bytes text;

    if (!js_to_utf8(ARG(0), &text))
        return JSV_EXCEPTION;
    return js_new_uint8_array(text);
}

/* Writes whole characters only; answers [UTF-16 units read, bytes written] as encodeInto (Encoding Standard). */
jsval
native_utf8_into(NATIVE_PARAMS)
{
    struct bytes text, view;
    size_t written = 0, read = 0;
    jsval pair;

    if (!js_to_utf8(ARG(0), &text))
        return JSV_EXCEPTION;
    if (!js_view_bytes(ARG(1), &view))
        return js_throw_type("utf8Into takes a view");
    while (written < text.len) {
        uint8_t lead = text.data[written];
        size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

        if (n > view.len - written || n > text.len - written)
            break;
        written += n;
        read += n == 4 ? 2 : 1;
    }
    if (written > 0)
        memcpy((uint8_t *)(uintptr_t)view.data, text.data, written);
    pair = js_new_array();
    if (!js_set_index(pair, 0, js_new_number((double)read)) || !js_set_index(pair, 1, js_new_number((double)written)))
        return JSV_EXCEPTION;
    return pair;
}

/* Length of the well-formed UTF-8 sequence at P (Unicode table 3-7), or 0; *out_bad: how many bytes one U+FFFD stands for. */
static size_t
utf8_step(const uint8_t *p, size_t left, size_t *out_bad)
{
    uint8_t lo = 0x80, hi = 0xbf;
    size_t need;

    *out_bad = 1;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    need = p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : 3;
    lo = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : lo;
    hi = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : hi;
    for (size_t i = 1; i <= need; i++, lo = 0x80, hi = 0xbf) {
        if (i >= left || p[i] < lo || p[i] > hi) {
            *out_bad = i;
            return 0;
        }
    }
    return need + 1;
}

static size_t
ascii_prefix(struct bytes b)
{
    size_t i = 0;

    while (i < b.len && b.data[i] < 0x80)
        i++;
    return i;
}

/* Decodes with U+FFFD for what is not UTF-8 (Encoding Standard, UTF-8 decoder). */
static jsval
decode_lossy(struct bytes in, bool is_fatal)
{
    uint8_t *out = guest_scratch(in.len * 3 + 1);
    size_t n = 0;

    for (size_t at = 0; at < in.len;) {
        size_t bad, step = utf8_step(in.data + at, in.len - at, &bad);

        if (step == 0 && is_fatal)
            return js_throw_type("Failed to decode input.");
        memcpy(out + n, step > 0 ? in.data + at : (const uint8_t *)"\xef\xbf\xbd", step > 0 ? step : 3);
        n += step > 0 ? step : 3;
        at += step > 0 ? step : bad;
    }
    return js_new_string(bytes_from(out, n));
}

jsval
native_text(NATIVE_PARAMS)
{
    bool is_fatal = js_to_bool(ARG(1)), keeps_bom = js_to_bool(ARG(2));
    struct bytes in;

    if (!js_view_bytes(ARG(0), &in))
        return js_throw_type("text takes bytes");
    if (!keeps_bom && in.len >= 3 && memcmp(in.data, "\xef\xbb\xbf", 3) == 0)
        in = bytes_from(in.data + 3, in.len - 3);
    if (ascii_prefix(in) == in.len) {
        /* The view lies in guest memory, which may move under the copy: take it out first. */
        void *copy = guest_scratch(in.len + 1);

        if (in.len > 0)
            memcpy(copy, in.data, in.len);
        return js_new_string(bytes_from(copy, in.len));
    }
    return decode_lossy(in, is_fatal);
}

jsval
native_latin1(NATIVE_PARAMS)
{
    struct bytes in;

    if (!js_to_bytes(ARG(0), "the input", &in))
        return JSV_EXCEPTION;
    return js_new_string_latin1(in);
}

/* ---- base64 and hex ---- */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* btoa: a binary string; undefined when it has a character above U+00FF. */
jsval
native_btoa(NATIVE_PARAMS)
{
    const uint16_t *units;
    size_t len, n = 0;
    uint8_t *out;

    if (!js_to_utf16(ARG(0), &units, &len))
        return JSV_EXCEPTION;
    out = guest_scratch((len + 2) / 3 * 4 + 1);
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t v;

        for (size_t k = 0; k < 3 && k < left; k++)
            if (units[i + k] > 0xff)
                return JSV_UNDEFINED;
        v = (uint32_t)units[i] << 16 | (left > 1 ? (uint32_t)units[i + 1] << 8 : 0) | (left > 2 ? units[i + 2] : 0u);
        out[n++] = (uint8_t)base64_digits[v >> 18];
        out[n++] = (uint8_t)base64_digits[v >> 12 & 63];
        out[n++] = left > 1 ? (uint8_t)base64_digits[v >> 6 & 63] : '=';
        out[n++] = left > 2 ? (uint8_t)base64_digits[v & 63] : '=';
    }
    return js_new_string(bytes_from(out, n));
}

static int
base64_value(uint16_t c)
{
    const char *at = c < 0x80 && c != 0 ? strchr(base64_digits, c) : NULL;

    return at != NULL ? (int)(at - base64_digits) : -1;
}

/* Forgiving-base64 decode (Infra Standard, section 6); undefined when invalid. */
jsval
native_atob(NATIVE_PARAMS)
{
    const uint16_t *units;
    size_t len, digits = 0, pads = 0, n = 0;
    uint32_t v = 0;
    uint8_t *out;

    if (!js_to_utf16(ARG(0), &units, &len))
        return JSV_EXCEPTION;
    out = guest_scratch(len + 1);
    for (size_t i = 0; i < len; i++) {
        uint16_t c = units[i];
        int value;

        if (c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r')
            continue;
        if (c == '=') {
            pads++;
            continue;
        }
        value = base64_value(c);
        if (value < 0 || pads > 0)
            return JSV_UNDEFINED;
        v = v << 6 | (uint32_t)value;
        if (++digits % 4 == 0) {
            out[n++] = (uint8_t)(v >> 16);
            out[n++] = (uint8_t)(v >> 8);
            out[n++] = (uint8_t)v;
            v = 0;
        }
    }
    if (digits % 4 == 1 || pads > 2 || (pads > 0 && (digits + pads) % 4 != 0))
        return JSV_UNDEFINED;
    if (digits % 4 == 2)
        out[n++] = (uint8_t)(v >> 4);
    if (digits % 4 == 3) {
        out[n++] = (uint8_t)(v >> 10);
        out[n++] = (uint8_t)(v >> 2);
    }
    return js_new_string_latin1(bytes_from(out, n));
}

jsval
native_hex(NATIVE_PARAMS)
{
    static const char digits[] = "0123456789abcdef";
    struct bytes in;
    uint8_t *out;

    if (!js_to_bytes(ARG(0), "the input", &in))
        return JSV_EXCEPTION;
    out = guest_scratch(in.len * 2 + 1);
    for (size_t i = 0; i < in.len; i++) {
        out[2 * i] = (uint8_t)digits[in.data[i] >> 4];
        out[2 * i + 1] = (uint8_t)digits[in.data[i] & 15];
    }
    return js_new_string(bytes_from(out, in.len * 2));
}

/* ---- digests ---- */

static const EVP_MD *
digest_arg(jsval v)
{
    static const struct { const char *name; const EVP_MD *(*md)(void); } known[] = {
        { "SHA-1", EVP_sha1 }, { "SHA-256", EVP_sha256 }, { "SHA-384", EVP_sha384 }, { "SHA-512", EVP_sha512 }, { "MD5", EVP_md5 },
    };
    struct bytes name;

    if (!js_to_utf8(v, &name))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (bytes_equal_str(name, known[i].name))
            return known[i].md();
    js_throw_dom("NotSupportedError", "Unrecognized or unimplemented digest algorithm \"%.64s\".", (const char *)name.data);
    return NULL;
}

jsval
native_digest(NATIVE_PARAMS)
{
    const EVP_MD *md = digest_arg(ARG(0));
    uint8_t out[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct bytes in;

    if (md == NULL || !js_to_bytes(ARG(1), "the input", &in))
        return JSV_EXCEPTION;
    if (EVP_Digest(in.data, in.len, out, &len, md, NULL) != 1)
        return js_throw_error("the digest failed");
    return js_new_array_buffer(bytes_from(out, len));
}

jsval
native_hmac(NATIVE_PARAMS)
{
    const EVP_MD *md = digest_arg(ARG(0));
    uint8_t out[EVP_MAX_MD_SIZE], *key_copy;
    struct bytes key, in;
    unsigned len = 0;

    if (md == NULL || !js_to_bytes(ARG(1), "the key", &key))
        return JSV_EXCEPTION;
    if (key.len > INT32_MAX)
        return js_throw_range("the key is too long");
    key_copy = guest_scratch(key.len + 1);
    if (key.len > 0)
        memcpy(key_copy, key.data, key.len);
    if (!js_to_bytes(ARG(2), "the input", &in))
        return JSV_EXCEPTION;
    if (HMAC(md, key_copy, (int)key.len, in.data, in.len, out, &len) == NULL)
        return js_throw_error("the HMAC failed");
    return js_new_array_buffer(bytes_from(out, len));
}

jsval
native_equal(NATIVE_PARAMS)
{
    struct bytes a, b;

    if (!js_view_bytes(ARG(0), &a) || !js_view_bytes(ARG(1), &b) || a.len != b.len)
        return JSV_FALSE;
    return js_new_bool(a.len == 0 || CRYPTO_memcmp(a.data, b.data, a.len) == 0);
}
