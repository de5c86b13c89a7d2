/*
 * url_set — the attributes of the URL class (section 6.1): reading parts, and the setters.
 *
 * Each setter is the basic URL parser entered at one state. They work on a record and write the text anew, which costs
 * about one parse and keeps every rule in one place. Threads: none; pure.
 */
#include <string.h>

#include "lib/wire/url_internal.h"

/* ---- parts ---------------------------------------------------------------------------------------------------- */

static struct bytes
slice(const struct url *url, size_t start, size_t end)
{
    return bytes_from(url->href.data + start, end - start);
}

struct bytes
url_protocol(const struct url *url)
{
    return slice(url, 0, url->protocol_end);
}

/* "user:password" without the "@". */
static struct bytes
credentials(const struct url *url)
{
    if (url->username_start == url->host_start)
        return BYTES_NONE;
    return slice(url, url->username_start, url->host_start - 1);
}

struct bytes
url_username(const struct url *url)
{
    struct bytes both = credentials(url);
    const uint8_t *colon = both.len == 0 ? NULL : memchr(both.data, ':', both.len);

    return colon == NULL ? both : bytes_from(both.data, (size_t)(colon - both.data));
}

struct bytes
url_password(const struct url *url)
{
    struct bytes both = credentials(url);
    const uint8_t *colon = both.len == 0 ? NULL : memchr(both.data, ':', both.len);

    return colon == NULL ? BYTES_NONE : bytes_from(colon + 1, (size_t)(both.data + both.len - colon - 1));
}

struct bytes
url_hostname(const struct url *url)
{
    return slice(url, url->host_start, url->host_end);
}

struct bytes
url_host(const struct url *url)
{
    /* With a port the path begins right behind it; "/." stands there only without a host. */
    return slice(url, url->host_start, url->port < 0 ? url->host_end : url->pathname_start);
}

struct bytes
url_pathname(const struct url *url)
{
    size_t end = url->search_start >= 0 ? (size_t)url->search_start
                 : url->hash_start >= 0 ? (size_t)url->hash_start
                                        : url->href.len;

    return slice(url, url->pathname_start, end);
}

struct bytes
url_search(const struct url *url)
{
    if (url->search_start < 0)
        return BYTES_NONE;
    return slice(url, (size_t)url->search_start, url->hash_start >= 0 ? (size_t)url->hash_start : url->href.len);
}

struct bytes
url_hash(const struct url *url)
{
    return url->hash_start < 0 ? BYTES_NONE : slice(url, (size_t)url->hash_start, url->href.len);
}

int32_t
url_port_or_default(const struct url *url)
{
    if (url->port >= 0)
        return url->port;
    return scheme_default_port(scheme_kind(slice(url, 0, url->protocol_end - 1)));
}

/* ---- setters -------------------------------------------------------------------------------------------------- */

static bool
cannot_have_credentials_or_port(const struct url_record *r)
{
    return !r->has_host || r->host.len == 0 || r->kind == SCHEME_FILE;
}

static bool
is_scheme_char(uint8_t c, bool is_first)
{
    bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    bool is_other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';

    return is_letter || (is_other && !is_first);
}

static void
set_protocol(struct url_record *r, struct bytes value)
{
    struct buf scheme = { 0 };
    enum url_scheme kind;
    size_t len = 0;
    bool has_credentials = r->username.len > 0 || r->password.len > 0;

    while (len < value.len && value.data[len] != ':' && is_scheme_char(value.data[len], len == 0))
        len++;
    if (len == 0 || (len < value.len && value.data[len] != ':'))
        return;
    buf_append(&scheme, value.data, len);
    for (size_t i = 0; i < len; i++)
        if (scheme.data[i] >= 'A' && scheme.data[i] <= 'Z')
            scheme.data[i] |= 0x20;
    kind = scheme_kind(buf_view(&scheme));
    if (scheme_is_special(kind) != scheme_is_special(r->kind) ||
        (kind == SCHEME_FILE && (has_credentials || r->port >= 0)) || (r->kind == SCHEME_FILE && r->host.len == 0)) {
        buf_fini(&scheme);
        return;
    }
    buf_fini(&r->scheme);
    r->scheme = scheme;
    r->kind = kind;
    if (r->port == scheme_default_port(kind))
        r->port = -1;
}

static void
set_credential(struct url_record *r, struct buf *to, struct bytes value)
{
    if (cannot_have_credentials_or_port(r))
        return;
    buf_clear(to);
    percent_encode(to, value, SET_USERINFO);
}

/* The port state with a state override: leading digits count, the rest is ignored. */
static void
set_port_digits(struct url_record *r, struct bytes value)
{
    size_t len = 0;

    while (len < value.len && value.data[len] >= '0' && value.data[len] <= '9')
        len++;
    if (len > 0)
        (void)parse_port_digits(r, bytes_from(value.data, len)); /* out of range: the port stays */
}

static void
set_port(struct url_record *r, struct bytes value)
{
    if (cannot_have_credentials_or_port(r))
        return;
    if (value.len == 0)
        r->port = -1;
    else
        set_port_digits(r, value);
}

