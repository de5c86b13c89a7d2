/*
 * url — see url.h. The basic URL parser of the standard (section 4.4), its states gathered into the functions they
 * form. A plain absolute http URL, which is nearly every one, is recognised by one pass over its bytes and copied.
 *
 * Threads: none; pure.
 */
#include "lib/wire/url.h"

#include <assert.h>
#include <string.h>

#include "lib/wire/url_fast.h"
#include "lib/wire/url_internal.h"

static struct bytes
from(struct bytes b, size_t at)
{
    return bytes_from(b.data + at, b.len - at);
}

static bool
is_alpha(uint8_t c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool
is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* ---- records -------------------------------------------------------------------------------------------------- */

static void
set_text(struct buf *to, struct bytes text)
{
    buf_clear(to);
    buf_append_bytes(to, text);
}

void
record_fini(struct url_record *r)
{
    buf_fini(&r->scheme);
    buf_fini(&r->username);
    buf_fini(&r->password);
    buf_fini(&r->host);
    buf_fini(&r->path);
    buf_fini(&r->query);
    buf_fini(&r->fragment);
}

enum url_scheme
scheme_kind(struct bytes scheme)
{
    static const struct {
        const char *name;
        enum url_scheme kind;
    } kinds[] = {
        { "http", SCHEME_HTTP }, { "https", SCHEME_HTTPS }, { "ws", SCHEME_WS },
        { "wss", SCHEME_WSS },   { "ftp", SCHEME_FTP },     { "file", SCHEME_FILE },
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (bytes_equal_str(scheme, kinds[i].name))
            return kinds[i].kind;
    return SCHEME_OTHER;
}

int32_t
scheme_default_port(enum url_scheme kind)
{
    static const int32_t ports[] = {
        [SCHEME_OTHER] = -1, [SCHEME_HTTP] = 80, [SCHEME_HTTPS] = 443, [SCHEME_WS] = 80,
        [SCHEME_WSS] = 443,  [SCHEME_FTP] = 21,  [SCHEME_FILE] = -1,
    };

    return ports[kind];
}

/* Whether the path is opaque can be told from the text: "scheme:" followed by neither "/" nor an authority. */
void
record_from_url(struct url_record *r, const struct url *url)
{
    struct bytes protocol = url_protocol(url);
    struct bytes href = buf_view(&url->href);
    struct bytes search = url_search(url);
    struct bytes hash = url_hash(url);
    struct bytes path = url_pathname(url);

    set_text(&r->scheme, bytes_from(protocol.data, protocol.len - 1));
    r->kind = scheme_kind(buf_view(&r->scheme));
    r->has_host = url->username_start > url->protocol_end; /* "//" stands between */
    set_text(&r->username, url_username(url));
    set_text(&r->password, url_password(url));
    set_text(&r->host, bytes_from(href.data + url->host_start, url->host_end - url->host_start));
    r->port = url->port;
    set_text(&r->path, path);
    r->has_opaque_path = !r->has_host && (path.len == 0 || path.data[0] != '/');
    r->has_query = url->search_start >= 0;
    r->has_fragment = url->hash_start >= 0;
    set_text(&r->query, search.len == 0 ? BYTES_NONE : from(search, 1));
    set_text(&r->fragment, hash.len == 0 ? BYTES_NONE : from(hash, 1));
}

static void
write_authority(const struct url_record *r, struct url *url)
{
    struct buf *out = &url->href;

    if (r->has_host)
        buf_append(out, "//", 2);
    url->username_start = (uint32_t)out->len;
    if (r->username.len > 0 || r->password.len > 0) {
        buf_append_bytes(out, buf_view(&r->username));
        if (r->password.len > 0) {
            buf_append_byte(out, ':');
            buf_append_bytes(out, buf_view(&r->password));
        }
        buf_append_byte(out, '@');
    }
    url->host_start = (uint32_t)out->len;
    buf_append_bytes(out, buf_view(&r->host));
    url->host_end = (uint32_t)out->len;
    url->port = r->port;
    if (r->port >= 0)
        buf_printf(out, ":%d", r->port);
}

void
record_to_url(const struct url_record *r, struct url *url)
{
    struct buf *out = &url->href;

    buf_clear(out);
    buf_reserve(out, r->scheme.len + r->username.len + r->password.len + r->host.len + r->path.len + r->query.len +
                         r->fragment.len + 32);
    buf_append_bytes(out, buf_view(&r->scheme));
    buf_append_byte(out, ':');
    url->protocol_end = (uint32_t)out->len;
    write_authority(r, url);
    /* Without a host, a path that begins with "//" would be read as an authority. */
    if (!r->has_host && !r->has_opaque_path && r->path.len > 1 && r->path.data[0] == '/' && r->path.data[1] == '/')
        buf_append(out, "/.", 2);
    url->pathname_start = (uint32_t)out->len;
    buf_append_bytes(out, buf_view(&r->path));
    url->search_start = url->hash_start = -1;
    if (r->has_query) {
        url->search_start = (int32_t)out->len;
        buf_append_byte(out, '?');
        buf_append_bytes(out, buf_view(&r->query));
    }
    if (r->has_fragment) {
        url->hash_start = (int32_t)out->len;
        buf_append_byte(out, '#');
        buf_append_bytes(out, buf_view(&r->fragment));
    }
}

/* ---- paths ---------------------------------------------------------------------------------------------------- */

bool
is_windows_drive(struct bytes text)
{
    return text.len == 2 && is_alpha(text.data[0]) && (text.data[1] == ':' || text.data[1] == '|');
}

/* Starts with a drive letter that ends there or before a separator. */
static bool
starts_with_windows_drive(struct bytes text)
{
    return text.len >= 2 && is_windows_drive(bytes_from(text.data, 2)) &&
           (text.len == 2 || memchr("/\\?#", text.data[2], 4) != NULL);
}

static void
shorten_path(struct url_record *r)
{
    struct buf *path = &r->path;

    if (r->kind == SCHEME_FILE && path->len == 3 && is_alpha(path->data[1]) && path->data[2] == ':')
        return;
    while (path->len > 0 && path->data[--path->len] != '/')
        ;
}

/* How many dots a segment stands for, counting "%2e": 1 or 2, else 0. */
static int
dots(struct bytes segment)
{
    int count = 0;

    while (segment.len > 0) {
        if (segment.data[0] == '.')
            segment = from(segment, 1);
        else if (segment.len >= 3 && bytes_equal_nocase(bytes_from(segment.data, 3), BYTES_LIT("%2e")))
            segment = from(segment, 3);
        else
            return 0;
        count++;
    }
    return count <= 2 ? count : 0;
}

static void
add_segment(struct url_record *r, struct bytes segment, bool at_slash)
{
    struct buf *path = &r->path;
    size_t start;

    switch (dots(segment)) {
    case 2:
        shorten_path(r);
        if (!at_slash)
            buf_append_byte(path, '/');
        return;
    case 1:
        if (!at_slash)
            buf_append_byte(path, '/');
        return;
    default:
        break;
    }
    start = path->len;
    buf_append_byte(path, '/');
    percent_encode(path, segment, SET_PATH);
    if (r->kind == SCHEME_FILE && start == 0 && is_windows_drive(segment))
        path->data[2] = ':';
}

/* The path state: IN begins behind the slash of its first segment. */
size_t
parse_path(struct url_record *r, struct bytes in, enum path_mode mode)
{
    bool is_special = scheme_is_special(r->kind);
    size_t start = 0;
    size_t at;

    for (at = 0;; at++) {
        uint8_t c = at < in.len ? in.data[at] : 0;
        bool at_slash = at < in.len && (c == '/' || (c == '\\' && is_special));
        bool at_end = at == in.len || (mode == PATH_WHOLE && (c == '?' || c == '#'));
        if (!at_slash && !at_end)
            continue;
        add_segment(r, bytes_from(in.data + start, at - start), at_slash);
        start = at + 1;
        if (at_end)
            return at;
    }
}

static size_t
parse_opaque_path(struct url_record *r, struct bytes in)
{
    size_t end = 0;

    while (end < in.len && in.data[end] != '?' && in.data[end] != '#')
        end++;
    r->has_opaque_path = true;
    percent_encode(&r->path, bytes_from(in.data, end), SET_C0);
    /* A space right before "?" or "#" would be lost when that part is removed and the URL is parsed again. */
    if (end > 0 && end < in.len && in.data[end - 1] == ' ') {
        r->path.len--;
        buf_append(&r->path, "%20", 3);
    }
    return end;
}

void
parse_query(struct url_record *r, struct bytes in)
{
    r->has_query = true;
    buf_clear(&r->query);
    percent_encode(&r->query, in, scheme_is_special(r->kind) ? SET_SPECIAL_QUERY : SET_QUERY);
}

void
parse_fragment(struct url_record *r, struct bytes in)
{
    r->has_fragment = true;
    buf_clear(&r->fragment);
    percent_encode(&r->fragment, in, SET_FRAGMENT);
}

/* What follows a path: nothing, "?…", "#…". */
static void
parse_tail(struct url_record *r, struct bytes in)
{
    const uint8_t *hash = in.len == 0 ? NULL : memchr(in.data, '#', in.len);
    size_t query_end = hash == NULL ? in.len : (size_t)(hash - in.data);

    if (in.len > 0 && in.data[0] == '?')
        parse_query(r, bytes_from(in.data + 1, query_end - 1));
    if (hash != NULL)
        parse_fragment(r, from(in, query_end + 1));
}

static bool
parse_path_and_tail(struct url_record *r, struct bytes in)
{
    parse_tail(r, from(in, parse_path(r, in, PATH_WHOLE)));
    return true;
}

/* The path start state. */
static bool
parse_path_start(struct url_record *r, struct bytes in)
{
    bool is_special = scheme_is_special(r->kind);

    if (in.len > 0 && (in.data[0] == '/' || (in.data[0] == '\\' && is_special)))
        return parse_path_and_tail(r, from(in, 1));
    if (is_special || (in.len > 0 && in.data[0] != '?' && in.data[0] != '#'))
        return parse_path_and_tail(r, in);
    parse_tail(r, in);
    return true;
}

/* ---- authority ------------------------------------------------------------------------------------------------ */

bool
is_host_end(const struct url_record *r, uint8_t c)
{
    return c == '/' || c == '?' || c == '#' || (c == '\\' && scheme_is_special(r->kind));
}

bool
parse_port_digits(struct url_record *r, struct bytes digits)
{
    int32_t port = 0;

    assert(digits.len > 0);
    for (size_t i = 0; i < digits.len; i++) {
        port = port * 10 + (digits.data[i] - '0');
        if (port > 65535)
            return false;
    }
    r->port = port == scheme_default_port(r->kind) ? -1 : port;
    return true;
}

static bool
parse_port(struct url_record *r, struct bytes in)
{
    for (size_t i = 0; i < in.len; i++)
        if (!is_digit(in.data[i]))
            return false;
    return in.len == 0 || parse_port_digits(r, in);
}

static void
parse_credentials(struct url_record *r, struct bytes in)
{
    const uint8_t *colon = memchr(in.data, ':', in.len);
    size_t name_len = colon == NULL ? in.len : (size_t)(colon - in.data);

    percent_encode(&r->username, bytes_from(in.data, name_len), SET_USERINFO);
    if (colon != NULL)
        percent_encode(&r->password, from(in, name_len + 1), SET_USERINFO);
}

/* The colon before the port: the first one outside brackets. */
static size_t
find_port_colon(struct bytes in)
{
    bool in_brackets = false;

    for (size_t i = 0; i < in.len; i++) {
        if (in.data[i] == '[')
            in_brackets = true;
        else if (in.data[i] == ']')
            in_brackets = false;
        else if (in.data[i] == ':' && !in_brackets)
            return i;
    }
    return in.len;
}

/* The authority, host and port states: IN begins behind "//". */
static bool
parse_authority(struct url_record *r, struct bytes in)
{
    bool is_special = scheme_is_special(r->kind);
    struct bytes host;
    size_t end = 0;
    size_t at_sign = SIZE_MAX;
    size_t colon;

    for (; end < in.len && !is_host_end(r, in.data[end]); end++)
        if (in.data[end] == '@')
            at_sign = end;
    host = bytes_from(in.data, end);
    if (at_sign != SIZE_MAX) {
        parse_credentials(r, bytes_from(in.data, at_sign));
        host = from(host, at_sign + 1);
        if (host.len == 0)
            return false;
    }
    colon = find_port_colon(host);
    if (colon == 0 && (is_special || host.len > 0))
        return false;
    r->has_host = true;
    if (!host_parse(&r->host, bytes_from(host.data, colon), !is_special))
        return false;
    if (colon < host.len && !parse_port(r, from(host, colon + 1)))
        return false;
    return parse_path_start(r, from(in, end));
}

static bool
parse_authority_behind_slashes(struct url_record *r, struct bytes in)
{
    while (in.len > 0 && (in.data[0] == '/' || in.data[0] == '\\'))
        in = from(in, 1);
    return parse_authority(r, in);
}

/* ---- file: ---------------------------------------------------------------------------------------------------- */

/* The file host state: IN begins behind two slashes. */
static bool
parse_file_host(struct url_record *r, struct bytes in)
{
    size_t end = 0;

    while (end < in.len && !is_host_end(r, in.data[end]))
        end++;
    if (is_windows_drive(bytes_from(in.data, end)))
        return parse_path_and_tail(r, in); /* no host: the drive is the first segment */
    buf_clear(&r->host);
    if (end > 0) {
        if (!host_parse(&r->host, bytes_from(in.data, end), false))
            return false;
        if (bytes_equal_str(buf_view(&r->host), "localhost"))
            buf_clear(&r->host);
    }
    return parse_path_start(r, from(in, end));
}

/* The file slash state: IN begins behind one slash. */
static bool
parse_file_slash(struct url_record *r, struct bytes in, const struct url_record *base)
{
    if (in.len > 0 && (in.data[0] == '/' || in.data[0] == '\\'))
        return parse_file_host(r, from(in, 1));
    if (base != NULL && base->kind == SCHEME_FILE) {
        struct bytes path = buf_view(&base->path);
        set_text(&r->host, buf_view(&base->host));
        if (!starts_with_windows_drive(in) && path.len >= 3 && is_alpha(path.data[1]) && path.data[2] == ':' &&
            (path.len == 3 || path.data[3] == '/'))
            buf_append(&r->path, path.data, 3);
    }
    return parse_path_and_tail(r, in);
}

static void
copy_query(struct url_record *r, const struct url_record *base)
{
    r->has_query = base->has_query;
    set_text(&r->query, buf_view(&base->query));
}

static bool
parse_file(struct url_record *r, struct bytes in, const struct url_record *base)
{
    r->has_host = true;
    buf_clear(&r->host);
    if (in.len > 0 && (in.data[0] == '/' || in.data[0] == '\\'))
        return parse_file_slash(r, from(in, 1), base);
    if (base == NULL || base->kind != SCHEME_FILE)
        return parse_path_and_tail(r, in);
    set_text(&r->host, buf_view(&base->host));
    set_text(&r->path, buf_view(&base->path));
    if (in.len == 0 || in.data[0] == '?' || in.data[0] == '#') {
        copy_query(r, base);
        parse_tail(r, in);
        return true;
    }
    if (starts_with_windows_drive(in))
        buf_clear(&r->path);
    else
        shorten_path(r);
    return parse_path_and_tail(r, in);
}

/* ---- relative ------------------------------------------------------------------------------------------------- */

static void
copy_authority(struct url_record *r, const struct url_record *base)
{
    r->has_host = base->has_host;
    r->port = base->port;
    set_text(&r->username, buf_view(&base->username));
    set_text(&r->password, buf_view(&base->password));
    set_text(&r->host, buf_view(&base->host));
}

/* The relative and relative slash states, for a base that is not a file. */
static bool
parse_relative(struct url_record *r, struct bytes in, const struct url_record *base)
{
    bool is_special = scheme_is_special(base->kind);

    set_text(&r->scheme, buf_view(&base->scheme));
    r->kind = base->kind;
    if (in.len > 0 && (in.data[0] == '/' || (is_special && in.data[0] == '\\'))) {
        in = from(in, 1);
        if (is_special && in.len > 0 && (in.data[0] == '/' || in.data[0] == '\\'))
            return parse_authority_behind_slashes(r, from(in, 1));
        if (in.len > 0 && in.data[0] == '/')
            return parse_authority(r, from(in, 1));
        copy_authority(r, base);
        return parse_path_and_tail(r, in);
    }
    copy_authority(r, base);
    set_text(&r->path, buf_view(&base->path));
    if (in.len == 0 || in.data[0] == '?' || in.data[0] == '#') {
        copy_query(r, base);
        parse_tail(r, in);
        return true;
    }
    shorten_path(r);
    return parse_path_and_tail(r, in);
}

static bool
parse_without_scheme(struct url_record *r, struct bytes in, const struct url_record *base)
{
    if (base == NULL || (base->has_opaque_path && (in.len == 0 || in.data[0] != '#')))
        return false;
    if (base->kind == SCHEME_FILE) {
        set_text(&r->scheme, buf_view(&base->scheme));
        r->kind = SCHEME_FILE;
        return parse_file(r, in, base);
    }
    if (!base->has_opaque_path)
        return parse_relative(r, in, base);
    set_text(&r->scheme, buf_view(&base->scheme));
    set_text(&r->path, buf_view(&base->path));
    r->has_opaque_path = true;
    copy_query(r, base);
    parse_fragment(r, from(in, 1));
    return true;
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

/* The length of the scheme that IN begins with, or 0. */
static size_t
scheme_len(struct bytes in)
{
    size_t i;

    if (in.len == 0 || !is_alpha(in.data[0]))
        return 0;
    for (i = 1; i < in.len; i++) {
        uint8_t c = in.data[i];
        if (c == ':')
            return i;
        if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.')
            return 0;
    }
    return 0;
}

static bool
parse_behind_scheme(struct url_record *r, struct bytes in, const struct url_record *base)
{
    bool has_slash = in.len > 0 && in.data[0] == '/';
    bool has_two = has_slash && in.len > 1 && in.data[1] == '/';

    if (r->kind == SCHEME_FILE)
        return parse_file(r, in, base);
    if (scheme_is_special(r->kind) && base != NULL && base->kind == r->kind && !has_two)
        return parse_relative(r, in, base);
    if (scheme_is_special(r->kind))
        return parse_authority_behind_slashes(r, in);
    if (has_two)
        return parse_authority(r, from(in, 2));
    if (has_slash)
        return parse_path_and_tail(r, from(in, 1));
    parse_tail(r, from(in, parse_opaque_path(r, in)));
    return true;
}

static bool
record_parse(struct url_record *r, struct bytes in, const struct url_record *base)
{
    size_t scheme = scheme_len(in);

    r->port = -1;
    if (scheme == 0)
        return parse_without_scheme(r, in, base);
    set_text(&r->scheme, bytes_from(in.data, scheme));
    for (size_t i = 0; i < scheme; i++)
        if (r->scheme.data[i] >= 'A' && r->scheme.data[i] <= 'Z')
            r->scheme.data[i] |= 0x20;
    r->kind = scheme_kind(buf_view(&r->scheme));
    return parse_behind_scheme(r, from(in, scheme + 1), base);
}

struct bytes
without_tab_newline(struct bytes in, struct buf *scratch)
{
    size_t i = 0;

    while (i < in.len && in.data[i] != '\t' && in.data[i] != '\n' && in.data[i] != '\r')
        i++;
    if (i == in.len)
        return in;
    buf_clear(scratch);
    buf_reserve(scratch, in.len);
    for (i = 0; i < in.len; i++)
        if (in.data[i] != '\t' && in.data[i] != '\n' && in.data[i] != '\r')
            scratch->data[scratch->len++] = in.data[i];
    return buf_view(scratch);
}

bool
url_parse_slow(struct url *out_url, struct bytes input, const struct url *base)
{
    struct url_record record = { 0 };
    struct url_record base_record = { 0 };
    struct buf scratch = { 0 };
    bool ok;

    while (input.len > 0 && input.data[0] <= ' ')
        input = from(input, 1);
    while (input.len > 0 && input.data[input.len - 1] <= ' ')
        input.len--;
    input = without_tab_newline(input, &scratch);
    if (base != NULL)
        record_from_url(&base_record, base);
    ok = record_parse(&record, input, base == NULL ? NULL : &base_record);
    if (ok)
        record_to_url(&record, out_url);
    record_fini(&record);
    record_fini(&base_record);
    buf_fini(&scratch);
    return ok;
}

bool
url_parse(struct url *out_url, struct bytes input, const struct url *base)
{
    if (input.len > URL_PARSE_MAX_BYTES)
        return false;
    return url_parse_fast(out_url, input) || url_parse_slow(out_url, input, base);
}

void
url_fini(struct url *url)
{
    buf_fini(&url->href);
    *url = (struct url){ 0 };
}
