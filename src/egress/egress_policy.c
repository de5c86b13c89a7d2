/*
 * egress_policy — see egress_policy.h. The ranges are those of the IANA special-purpose address registries.
 *
 * Threads: none; pure.
 */
#include "src/egress/egress_policy.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "src/egress/egress_limits.h"

struct range {
    uint8_t bytes[16];
    uint8_t bits;
    const char *kind;
};

static const struct range ranges4[] = {
    { { 0 }, 8, "unspecified" },
    { { 10 }, 8, "private" },
    { { 100, 64 }, 10, "carrier-grade NAT" },
    { { 127 }, 8, "loopback" },
    { { 169, 254 }, 16, "link-local" }, /* the metadata services of clouds among them */
    { { 172, 16 }, 12, "private" },
    { { 192, 0, 0 }, 24, "protocol assignment" },
    { { 192, 0, 2 }, 24, "documentation" },
    { { 192, 88, 99 }, 24, "6to4 relay" },
    { { 192, 168 }, 16, "private" },
    { { 198, 18 }, 15, "benchmark" },
    { { 198, 51, 100 }, 24, "documentation" },
    { { 203, 0, 113 }, 24, "documentation" },
    { { 224 }, 4, "multicast" },
    { { 240 }, 4, "reserved" },
};

/* Outside of 2000::/3 nothing is public; within it these are not. Forms that embed an IPv4 address are refused whatever
 * it is: they lead where the IPv4 rules cannot see. */
static const struct range ranges6[] = {
    { { 0x20, 0x01, 0x00, 0x00 }, 32, "Teredo" },
    { { 0x20, 0x01, 0x00, 0x20 }, 28, "ORCHID" },
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32, "documentation" },
    { { 0x20, 0x01 }, 23, "protocol assignment" },
    { { 0x20, 0x02 }, 16, "6to4" },
    { { 0x3f, 0xff }, 20, "documentation" },
};
static const struct range kinds6[] = {
    { { 0 }, 128, "unspecified" },
    { { [15] = 1 }, 128, "loopback" },
    { { [10] = 0xff, [11] = 0xff }, 96, "IPv4-mapped" },
    { { 0 }, 96, "IPv4-compatible" },
    { { 0x00, 0x64, 0xff, 0x9b }, 32, "NAT64" },
    { { 0xfc }, 7, "private" },
    { { 0xfe, 0x80 }, 10, "link-local" },
    { { 0xfe, 0xc0 }, 10, "site-local" },
    { { 0xff }, 8, "multicast" },
};

struct rule {
    char *name;     /* NULL: an address range */
    bool is_suffix; /* name begins with "." */
    int family;
    struct range range;
    uint16_t port; /* 0: any */
};

struct egress_policy {
    bool allow_private;
    struct rule *rules;
    size_t count;
};

static bool
in_range(const uint8_t *address, const struct range *range)
{
    size_t whole = range->bits / 8;
    uint8_t mask = (uint8_t)(0xFF00 >> (range->bits % 8));

    if (memcmp(address, range->bytes, whole) != 0)
        return false;
    return range->bits % 8 == 0 || ((address[whole] ^ range->bytes[whole]) & mask) == 0;
}

static const char *
kind_in(const uint8_t *address, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (in_range(address, &ranges[i]))
            return ranges[i].kind;
    return NULL;
}

/* The address's bytes and port; NULL when it is of another family. */
static const uint8_t *
address_bytes(const struct sockaddr *address, uint16_t *out_port)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        *out_port = ntohs(in->sin_port);
        return (const uint8_t *)&in->sin_addr;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)address;
        *out_port = ntohs(in->sin6_port);
        return in->sin6_addr.s6_addr;
    }
    return NULL;
}

const char *
egress_address_kind(const struct sockaddr *address)
{
    uint16_t port;
    const uint8_t *bytes = address_bytes(address, &port);
    const char *kind;

    if (bytes == NULL)
        return "not an Internet address";
    if (address->sa_family == AF_INET)
        return kind_in(bytes, ranges4, ARRAY_LEN(ranges4));
    kind = kind_in(bytes, kinds6, ARRAY_LEN(kinds6));
    if (kind != NULL)
        return kind;
    if ((bytes[0] & 0xE0) != 0x20)
        return "reserved";
    return kind_in(bytes, ranges6, ARRAY_LEN(ranges6));
}

static bool
name_matches(const struct rule *rule, struct bytes hostname)
{
    struct bytes name = bytes_of(rule->name);

    if (!rule->is_suffix)
        return bytes_equal_nocase(name, hostname);
    return hostname.len > name.len &&
           bytes_equal_nocase(name, bytes_from(hostname.data + hostname.len - name.len, name.len));
}

