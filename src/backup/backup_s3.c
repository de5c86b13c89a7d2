/* backup_s3 — see backup_s3.h. */
#include "src/backup/backup_s3.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/backup/backup_limits.h"
#include "src/backup/backup_sum.h"

#define UNICODE_MAX 0x10FFFFu

/* ---- credentials ----------------------------------------------------------------------------------------------------------- */

static const char *
environment(const char *name)
{
    const char *value = getenv(name);

    return value == NULL || value[0] == '\0' ? NULL : value;
}

static bool
text_read(const char *path, struct buf *out, struct err *err)
{
    int fd = sys_open(path, O_RDONLY, 0);
    ssize_t got = -1;

    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "open the credentials '%s'", path);
    while (out->len < CREDENTIALS_BYTES_MAX) {
        buf_reserve(out, 4096);
        got = sys_read(fd, out->data + out->len, 4096);
        if (got <= 0)
            break;
        out->len += (size_t)got;
    }
    (void)sys_close(fd);                   /* only read */
    return got == 0 ? true : err_set(err, ERR_IO, 0, "The credentials '%s' cannot be read, or are no such file.", path);
}

/* The next line of *REST without blanks around it. */
static bool
line_next(struct bytes *rest, struct bytes *out_line)
{
    const uint8_t *end = rest->len == 0 ? NULL : memchr(rest->data, '\n', rest->len);
    size_t len = end == NULL ? rest->len : (size_t)(end - rest->data);
    struct bytes line = bytes_from(rest->data, len);

    if (rest->len == 0)
        return false;
    *rest = bytes_from(rest->data + len + (end != NULL), rest->len - len - (end != NULL));
    while (line.len > 0 && strchr(" \t\r", line.data[0]) != NULL)
        line = bytes_from(line.data + 1, line.len - 1);
    while (line.len > 0 && strchr(" \t\r", line.data[line.len - 1]) != NULL)
        line.len--;
    *out_line = line;
    return true;
}

/* "NAME = value": the value, owned; else what was there stays. */
static void
field_take(struct bytes line, const char *name, char **value)
{
    struct bytes rest = line;

    if (!bytes_has_prefix(line, bytes_of(name)))
        return;
    rest = bytes_from(rest.data + strlen(name), rest.len - strlen(name));
    while (rest.len > 0 && (rest.data[0] == ' ' || rest.data[0] == '\t'))
        rest = bytes_from(rest.data + 1, rest.len - 1);
    if (rest.len == 0 || rest.data[0] != '=')
        return;
    rest = bytes_from(rest.data + 1, rest.len - 1);
    while (rest.len > 0 && (rest.data[0] == ' ' || rest.data[0] == '\t'))
        rest = bytes_from(rest.data + 1, rest.len - 1);
    free(*value);
    *value = bytes_dup(rest);
}

static void
profile_take(struct bytes text, const char *profile, struct s3_keys *keys)
{
    char section[256];
    struct bytes line;
    bool is_ours = false;

    (void)snprintf(section, sizeof section, "[%s]", profile);
    while (line_next(&text, &line)) {
        if (line.len > 0 && line.data[0] == '[')
            is_ours = bytes_equal_str(line, section);
        if (!is_ours)
            continue;
        field_take(line, "aws_access_key_id", &keys->id);
        field_take(line, "aws_secret_access_key", &keys->secret);
        field_take(line, "aws_session_token", &keys->token);
    }
}

