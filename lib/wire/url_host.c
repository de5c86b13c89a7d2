/*
 * url_host — the host parser of the URL Standard (section 3.5): names by IDNA, IPv4, IPv6, opaque hosts.
 *
 * Threads: none. Keeps one ICU object per process, made at first use.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unicode/uidna.h>

#include "lib/wire/url_internal.h"

#define IPV4_PARTS_MAX 4
#define IPV6_PIECES    8

/* Problems that "domain to ASCII" does not count, because its CheckHyphens and VerifyDnsLength are false. */
#define IDNA_IGNORED                                                                                                   \
    (UIDNA_ERROR_EMPTY_LABEL | UIDNA_ERROR_LABEL_TOO_LONG | UIDNA_ERROR_DOMAIN_NAME_TOO_LONG |                         \
     UIDNA_ERROR_LEADING_HYPHEN | UIDNA_ERROR_TRAILING_HYPHEN | UIDNA_ERROR_HYPHEN_3_4)

static bool
is_forbidden_in_host(uint8_t c)
{
    return c == '\0' || (c != 0 && strchr("\t\n\r #/:<>?@[\\]^|", c) != NULL);
}

static bool
is_forbidden_in_domain(uint8_t c)
{
    return is_forbidden_in_host(c) || c <= 0x1F || c == '%' || c == 0x7F;
}

/* ---- IPv4 ----------------------------------------------------------------------------------------------------- */

/* Reads one part: decimal, 0octal, 0xhex. Values that no part may have saturate. False: not a number. */
static bool
ipv4_number(struct bytes part, uint64_t *out)
{
    unsigned radix = 10;
    uint64_t value = 0;

    if (part.len == 0)
        return false;
    if (part.len >= 2 && part.data[0] == '0') {
        radix = (part.data[1] | 0x20) == 'x' ? 16 : 8;
        part = radix == 16 ? bytes_from(part.data + 2, part.len - 2) : bytes_from(part.data + 1, part.len - 1);
    }
    for (size_t i = 0; i < part.len; i++) {
        int digit = hex_digit(part.data[i]);
        if (digit < 0 || (unsigned)digit >= radix)
            return false;
        if (value <= UINT32_MAX)
            value = value * radix + (unsigned)digit;
    }
    *out = value;
    return true;
}

/* The text behind the last dot, a final dot aside. */
static struct bytes
last_label(struct bytes domain)
{
    size_t end = domain.len;
    size_t start;

    if (end > 1 && domain.data[end - 1] == '.')
        end--;
    for (start = end; start > 0 && domain.data[start - 1] != '.';)
        start--;
    return bytes_from(domain.data + start, end - start);
}

static bool
ends_in_number(struct bytes domain)
{
    struct bytes last = last_label(domain);
    bool all_digits = last.len > 0;
    uint64_t unused;

    for (size_t i = 0; i < last.len; i++)
        all_digits = all_digits && last.data[i] >= '0' && last.data[i] <= '9';
    return all_digits || ipv4_number(last, &unused);
}

static bool
ipv4_parse(struct buf *out, struct bytes domain)
{
    uint64_t numbers[IPV4_PARTS_MAX];
    size_t count = 0;
    uint64_t address;

    if (domain.len > 1 && domain.data[domain.len - 1] == '.')
        domain.len--;
    for (;;) {
        const uint8_t *dot = memchr(domain.data, '.', domain.len);
        size_t len = dot == NULL ? domain.len : (size_t)(dot - domain.data);
        if (count == IPV4_PARTS_MAX || !ipv4_number(bytes_from(domain.data, len), &numbers[count++]))
            return false;
        if (dot == NULL)
            break;
        domain = bytes_from(dot + 1, domain.len - len - 1);
    }
    for (size_t i = 0; i + 1 < count; i++)
        if (numbers[i] > 255)
            return false;
    address = numbers[count - 1];
    if (address >> (8 * (5 - count)) != 0)
        return false;
    for (size_t i = 0; i + 1 < count; i++)
        address |= numbers[i] << (8 * (3 - i));
    buf_clear(out);
    buf_printf(out, "%u.%u.%u.%u", (unsigned)(address >> 24), (unsigned)(address >> 16 & 255),
               (unsigned)(address >> 8 & 255), (unsigned)(address & 255));
    return true;
}