bool
egress_policy_allows(const struct egress_policy *policy, struct bytes hostname, const struct sockaddr *address)
{
    uint16_t port;
    const uint8_t *bytes = address_bytes(address, &port);

    if (bytes == NULL)
        return false;
    if (policy->allow_private || egress_address_kind(address) == NULL)
        return true;
    for (size_t i = 0; i < policy->count; i++) {
        const struct rule *rule = &policy->rules[i];
        if (rule->port != 0 && rule->port != port)
            continue;
        if (rule->name != NULL ? name_matches(rule, hostname)
                               : rule->family == address->sa_family && in_range(bytes, &rule->range))
            return true;
    }
    return false;
}

/* ---- the list of the configuration ---------------------------------------------------------------------------- */

/* Splits "host:port", "[v6]:port"; a bare IPv6 address has no port. Cuts TEXT in place. False: not a port. */
static bool
split_port(char **text, uint16_t *out_port)
{
    char *colon = strrchr(*text, ':');
    char *end = NULL;
    unsigned long port;

    *out_port = 0;
    if (**text == '[') {
        char *close = strchr(*text, ']');
        if (close == NULL || (close[1] != '\0' && close[1] != ':'))
            return false;
        colon = close[1] == ':' ? close + 1 : NULL;
        *close = '\0';
        (*text)++;
    } else if (colon != NULL && strchr(*text, ':') != colon) {
        return true;
    }
    if (colon == NULL)
        return true;
    errno = 0;
    port = strtoul(colon + 1, &end, 10);
    if (errno != 0 || end == colon + 1 || *end != '\0' || port == 0 || port > 65535)
        return false;
    *colon = '\0';
    *out_port = (uint16_t)port;
    return true;
}

/* "10.0.0.0/8", "::1": true and the rule is an address range. *out_ok false: it looks like one and is wrong. */
static bool
parse_range(struct rule *rule, char *text, bool *out_ok)
{
    char *slash = strchr(text, '/');
    char *end = NULL;
    unsigned long bits;
    unsigned long bits_max;

    *out_ok = true;
    if (slash != NULL)
        *slash = '\0';
    rule->family = inet_pton(AF_INET, text, rule->range.bytes) == 1    ? AF_INET
                   : inet_pton(AF_INET6, text, rule->range.bytes) == 1 ? AF_INET6
                                                                       : AF_UNSPEC;
    if (rule->family == AF_UNSPEC) {
        *out_ok = slash == NULL;
        return false;
    }
    bits = bits_max = rule->family == AF_INET ? 32 : 128;
    if (slash != NULL) {
        errno = 0;
        bits = strtoul(slash + 1, &end, 10);
        *out_ok = errno == 0 && end != slash + 1 && *end == '\0' && bits <= bits_max;
    }
    rule->range.bits = (uint8_t)bits;
    return true;
}

static bool
parse_rule(struct rule *rule, const char *entry, struct err *err)
{
    char *copy = bytes_dup(bytes_of(entry));
    char *text = copy;
    bool ok = split_port(&text, &rule->port) && *text != '\0';

    if (ok && !parse_range(rule, text, &ok) && ok) {
        rule->is_suffix = text[0] == '.';
        ok = strpbrk(text, " /*?[]@") == NULL && strlen(text) > (rule->is_suffix ? 1 : 0);
        rule->name = bytes_dup(bytes_of(text));
    }
    free(copy);
    return ok ||
           err_set(err, ERR_CONFIG, 0,
                   "allow: '%s' is not a host, a .domain or an address range, each with an optional :port", entry);
}

bool
egress_policy_create(struct egress_policy **out_policy, bool allow_private, const char *const *allow, size_t count,
                     struct err *err)
{
    struct egress_policy *policy;

    if (count > EGRESS_ALLOW_MAX)
        return err_set(err, ERR_CONFIG, 0, "allow has %zu entries, at most %d are possible", count, EGRESS_ALLOW_MAX);
    policy = calloc(1, sizeof *policy);
    assert(policy != NULL);
    policy->allow_private = allow_private;
    policy->rules = calloc(count + 1, sizeof *policy->rules);
    assert(policy->rules != NULL);
    for (size_t i = 0; i < count; i++) {
        policy->count = i + 1;
        if (!parse_rule(&policy->rules[i], allow[i], err)) {
            egress_policy_destroy(&policy);
            return false;
        }
    }
    *out_policy = policy;
    return true;
}

void
egress_policy_destroy(struct egress_policy **policy)
{
    if (*policy == NULL)
        return;
    for (size_t i = 0; i < (*policy)->count; i++)
        free((*policy)->rules[i].name);
    free((*policy)->rules);
    free(*policy);
    *policy = NULL;
}