static bool
file_keys(struct s3_keys *keys, const char *file, struct err *err)
{
    const char *profile = environment("AWS_PROFILE"), *home = environment("HOME"), *shared = environment("AWS_SHARED_CREDENTIALS_FILE");
    char path[PATH_BYTES];
    struct buf text = { 0 };
    struct err why = { 0 };

    if (file == NULL && shared == NULL && home == NULL)
        return err_set(err, ERR_USAGE, 0, "The store needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a file with --credentials.");
    if (file != NULL || shared != NULL)
        (void)snprintf(path, sizeof path, "%s", file != NULL ? file : shared);
    else
        (void)snprintf(path, sizeof path, "%s/.aws/credentials", home);
    if (text_read(path, &text, &why))
        profile_take(buf_view(&text), profile != NULL ? profile : "default", keys);
    else if (file != NULL)
        (void)err_set(err, why.code, 0, "%s", why.message);
    buf_fini(&text);
    if (keys->id != NULL && keys->secret != NULL)
        return true;
    if (err->code == ERR_NONE)
        (void)err_set(err, ERR_USAGE, 0, "There are no credentials for the store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put aws_access_key_id and "
                      "aws_secret_access_key of profile [%s] into '%s'.", profile != NULL ? profile : "default", path);
    s3_keys_fini(keys);
    return false;
}

bool
s3_keys_read(struct s3_keys *out_keys, const char *file, struct err *err)
{
    const char *id = environment("AWS_ACCESS_KEY_ID"), *secret = environment("AWS_SECRET_ACCESS_KEY"), *token = environment("AWS_SESSION_TOKEN");

    *out_keys = (struct s3_keys){ 0 };
    if (file != NULL || id == NULL || secret == NULL)
        return file_keys(out_keys, file, err);
    out_keys->id = bytes_dup(bytes_of(id));
    out_keys->secret = bytes_dup(bytes_of(secret));
    out_keys->token = token == NULL ? NULL : bytes_dup(bytes_of(token));
    return true;
}

static void
secret_free(char **text)
{
    char *it = STEAL(*text);

    if (it != NULL)
        explicit_bzero(it, strlen(it));
    free(it);
}

void
s3_keys_fini(struct s3_keys *keys)
{
    secret_free(&keys->id);
    secret_free(&keys->secret);
    secret_free(&keys->token);
}

/* ---- a request ---------------------------------------------------------------------------------------------------------------- */

void
s3_encode(struct buf *out, const char *text, enum s3_slash slash)
{
    for (const uint8_t *at = (const uint8_t *)text; *at != '\0'; at++) {
        const bool is_plain = (*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || strchr("-._~", *at) != NULL;

        if (is_plain || (*at == '/' && slash == S3_KEEP_SLASH))
            buf_append_byte(out, *at);
        else
            buf_printf(out, "%%%02X", *at);
    }
}

struct reading {
    const struct s3_request *request;
    struct s3_answer        *answer;
};

static size_t
on_body(char *data, size_t size, size_t count, void *owner)
{
    struct reading *reading = owner;
    const size_t len = size * count;

    if (reading->answer->body.len + len > reading->request->bytes_max) {
        reading->answer->is_too_large = true;
        return 0;
    }
    buf_append(&reading->answer->body, data, len);
    return len;
}

static int
on_progress(void *owner, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
    const struct reading *reading = owner;

    if (reading->request->tick != NULL)
        reading->request->tick(reading->request->owner);
    return 0;
}

static struct curl_slist *
header(struct curl_slist *list, const char *fmt, ...)
{
    struct buf line = { 0 };
    struct curl_slist *longer;
    va_list args;
    char text[4096];

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);           /* a token of a session has 1 to 2 KB */
    va_end(args);
    buf_append_str(&line, text);
    longer = curl_slist_append(list, buf_cstr(&line));
    assert(longer != NULL);
    buf_fini(&line);
    return longer;
}

static struct curl_slist *
headers_of(const struct s3_keys *keys, const struct s3_request *request)
{
    const bool is_s3 = strcmp(request->service, "s3") == 0;
    struct curl_slist *list = NULL;
    uint8_t sum[SUM_BYTES];
    char hex[SUM_HEX_BYTES];

    sum_of(request->body, sum);
    hex_print(sum, SUM_BYTES, hex);
    if (is_s3)
        list = header(list, "x-amz-content-sha256: %s", hex);
    if (request->date != NULL)
        list = header(list, "X-Amz-Date: %s", request->date);
    if (request->range != NULL)
        list = header(list, "Range: %s", request->range);
    if (keys->token != NULL)
        list = header(list, "x-amz-security-token: %s", keys->token);
    return list;
}