/* ---- IPv6 ----------------------------------------------------------------------------------------------------- */

/* The IPv4 tail of an IPv6 address: two pieces. */
static bool
ipv6_tail(struct bytes in, uint16_t pieces[2])
{
    size_t at = 0;

    pieces[0] = pieces[1] = 0;
    for (int part = 0; part < 4; part++) {
        unsigned value = 0;
        size_t digits = 0;
        if (part > 0 && (at == in.len || in.data[at++] != '.'))
            return false;
        for (; at < in.len && in.data[at] >= '0' && in.data[at] <= '9'; at++, digits++) {
            if (digits > 0 && value == 0)
                return false; /* a leading zero */
            value = value * 10 + (in.data[at] - '0');
            if (value > 255)
                return false;
        }
        if (digits == 0)
            return false;
        pieces[part / 2] = (uint16_t)(pieces[part / 2] << 8 | value);
    }
    return at == in.len;
}

/* Moves the pieces behind the "::" to the end. */
static void
ipv6_expand(uint16_t pieces[IPV6_PIECES], int count, int compress)
{
    int moved = count - compress;

    for (int i = 1; i <= moved; i++) {
        pieces[IPV6_PIECES - i] = pieces[count - i];
        if (IPV6_PIECES - i >= count)
            pieces[count - i] = 0;
    }
    for (int i = compress; i < IPV6_PIECES - moved; i++)
        pieces[i] = 0;
}

static bool
ipv6_pieces(struct bytes in, uint16_t pieces[IPV6_PIECES])
{
    int count = 0;
    int compress = -1;
    size_t at = 0;

    if (in.len > 0 && in.data[0] == ':') {
        if (in.len < 2 || in.data[1] != ':')
            return false;
        at = 2;
        compress = 0;
    }
    while (at < in.len) {
        size_t start = at;
        unsigned value = 0;
        if (count == IPV6_PIECES)
            return false;
        if (in.data[at] == ':') {
            if (compress >= 0)
                return false;
            compress = count;
            at++;
            continue;
        }
        for (; at < in.len && at < start + 4 && hex_digit(in.data[at]) >= 0; at++)
            value = value << 4 | (unsigned)hex_digit(in.data[at]);
        if (at < in.len && in.data[at] == '.') {
            if (at == start || count > IPV6_PIECES - 2 ||
                !ipv6_tail(bytes_from(in.data + start, in.len - start), pieces + count))
                return false;
            count += 2;
            break;
        }
        if (at < in.len && (in.data[at++] != ':' || at == in.len))
            return false;
        pieces[count++] = (uint16_t)value;
    }
    if (compress < 0)
        return count == IPV6_PIECES;
    if (count == IPV6_PIECES)
        return false;
    ipv6_expand(pieces, count, compress);
    return true;
}

/* The first longest run of at least two zero pieces. */
static int
longest_zero_run(const uint16_t pieces[IPV6_PIECES], int *out_len)
{
    int best = -1;

    *out_len = 1;
    for (int i = 0; i < IPV6_PIECES; i++) {
        int len = 0;
        while (i + len < IPV6_PIECES && pieces[i + len] == 0)
            len++;
        if (len > *out_len) {
            best = i;
            *out_len = len;
        }
        i += len;
    }
    return best;
}