/* Replaces the host; false and unchanged when TEXT is not one. */
static bool
replace_host(struct url_record *r, struct bytes text)
{
    struct buf host = { 0 };

    if (!host_parse(&host, text, !scheme_is_special(r->kind))) {
        buf_fini(&host);
        return false;
    }
    buf_fini(&r->host);
    r->host = host;
    r->has_host = true;
    return true;
}

static void
set_file_host(struct url_record *r, struct bytes value)
{
    size_t end = 0;

    while (end < value.len && !is_host_end(r, value.data[end]))
        end++;
    if (end == 0) {
        buf_clear(&r->host);
        return;
    }
    if (replace_host(r, bytes_from(value.data, end)) && bytes_equal_str(buf_view(&r->host), "localhost"))
        buf_clear(&r->host);
}

/* The host and hostname states with a state override. */
static void
set_host(struct url_record *r, struct bytes value, enum url_part part)
{
    bool has_extras = r->username.len > 0 || r->password.len > 0 || r->port >= 0;
    bool in_brackets = false;
    bool at_colon = false;
    size_t end;

    if (r->has_opaque_path)
        return;
    if (r->kind == SCHEME_FILE) {
        set_file_host(r, value);
        return;
    }
    for (end = 0; end < value.len && !is_host_end(r, value.data[end]); end++) {
        if (value.data[end] == '[')
            in_brackets = true;
        else if (value.data[end] == ']')
            in_brackets = false;
        at_colon = value.data[end] == ':' && !in_brackets;
        if (at_colon)
            break;
    }
    if (end == 0 && (at_colon || scheme_is_special(r->kind) || has_extras))
        return;
    if (at_colon && part == URL_HOSTNAME)
        return;
    if (replace_host(r, bytes_from(value.data, end)) && at_colon)
        set_port_digits(r, bytes_from(value.data + end + 1, value.len - end - 1));
}

/* The path start state with a state override. */
static void
set_pathname(struct url_record *r, struct bytes value)
{
    bool is_special = scheme_is_special(r->kind);

    if (r->has_opaque_path)
        return;
    buf_clear(&r->path);
    if (value.len == 0 && !is_special) {
        if (!r->has_host)
            buf_append_byte(&r->path, '/');
        return;
    }
    if (value.len > 0 && (value.data[0] == '/' || (is_special && value.data[0] == '\\')))
        value = bytes_from(value.data + 1, value.len - 1);
    (void)parse_path(r, value, PATH_OVERRIDE); /* consumes everything */
}

static struct bytes
without_first(struct bytes value, uint8_t c)
{
    return value.len > 0 && value.data[0] == c ? bytes_from(value.data + 1, value.len - 1) : value;
}

static void
set_search(struct url_record *r, struct bytes value)
{
    r->has_query = false;
    buf_clear(&r->query);
    if (value.len > 0)
        parse_query(r, without_first(value, '?'));
}

static void
set_hash(struct url_record *r, struct bytes value)
{
    r->has_fragment = false;
    buf_clear(&r->fragment);
    if (value.len > 0)
        parse_fragment(r, without_first(value, '#'));
}

static void
record_set(struct url_record *r, enum url_part part, struct bytes value)
{
    switch (part) {
    case URL_PROTOCOL:
        set_protocol(r, value);
        return;
    case URL_HOST:
    case URL_HOSTNAME:
        set_host(r, value, part);
        return;
    case URL_PORT:
        set_port(r, value);
        return;
    case URL_PATHNAME:
        set_pathname(r, value);
        return;
    case URL_SEARCH:
        set_search(r, value);
        return;
    case URL_HASH:
        set_hash(r, value);
        return;
    case URL_USERNAME:
        set_credential(r, &r->username, value);
        return;
    case URL_PASSWORD:
        set_credential(r, &r->password, value);
        return;
    case URL_PARTS:
        return;
    }
}

void
url_set(struct url *url, enum url_part part, struct bytes value)
{
    struct url_record record = { 0 };
    struct buf scratch = { 0 };

    if (value.len > URL_PARSE_MAX_BYTES)
        return;
    /* The parser drops tabs and newlines; credentials do not go through it. */
    if (part != URL_USERNAME && part != URL_PASSWORD)
        value = without_tab_newline(value, &scratch);
    record_from_url(&record, url);
    record_set(&record, part, value);
    record_to_url(&record, url);
    record_fini(&record);
    buf_fini(&scratch);
}

bool
url_part_from_name(enum url_part *out_part, struct bytes name)
{
    static const char *const names[URL_PARTS] = {
        [URL_PROTOCOL] = "protocol", [URL_USERNAME] = "username", [URL_PASSWORD] = "password",
        [URL_HOST] = "host",         [URL_HOSTNAME] = "hostname", [URL_PORT] = "port",
        [URL_PATHNAME] = "pathname", [URL_SEARCH] = "search",     [URL_HASH] = "hash",
    };

    for (int part = 0; part < URL_PARTS; part++) {
        if (bytes_equal_str(name, names[part])) {
            *out_part = (enum url_part)part;
            return true;
        }
    }
    return false;
}
