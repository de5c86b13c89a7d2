/*
 * url — the URL Standard (https://url.spec.whatwg.org): parsing, setters, domain names.
 *
 * Promise: what a browser's or workerd's `new URL()` gives, gives this; the same bytes in, the same bytes out. The href is
 * always ASCII. Input is UTF-8; bytes that are not are percent-encoded as they are, and refused in domain names.
 * Pure; no network, no files. Decision 001 says why this is ours.
 */
#ifndef DORMOUSE_WIRE_URL_H
#define DORMOUSE_WIRE_URL_H

#include "lib/base/bytes.h"

#define URL_PARSE_MAX_BYTES  (4u * 1024 * 1024) /* offsets stay far below 2^31; longer inputs are refused */
#define URL_DOMAIN_MAX_BYTES 4096               /* of a name that needs IDNA, whose cost is quadratic; DNS stops at 255 */

/* A parsed URL: its text and where the parts lie in it. Zero-initialised is empty and may be given to url_fini. */
struct url {
    struct buf href;           /* owned */
    uint32_t protocol_end;     /* behind ":" */
    uint32_t username_start;   /* of "user:password@"; equal to host_start when there is none */
    uint32_t host_start;
    uint32_t host_end;
    int32_t port;              /* -1: none, or the scheme's own */
    uint32_t pathname_start;
    int32_t search_start;      /* at "?"; -1: none */
    int32_t hash_start;        /* at "#"; -1: none */
};

enum url_part {
    URL_PROTOCOL, URL_USERNAME, URL_PASSWORD, URL_HOST, URL_HOSTNAME, URL_PORT, URL_PATHNAME, URL_SEARCH, URL_HASH, URL_PARTS
};

/* Parses INPUT, relative to BASE unless that is NULL. False: invalid; *out_url is then unchanged. Reuses out_url's memory. */
MUST_USE bool url_parse(struct url *out_url, struct bytes input, const struct url *base);
/* As assigning to the attribute of that name: an impossible VALUE leaves the URL as it is. */
void url_set(struct url *url, enum url_part part, struct bytes value);
/* "pathname" → URL_PATHNAME; false when there is no such attribute. */
MUST_USE bool url_part_from_name(enum url_part *out_part, struct bytes name);
void url_fini(struct url *url);

/* Parts as they stand in the href; borrowed until it changes. Search and hash include "?" and "#"; empty when absent. */
struct bytes url_protocol(const struct url *url);    /* "https:" */
struct bytes url_username(const struct url *url);    /* percent-encoded */
struct bytes url_password(const struct url *url);
struct bytes url_host(const struct url *url);        /* with ":port" when there is one */
struct bytes url_hostname(const struct url *url);    /* an IPv6 address stands in brackets */
struct bytes url_pathname(const struct url *url);
struct bytes url_search(const struct url *url);
struct bytes url_hash(const struct url *url);
/* The port that a connection would use: the URL's, or that of its scheme, or -1. */
int32_t url_port_or_default(const struct url *url);

/* The host parser for http and its kin: appends the canonical name or address of DOMAIN. False: invalid, nothing appended. */
MUST_USE bool url_domain_to_ascii(struct buf *out, struct bytes domain);

#endif
