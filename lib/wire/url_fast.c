/*
 * url_fast — recognises an absolute http(s) or ws(s) URL that is canonical already, in one pass.
 *
 * Promise: when it says yes, the slow parser would give the same text and the same parts (a fuzzer compares the two).
 * It says no whenever there is anything to decide: dots that may be segments, ports that may be the default, numbers
 * that may be addresses, letters that need lowering, bytes that need encoding.
 */
#include <string.h>

#include "lib/wire/url_internal.h"
#include "lib/wire/url_fast.h"

enum { PLAIN_HOST = 1, PLAIN_PATH = 2, PLAIN_QUERY = 4, PLAIN_HASH = 8 };

#define TEXT (PLAIN_PATH | PLAIN_QUERY | PLAIN_HASH)

/* Which bytes may stand where without a decision. "?" and "#" end a part and are handled by the walk. */
static const uint8_t plain[256] = {
    ['a' ... 'z'] = TEXT | PLAIN_HOST,
    ['0' ... '9'] = TEXT | PLAIN_HOST,
    ['A' ... 'Z'] = TEXT,
    ['-'] = TEXT | PLAIN_HOST,
    ['.'] = TEXT | PLAIN_HOST,
    ['_'] = TEXT,
    ['~'] = TEXT,
    ['!'] = TEXT,
    ['$'] = TEXT,
    ['%'] = TEXT,
    ['&'] = TEXT,
    ['('] = TEXT,
    [')'] = TEXT,
    ['*'] = TEXT,
    ['+'] = TEXT,
    [','] = TEXT,
    ['/'] = TEXT,
    [':'] = TEXT,
    [';'] = TEXT,
    ['='] = TEXT,
    ['@'] = TEXT,
};

static size_t
skip(struct bytes in, size_t at, uint8_t kind)
{
    while (at < in.len && (plain[in.data[at]] & kind) != 0)
        at++;
    return at;
}

/* Four decimal numbers up to 255 without leading zeros: what the slow parser would write. */
static bool
is_canonical_ipv4(struct bytes host)
{
    size_t at = 0;

    for (int part = 0; part < 4; part++) {
        size_t start = at;
        unsigned value = 0;
        while (at < host.len && at < start + 3 && host.data[at] >= '0' && host.data[at] <= '9')
            value = value * 10 + (host.data[at++] - '0');
        if (at == start || value > 255 || (host.data[start] == '0' && at > start + 1))
            return false;
        if (part < 3 && (at == host.len || host.data[at++] != '.'))
            return false;
    }
    return at == host.len;
}

/* A canonical address, or a name: no number at the end (it might be an address), nor "xn--" (to be checked), nor
 * nothing. */
static bool
is_plain_host(struct bytes host)
{
    size_t label = host.len;

    if (host.len == 0 || host.data[host.len - 1] == '.')
        return false;
    while (label > 0 && host.data[label - 1] != '.')
        label--;
    if (host.data[label] >= '0' && host.data[label] <= '9')
        return is_canonical_ipv4(host);
    return host.len < 4 || memmem(host.data, host.len, "xn--", 4) == NULL;
}

/* Digits without leading zero that are not the default. */
static bool
plain_port(struct bytes in, size_t *at, int32_t default_port, int32_t *out)
{
    int32_t port = 0;
    size_t start = *at;

    while (*at < in.len && in.data[*at] >= '0' && in.data[*at] <= '9' && port <= 65535)
        port = port * 10 + (in.data[(*at)++] - '0');
    if (*at == start || in.data[start] == '0' || port > 65535 || port == default_port)
        return false;
    *out = port;
    return true;
}

/* A segment that begins with "." or "%" may be a dot segment. */
static bool
plain_path(struct bytes in, size_t *at)
{
    size_t end = skip(in, *at, PLAIN_PATH);

    for (size_t i = *at; i + 1 < end; i++)
        if (in.data[i] == '/' && (in.data[i + 1] == '.' || in.data[i + 1] == '%'))
            return false;
    *at = end;
    return true;
}

static bool
scheme_prefix(struct bytes in, size_t *out_len, enum url_scheme *out_kind)
{
    static const struct {
        struct bytes text;
        enum url_scheme kind;
    } prefixes[] = {
        { { (const uint8_t *)"http://", 7 }, SCHEME_HTTP },
        { { (const uint8_t *)"https://", 8 }, SCHEME_HTTPS },
        { { (const uint8_t *)"ws://", 5 }, SCHEME_WS },
        { { (const uint8_t *)"wss://", 6 }, SCHEME_WSS },
    };

    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        if (!bytes_has_prefix(in, prefixes[i].text))
            continue;
        *out_len = prefixes[i].text.len;
        *out_kind = prefixes[i].kind;
        return true;
    }
    return false;
}

bool
url_parse_fast(struct url *out_url, struct bytes in)
{
    struct url url = { .port = -1, .search_start = -1, .hash_start = -1 };
    enum url_scheme kind;
    size_t start;
    size_t at;

    if (!scheme_prefix(in, &start, &kind))
        return false;
    at = skip(in, start, PLAIN_HOST);
    if (!is_plain_host(bytes_from(in.data + start, at - start)))
        return false;
    url.protocol_end = (uint32_t)start - 2;
    url.username_start = url.host_start = (uint32_t)start;
    url.host_end = (uint32_t)at;
    if (at < in.len && in.data[at] == ':') {
        at++;
        if (!plain_port(in, &at, scheme_default_port(kind), &url.port))
            return false;
    }
    if (at == in.len || in.data[at] != '/')
        return false;
    url.pathname_start = (uint32_t)at;
    if (!plain_path(in, &at))
        return false;
    if (at < in.len && in.data[at] == '?') {
        url.search_start = (int32_t)at;
        while (at < in.len && ((plain[in.data[at]] & PLAIN_QUERY) != 0 || in.data[at] == '?'))
            at++;
    }
    if (at < in.len && in.data[at] == '#') {
        url.hash_start = (int32_t)at;
        at = skip(in, at + 1, PLAIN_HASH);
    }
    if (at != in.len)
        return false;
    url.href = out_url->href;
    *out_url = url;
    buf_clear(&out_url->href);
    buf_append_bytes(&out_url->href, in);
    return true;
}