static bool
ipv6_parse(struct buf *out, struct bytes in)
{
    uint16_t pieces[IPV6_PIECES] = { 0 };
    int zeros_len;
    int zeros;

    if (!ipv6_pieces(in, pieces))
        return false;
    zeros = longest_zero_run(pieces, &zeros_len);
    buf_clear(out);
    buf_append_byte(out, '[');
    for (int i = 0; i < IPV6_PIECES; i++) {
        if (i == zeros) {
            buf_append_str(out, i == 0 ? "::" : ":");
            i += zeros_len - 1;
            continue;
        }
        buf_printf(out, i + 1 < IPV6_PIECES ? "%x:" : "%x", pieces[i]);
    }
    buf_append_byte(out, ']');
    return true;
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

static bool
needs_idna(struct bytes domain)
{
    bool at_label = true;

    for (size_t i = 0; i < domain.len; i++) {
        if (domain.data[i] >= 0x80)
            return true;
        if (at_label &&
            bytes_equal_nocase(bytes_from(domain.data + i, domain.len - i < 4 ? domain.len - i : 4), BYTES_LIT("xn--")))
            return true;
        at_label = domain.data[i] == '.';
    }
    return false;
}

static bool
idna_to_ascii(struct buf *out, struct bytes domain)
{
    static UIDNA *idna; /* immutable once open, and the process's for its life */
    UErrorCode status = U_ZERO_ERROR;
    UIDNAInfo info = UIDNA_INFO_INITIALIZER;
    int32_t cap = (int32_t)domain.len * 4 + 64;
    int32_t len;

    if (domain.len > URL_DOMAIN_MAX_BYTES)
        return false;
    if (idna == NULL)
        idna = uidna_openUTS46(UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ | UIDNA_NONTRANSITIONAL_TO_ASCII, &status);
    assert(U_SUCCESS(status)); /* ICU's data is part of the library */
    for (;;) {
        buf_clear(out);
        buf_reserve(out, (size_t)cap);
        status = U_ZERO_ERROR;
        info = (UIDNAInfo)UIDNA_INFO_INITIALIZER;
        len = uidna_nameToASCII_UTF8(idna, (const char *)domain.data, (int32_t)domain.len, (char *)out->data, cap,
                                     &info, &status);
        if (status != U_BUFFER_OVERFLOW_ERROR)
            break;
        cap = len + 1;
    }
    if (U_FAILURE(status) || (info.errors & ~(uint32_t)IDNA_IGNORED) != 0)
        return false;
    out->len = (size_t)len;
    return true;
}

static void
lower_into(struct buf *out, struct bytes in)
{
    buf_clear(out);
    buf_append_bytes(out, in);
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] >= 'A' && out->data[i] <= 'Z')
            out->data[i] |= 0x20;
}

static bool
domain_parse(struct buf *out, struct bytes domain)
{
    if (needs_idna(domain)) {
        if (!idna_to_ascii(out, domain))
            return false;
    } else {
        lower_into(out, domain);
    }
    if (out->len == 0)
        return false;
    for (size_t i = 0; i < out->len; i++)
        if (is_forbidden_in_domain(out->data[i]))
            return false;
    if (!ends_in_number(buf_view(out)))
        return true;
    struct buf name = *out;
    bool ok;
    *out = (struct buf){ 0 };
    ok = ipv4_parse(out, buf_view(&name));
    buf_fini(&name);
    return ok;
}

static bool
opaque_parse(struct buf *out, struct bytes in)
{
    for (size_t i = 0; i < in.len; i++)
        if (is_forbidden_in_host(in.data[i]))
            return false;
    buf_clear(out);
    percent_encode(out, in, SET_C0);
    return true;
}

bool
host_parse(struct buf *out, struct bytes in, bool is_opaque)
{
    struct buf decoded = { 0 };
    bool ok;

    if (in.len > 0 && in.data[0] == '[')
        return in.len > 1 && in.data[in.len - 1] == ']' && ipv6_parse(out, bytes_from(in.data + 1, in.len - 2));
    if (is_opaque)
        return opaque_parse(out, in);
    if (in.len == 0)
        return false;
    if (memchr(in.data, '%', in.len) == NULL)
        return domain_parse(out, in);
    percent_decode(&decoded, in);
    ok = domain_parse(out, buf_view(&decoded));
    buf_fini(&decoded);
    return ok;
}

bool
url_domain_to_ascii(struct buf *out, struct bytes domain)
{
    struct buf scratch = { 0 };
    struct buf host = { 0 };
    bool ok = host_parse(&host, without_tab_newline(domain, &scratch), false);

    if (ok)
        buf_append_bytes(out, buf_view(&host));
    buf_fini(&host);
    buf_fini(&scratch);
    return ok;
}
