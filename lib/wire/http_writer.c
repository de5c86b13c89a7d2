/* http_writer — see the header. */
#include "lib/wire/http_writer.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/wire/http_reader.h"

struct reason {
    int status;
    const char *text;
};
static const struct reason reasons[] = {
    { 100, "Continue" },
    { 101, "Switching Protocols" },
    { 103, "Early Hints" },
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 203, "Non-Authoritative Information" },
    { 204, "No Content" },
    { 205, "Reset Content" },
    { 206, "Partial Content" },
    { 207, "Multi-Status" },
    { 300, "Multiple Choices" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 402, "Payment Required" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 411, "Length Required" },
    { 412, "Precondition Failed" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 416, "Range Not Satisfiable" },
    { 417, "Expectation Failed" },
    { 418, "I'm a teapot" },
    { 421, "Misdirected Request" },
    { 422, "Unprocessable Content" },
    { 424, "Failed Dependency" },
    { 426, "Upgrade Required" },
    { 428, "Precondition Required" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 451, "Unavailable For Legal Reasons" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
    { 507, "Insufficient Storage" },
};

struct bytes
http_reason(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return bytes_of(reasons[i].text);
    return BYTES_NONE;
}

/* RFC 9110 section 5.6.2. */
static bool
is_tchar(uint8_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

bool
http_is_token(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!is_tchar(name.data[i]))
            return false;
    return name.len > 0;
}

bool
http_is_hop_by_hop(struct bytes name)
{
    switch (name.len) {
    case 2:
        return bytes_equal(name, BYTES_LIT("te"));
    case 7:
        return bytes_equal(name, BYTES_LIT("upgrade")) || bytes_equal(name, BYTES_LIT("trailer"));
    case 10:
        return bytes_equal(name, BYTES_LIT("connection")) || bytes_equal(name, BYTES_LIT("keep-alive"));
    case 16:
        return bytes_equal(name, BYTES_LIT("proxy-connection"));
    case 17:
        return bytes_equal(name, BYTES_LIT("transfer-encoding"));
    default:
        return false;
    }
}

/* Appends TEXT as Latin-1. False when it holds a control character, a code point above U+00FF, or is not UTF-8. */
static bool
latin1_append(struct buf *out, struct bytes text)
{
    buf_reserve(out, text.len + 2);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c >= 0x80) {
            if ((c & 0xfe) != 0xc2 || i + 1 >= text.len || (text.data[i + 1] & 0xc0) != 0x80)
                return false;
            c = (uint8_t)((c & 0x03) << 6 | (text.data[++i] & 0x3f));
        } else if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
        out->data[out->len++] = c;
    }
    return true;
}

static bool
header_append(struct buf *out, struct bytes name, struct bytes value)
{
    if (!http_is_token(name))
        return false;
    buf_append_bytes(out, name);
    buf_append(out, ": ", 2);
    if (!latin1_append(out, value))
        return false;
    buf_append(out, "\r\n", 2);
    return true;
}

static void
status_line(struct buf *out, const struct http_answer *a)
{
    char digits[16];
    struct bytes text = a->status_text.len > 0 ? a->status_text : http_reason(a->status);
    size_t before;

    if (a->status == 200 && a->status_text.len == 0) {
        buf_append(out, "HTTP/1.1 200 OK\r\n", 17);
        return;
    }
    if (text.len > HTTP_REASON_MAX_BYTES)
        text.len = HTTP_REASON_MAX_BYTES;
    snprintf(digits, sizeof digits, "HTTP/1.1 %03d ", a->status);
    buf_append(out, digits, 13);
    before = out->len;
    if (!latin1_append(out, text)) {
        out->len = before;
        buf_append_bytes(out, http_reason(a->status));
    }
    buf_append(out, "\r\n", 2);
}

static void
framing_append(struct buf *out, const struct http_answer *a)
{
    char number[24];
    size_t n = sizeof number;
    uint64_t v = a->length;

    if (a->framing == HTTP_FRAMING_CHUNKED) {
        buf_append(out, "transfer-encoding: chunked\r\n", 28);
    } else if (a->framing == HTTP_FRAMING_LENGTH) {
        do
            number[--n] = (char)('0' + v % 10);
        while ((v /= 10) > 0);
        buf_append(out, "content-length: ", 16);
        buf_append(out, number + n, sizeof number - n);
        buf_append(out, "\r\n", 2);
    }
}