static void
options_set(CURL *curl, const struct s3_keys *keys, const struct s3_request *request, struct reading *reading, struct s3_answer *answer)
{
    const char *ca_file = environment("AWS_CA_BUNDLE");        /* as Amazon's own tools; else the system's certificates */
    char provider[256];

    curl_easy_reset(curl);
    if (ca_file != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);
    (void)snprintf(provider, sizeof provider, "aws:amz:%s:%s", request->region, request->service);
    (void)curl_easy_setopt(curl, CURLOPT_URL, request->url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, provider);
    (void)curl_easy_setopt(curl, CURLOPT_USERNAME, keys->id);
    (void)curl_easy_setopt(curl, CURLOPT_PASSWORD, keys->secret);
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);      /* the signature is of the path as it is */
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)S3_CONNECT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)S3_SILENCE_S);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, answer->why);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, reading);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, reading);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    if (request->body.len > 0) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)request->body.data);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    }
}

/* It would be the same the next time. */
static bool
refuses_to_ask(CURLcode outcome)
{
    return outcome == CURLE_URL_MALFORMAT || outcome == CURLE_PEER_FAILED_VERIFICATION || outcome == CURLE_SSL_CACERT_BADFILE;
}

bool
s3_ask(CURL *curl, const struct s3_keys *keys, const struct s3_request *request, struct s3_answer *out_answer, struct err *err)
{
    struct reading reading = { request, out_answer };
    struct curl_slist *headers, *to = NULL;
    CURLcode outcome;

    *out_answer = (struct s3_answer){ 0 };
    if (strncmp(request->url, "http://", 7) != 0 && strncmp(request->url, "https://", 8) != 0)
        return err_set(err, ERR_USAGE, 0, "The endpoint is no http:// or https:// URL: '%s'.", request->url);
    headers = headers_of(keys, request);
    options_set(curl, keys, request, &reading, out_answer);
    if (request->body.len > 0)             /* libcurl's own would make it a form */
        headers = header(headers, "Content-Type: application/octet-stream");
    if (request->connect_to != NULL)
        to = header(NULL, "%s", request->connect_to);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECT_TO, to);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    outcome = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out_answer->status);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);  /* the answer may go before the handle does */
    curl_slist_free_all(headers);
    curl_slist_free_all(to);
    out_answer->is_broken = outcome != CURLE_OK && !out_answer->is_too_large;
    if (out_answer->is_broken && out_answer->why[0] == '\0')
        (void)snprintf(out_answer->why, sizeof out_answer->why, "%s", curl_easy_strerror(outcome));
    if (outcome == CURLE_OK || !refuses_to_ask(outcome))
        return true;
    s3_answer_fini(out_answer);
    if (outcome == CURLE_URL_MALFORMAT)
        return err_set(err, ERR_USAGE, 0, "The endpoint is no http:// or https:// URL: '%s'.", request->url);
    if (outcome == CURLE_SSL_CACERT_BADFILE)
        return err_set(err, ERR_USAGE, 0, "AWS_CA_BUNDLE names no file of certificates: %s.", out_answer->why);
    return err_set(err, ERR_DENIED, 0, "The certificate of the store is not trusted: %s. Add its authority to the system's certificates, or name the file in AWS_CA_BUNDLE.",
                   out_answer->why);
}

void
s3_answer_fini(struct s3_answer *answer)
{
    buf_fini(&answer->body);
}

/* ---- XML ------------------------------------------------------------------------------------------------------------------------ */

static const uint8_t *
find(struct bytes in, const char *what)
{
    return in.len == 0 ? NULL : memmem(in.data, in.len, what, strlen(what));
}

/* What is between <NAME> and </NAME>; *REST goes on behind it. */
static bool
element_next(struct bytes *rest, const char *name, struct bytes *out_inner)
{
    char open[64], close[64];
    const uint8_t *begin, *end;

    (void)snprintf(open, sizeof open, "<%s>", name);
    (void)snprintf(close, sizeof close, "</%s>", name);
    begin = find(*rest, open);
    if (begin == NULL)
        return false;
    begin += strlen(open);
    end = find(bytes_from(begin, (size_t)(rest->data + rest->len - begin)), close);
    if (end == NULL)
        return false;
    *out_inner = bytes_from(begin, (size_t)(end - begin));
    *rest = bytes_from(end + strlen(close), (size_t)(rest->data + rest->len - end) - strlen(close));
    return true;
}