static void
connection_append(struct buf *out, enum http_connection connection)
{
    switch (connection) {
    case HTTP_KEEP:
        break;
    case HTTP_KEEP_1_0:
        buf_append_str(out, "connection: keep-alive\r\n");
        break;
    case HTTP_CLOSE:
        buf_append_str(out, "connection: close\r\n");
        break;
    case HTTP_UPGRADE:
        buf_append_str(out, "connection: Upgrade\r\nupgrade: websocket\r\n");
        break;
    }
}

bool
http_answer_write(struct buf *out, const struct http_answer *a, struct err *err)
{
    struct bytes rest = a->headers, name, value;
    bool has_date = false;
    size_t start = out->len;

    assert(a->status >= 100 && a->status <= 999);
    buf_reserve(out, 256 + a->headers.len);
    status_line(out, a);
    while (http_header_next(&rest, &name, &value)) {
        if (http_is_hop_by_hop(name) || bytes_equal(name, BYTES_LIT("content-length")))
            continue;
        if (name.len == 4 && bytes_equal(name, BYTES_LIT("date")))
            has_date = true;
        if (!header_append(out, name, value)) {
            out->len = start;
            return err_set(err, ERR_MALFORMED, 0, "a response header is not sendable");
        }
    }
    if (rest.len > 0) {
        out->len = start;
        return err_set(err, ERR_MALFORMED, 0, "the response's list of headers is malformed");
    }
    framing_append(out, a);
    connection_append(out, a->connection);
    if (!has_date && a->date.len > 0) {
        buf_append(out, "date: ", 6);
        buf_append_bytes(out, a->date);
        buf_append(out, "\r\n", 2);
    }
    buf_append(out, "\r\n", 2);
    return true;
}

void
http_chunk_header(struct buf *out, size_t len)
{
    char text[20];
    size_t n = sizeof text;

    assert(len > 0);
    text[--n] = '\n';
    text[--n] = '\r';
    for (; len > 0; len >>= 4)
        text[--n] = "0123456789abcdef"[len & 15];
    buf_append(out, text + n, sizeof text - n);
}

/* ---- dates (days from civil and back: the usual era arithmetic) ---------------------------------------------------
 */
static const char days[7][4] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" }; /* 1970-01-01 was a Thursday */
static const char months[12][4] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
};

void
http_date(char out[HTTP_DATE_BYTES + 1], int64_t wall_ms)
{
    int64_t seconds = wall_ms / 1000, day = seconds / 86400, second = seconds % 86400;
    int64_t z = day + 719468, era = z / 146097, doe = z % 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153, d = doy - (153 * mp + 2) / 5 + 1, m = mp < 10 ? mp + 3 : mp - 9;
    int64_t y = yoe + era * 400 + (m <= 2 ? 1 : 0);
    char text[64];

    assert(wall_ms >= 0);
    snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[day % 7], (int)d, months[m - 1],
             (int)(y % 10000), (int)(second / 3600), (int)(second / 60 % 60), (int)(second % 60));
    memcpy(out, text, HTTP_DATE_BYTES);
    out[HTTP_DATE_BYTES] = 0;
}

static int
two_digits(const uint8_t *p)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
        return -1;
    return (p[0] - '0') * 10 + (p[1] - '0');
}

int64_t
http_date_parse(struct bytes t)
{
    int d, h, mi, s, y1, y2, m = 0;
    int64_t y, era, yoe, doy, doe;

    if (t.len != HTTP_DATE_BYTES || t.data[3] != ',' || !bytes_equal(bytes_from(t.data + 25, 4), BYTES_LIT(" GMT")))
        return -1;
    d = two_digits(t.data + 5), y1 = two_digits(t.data + 12), y2 = two_digits(t.data + 14);
    h = two_digits(t.data + 17), mi = two_digits(t.data + 20), s = two_digits(t.data + 23);
    while (m < 12 && memcmp(months[m], t.data + 8, 3) != 0)
        m++;
    if (d < 1 || d > 31 || y1 < 19 || y2 < 0 || h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 || s > 60 || m == 12)
        return -1;
    m++;
    y = y1 * 100 + y2 - (m <= 2 ? 1 : 0);
    era = y / 400, yoe = y % 400;
    doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return (era * 146097 + doe - 719468) * 86400 + h * 3600 + mi * 60 + s;
}