static void
utf8_append(struct buf *out, uint32_t c)
{
    static const struct { uint32_t below; uint8_t mark; int shift; } lengths[] = { { 0x80, 0, 0 }, { 0x800, 0xC0, 6 }, { 0x10000, 0xE0, 12 }, { 0x110000, 0xF0, 18 } };
    size_t i = 0;

    while (c >= lengths[i].below)
        i++;
    buf_append_byte(out, (uint8_t)(lengths[i].mark | c >> lengths[i].shift));
    for (int shift = lengths[i].shift - 6; shift >= 0; shift -= 6)
        buf_append_byte(out, (uint8_t)(0x80 | (c >> shift & 0x3F)));
}

/* TEXT begins with "&#228;" or "&#xE4;": how long that is, its character goes to OUT; 0: it does not. */
static size_t
number_decode(struct bytes text, struct buf *out)
{
    const bool is_hex = bytes_has_prefix(text, bytes_of("&#x"));
    static const char digits[] = "0123456789abcdef";
    size_t at = is_hex ? 3 : 2;
    uint32_t c = 0;

    if (!bytes_has_prefix(text, bytes_of("&#")))
        return 0;
    for (; at < text.len && text.data[at] != ';'; at++) {
        const char *digit = memchr(digits, tolower(text.data[at]), is_hex ? 16 : 10);

        if (digit == NULL || c > UNICODE_MAX)
            return 0;
        c = c * (is_hex ? 16 : 10) + (uint32_t)(digit - digits);
    }
    if (at == text.len || c == 0 || c > UNICODE_MAX)
        return 0;
    utf8_append(out, c);
    return at + 1;
}

/* The five entities, and characters by number: Ceph has control characters so. What is neither stays as it is. */
static char *
text_decode(struct bytes text)
{
    static const struct { const char *entity; char c; } entities[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' } };
    struct buf out = { 0 };
    char *decoded;

    while (text.len > 0) {
        size_t len = number_decode(text, &out);

        for (size_t i = 0; len == 0 && i < ARRAY_LEN(entities); i++)
            if (bytes_has_prefix(text, bytes_of(entities[i].entity))) {
                buf_append_byte(&out, (uint8_t)entities[i].c);
                len = strlen(entities[i].entity);
            }
        if (len == 0) {
            buf_append_byte(&out, text.data[0]);
            len = 1;
        }
        text = bytes_from(text.data + len, text.len - len);
    }
    decoded = bytes_dup(buf_view(&out));
    buf_fini(&out);
    return decoded;
}

char *
s3_element(struct bytes xml, const char *name)
{
    struct bytes inner;

    return element_next(&xml, name, &inner) ? text_decode(inner) : NULL;
}

bool
s3_page_read(struct bytes xml, void (*fn)(void *owner, const char *key, uint64_t bytes), void *owner, char **out_next, struct err *err)
{
    struct bytes rest = xml, inner;
    char *truncated = s3_element(xml, "IsTruncated");
    const bool is_more = truncated != NULL && strcmp(truncated, "true") == 0;

    free(truncated);
    *out_next = NULL;
    if (find(xml, "<ListBucketResult") == NULL)
        return err_set(err, ERR_MALFORMED, 0, "the store's answer is no list of objects");
    while (element_next(&rest, "Contents", &inner)) {
        char *key = s3_element(inner, "Key"), *size = s3_element(inner, "Size");

        if (key != NULL && size != NULL)
            fn(owner, key, strtoull(size, NULL, 10));
        free(key);
        free(size);
    }
    if (is_more)
        *out_next = s3_element(xml, "NextContinuationToken");
    return !is_more || *out_next != NULL ? true : err_set(err, ERR_MALFORMED, 0, "the store's list of objects goes on, but it does not say where");
}
