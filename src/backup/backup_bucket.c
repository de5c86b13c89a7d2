/*
 * backup_bucket — a target that is a bucket of an S3-compatible store, addressed by path: ENDPOINT/BUCKET/PREFIX/NAME.
 *
 * What may pass (no connection, a broken answer, 408, 429, 5xx, "RequestTimeout") is tried again, S3_TRIES times in all, each wait twice the
 * one before and up to half of it by chance. Objects are PUT whole, with the checksum that is signed: a store never has half of one.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/backup/backup_job.h"
#include "src/backup/backup_limits.h"
#include "src/backup/backup_s3.h"
#include "src/backup/backup_target.h"

struct bucket {
    struct target  base;
    CURL          *curl;
    struct s3_keys keys;
    char          *root;                   /* ENDPOINT/BUCKET, owned */
    char          *bucket, *prefix;        /* "" or "…/"; owned */
    char          *region;                 /* owned */
    void         (*tick)(void *owner);
    void          *owner;
};

static struct bucket *
bucket_of(struct target *target)
{
    return container_of(target, struct bucket, base);
}

static bool
may_pass(const struct s3_answer *answer)
{
    char *code = answer->status == 400 ? s3_element(buf_view(&answer->body), "Code") : NULL;
    const bool is_late = code != NULL && strcmp(code, "RequestTimeout") == 0;      /* Amazon's 408 */

    free(code);
    return answer->is_broken || is_late || answer->status == 408 || answer->status == 429 || answer->status >= 500;
}

static void
retry_wait(const struct bucket *b, int tries)
{
    int64_t wait_ms = S3_RETRY_MS;
    int64_t until_ms;

    for (int i = 1; i < tries && wait_ms < S3_RETRY_MS_MAX; i++)
        wait_ms *= 2;
    wait_ms += (int64_t)(rng_u64() % (uint64_t)(wait_ms / 2));
    until_ms = clock_mono_ms() + wait_ms;
    for (int64_t left_ms = wait_ms; left_ms > 0; left_ms = until_ms - clock_mono_ms()) {
        b->tick(b->owner);
        clock_wait_ms(left_ms < 1000 ? left_ms : 1000);
    }
}

/* What to do when the store says CODE; some stores say no more than that. */
static const char *
advice_for(const char *code)
{
    static const struct { const char *code, *advice; } advices[] = {
        { "AccessDenied", "This key must be allowed to list the bucket, and to read, write and delete its objects." },
        { "AuthorizationHeaderMalformed", "Name the region of the bucket with --region." },
        { "ExpiredToken", "The session of AWS_SESSION_TOKEN is over: begin a new one." },
        { "InvalidAccessKeyId", "The store does not know this access key: look at the key, and at the endpoint." },
        { "NoSuchBucket", "Make the bucket first, or name another." },
        { "PermanentRedirect", "The bucket is elsewhere: name its region with --region, or its endpoint." },
        { "QuotaExceeded", "The owner of this key may store no more: give it more room, or delete backups with 'dormouse backup prune'." },
        { "RequestTimeTooSkewed", "The clock of this machine and the store's differ by too much: set them right." },
        { "SignatureDoesNotMatch", "The secret key is not that of the access key, or --region is not the store's." },
    };

    for (size_t i = 0; code != NULL && i < ARRAY_LEN(advices); i++)
        if (strcmp(code, advices[i].code) == 0)
            return advices[i].advice;
    return NULL;
}

/* "403 CODE. ADVICE It says: MESSAGE (GET URL)": what is too long is cut at its end. */
static void
refusal_set(const struct s3_request *request, const struct s3_answer *answer, enum err_code kind, struct err *err)
{
    char *code = s3_element(buf_view(&answer->body), "Code"), *message = s3_element(buf_view(&answer->body), "Message");
    const char *advice = advice_for(code);
    struct buf said = { 0 };

    buf_printf(&said, "%ld", answer->status);
    if (code != NULL && code[0] != '\0')
        buf_printf(&said, " %s", code);
    buf_append_byte(&said, '.');
    if (advice != NULL)
        buf_printf(&said, " %s", advice);
    if (message != NULL && message[0] != '\0')
        buf_printf(&said, " It says: %s", message);
    (void)err_set(err, kind, 0, "The store refuses: %s (%s %s)", buf_cstr(&said), request->method, request->url);
    buf_fini(&said);
    free(code);
    free(message);
}

static bool
refused(const struct bucket *b, const struct s3_request *request, const struct s3_answer *answer, struct err *err)
{
    const enum err_code kind = answer->status == 404 ? ERR_NOT_FOUND : answer->status == 403 || answer->status == 401 ? ERR_DENIED : ERR_UNAVAILABLE;

    if (answer->is_too_large)
        (void)err_set(err, ERR_LIMIT, 0, "%s %s: the answer is too large", request->method, request->url);
    else if (answer->is_broken)
        (void)err_set(err, ERR_NETWORK, 0, "The store at %s cannot be reached: %s.", b->root, answer->why);
    else
        refusal_set(request, answer, kind, err);
    return false;
}

/* Until it is answered with a status of 2xx; OUT (NULL: the body is not wanted) is appended to. */
static bool
ask(struct bucket *b, struct s3_request *request, struct buf *out, struct err *err)
{
    const uint64_t bytes_max = request->bytes_max;

    request->region = b->region;
    request->service = "s3";
    request->tick = b->tick;
    request->owner = b->owner;
    request->bytes_max = bytes_max < S3_ERROR_BYTES_MAX ? S3_ERROR_BYTES_MAX : bytes_max;
    for (int tries = 1;; tries++) {
        struct s3_answer answer;
        bool is_good;

        b->tick(b->owner);
        if (!s3_ask(b->curl, &b->keys, request, &answer, err))
            return false;
        is_good = !answer.is_broken && !answer.is_too_large && answer.status >= 200 && answer.status < 300;
        if (is_good && out != NULL)
            buf_append_bytes(out, buf_view(&answer.body));
        if (!is_good && (!may_pass(&answer) || tries == S3_TRIES))
            (void)refused(b, request, &answer, err);
        s3_answer_fini(&answer);
        if (is_good || err->code != ERR_NONE || !go_on(err))
            return is_good;
        retry_wait(b, tries);
    }
}

static void
url_of(const struct bucket *b, const char *name, struct buf *out)
{
    buf_printf(out, "%s/", b->root);
    s3_encode(out, b->prefix, S3_KEEP_SLASH);
    s3_encode(out, name, S3_KEEP_SLASH);
}

static bool
bucket_put(struct target *target, const char *name, struct bytes data, struct err *err)
{
    struct bucket *b = bucket_of(target);
    struct buf url = { 0 };
    struct s3_request request = { .method = "PUT", .body = data };
    bool ok;

    url_of(b, name, &url);
    request.url = buf_cstr(&url);
    ok = ask(b, &request, NULL, err);
    buf_fini(&url);
    return ok;
}

static bool
bucket_get(struct target *target, const char *name, struct span span, uint64_t bytes_max, struct buf *out, struct err *err)
{
    struct bucket *b = bucket_of(target);
    const size_t start = out->len;
    struct buf url = { 0 };
    char range[64];
    struct s3_request request = { .method = "GET", .bytes_max = bytes_max };
    bool ok;

    (void)snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)span.at, (unsigned long long)(span.at + span.len - 1));
    if (span.len > 0)
        request.range = range;
    url_of(b, name, &url);
    request.url = buf_cstr(&url);
    ok = ask(b, &request, out, err);
    buf_fini(&url);
    if (ok && span.len > 0 && out->len - start != span.len)
        ok = err_set(err, ERR_CORRUPT, 0, "'%s/%s' is shorter than it was", target->place, name);
    return ok;
}

struct listing {
    const struct bucket *bucket;
    void (*fn)(void *owner, const char *name, uint64_t bytes);
    void *owner;
    struct err strange;                    /* a name that was not asked for: skipped, it could be a backup that nobody finds again */
};

static void
on_object(void *owner, const char *key, uint64_t bytes)
{
    struct listing *listing = owner;
    const char *prefix = listing->bucket->prefix;

    if (strncmp(key, prefix, strlen(prefix)) == 0)
        listing->fn(listing->owner, key + strlen(prefix), bytes);
    else
        (void)err_set(&listing->strange, ERR_MALFORMED, 0, "The store lists other names than it was asked for: choose another prefix. Asked for '%s', it lists '%s'.", prefix, key);
}

static bool
bucket_list(struct target *target, const char *prefix, void (*fn)(void *owner, const char *name, uint64_t bytes), void *owner, struct err *err)
{
    struct bucket *b = bucket_of(target);
    struct listing listing = { .bucket = b, .fn = fn, .owner = owner };
    char *token = NULL;
    bool ok;

    do {
        struct buf url = { 0 }, page = { 0 };
        struct s3_request request = { .method = "GET", .bytes_max = S3_LIST_BYTES_MAX };

        buf_printf(&url, "%s?", b->root);
        if (token != NULL) {
            buf_append_str(&url, "continuation-token=");
            s3_encode(&url, token, S3_ENCODE_SLASH);
            buf_append_byte(&url, '&');
        }
        buf_append_str(&url, "list-type=2&prefix=");
        s3_encode(&url, b->prefix, S3_ENCODE_SLASH);
        s3_encode(&url, prefix, S3_ENCODE_SLASH);
        free(STEAL(token));
        request.url = buf_cstr(&url);
        ok = ask(b, &request, &page, err) && s3_page_read(buf_view(&page), on_object, &listing, &token, err);
        if (ok && listing.strange.code != ERR_NONE)
            ok = err_set(err, listing.strange.code, 0, "%s", listing.strange.message);
        buf_fini(&url);
        buf_fini(&page);
    } while (ok && token != NULL);
    free(token);
    return ok;
}

static bool
bucket_remove(struct target *target, const char *name, struct err *err)
{
    struct bucket *b = bucket_of(target);
    struct buf url = { 0 };
    struct s3_request request = { .method = "DELETE" };
    struct err why = { 0 };
    bool ok;

    url_of(b, name, &url);
    request.url = buf_cstr(&url);
    ok = ask(b, &request, NULL, &why);
    buf_fini(&url);
    return ok || why.code == ERR_NOT_FOUND ? true : err_set(err, why.code, 0, "%s", why.message);
}

static void
bucket_close(struct target *target)
{
    struct bucket *b = bucket_of(target);

    curl_easy_cleanup(b->curl);
    s3_keys_fini(&b->keys);
    free(b->root);
    free(b->bucket);
    free(b->prefix);
    free(b->region);
    free(b);
}

/* ---- opening --------------------------------------------------------------------------------------------------------------------- */

static const char *
first_of(const char *given, const char *one, const char *other)
{
    const char *value = given;

    if (value == NULL || value[0] == '\0')
        value = getenv(one);
    if ((value == NULL || value[0] == '\0') && other != NULL)
        value = getenv(other);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

/* s3://BUCKET/PREFIX */
static bool
place_read(struct bucket *b, const char *place, struct err *err)
{
    const char *name = place + strlen("s3://");
    const size_t len = strcspn(name, "/");
    const char *prefix = name + len;
    struct buf out = { 0 };

    if (len < 3 || len > 63 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") < len)
        return err_set(err, ERR_USAGE, 0, "'%s' names no bucket: it is s3://BUCKET/PREFIX, BUCKET of 3 to 63 a-z, 0-9, '.' and '-'.", place);
    while (*prefix == '/')
        prefix++;
    buf_append_str(&out, prefix);
    while (out.len > 0 && out.data[out.len - 1] == '/')
        out.len--;
    if (out.len > 0)
        buf_append_byte(&out, '/');
    b->bucket = bytes_dup(bytes_from(name, len));
    b->prefix = bytes_dup(buf_view(&out));
    buf_fini(&out);
    return strlen(b->prefix) < S3_KEY_BYTES_MAX - PATH_BYTES / 32 ? true : err_set(err, ERR_USAGE, 0, "The prefix is too long, it may have %d bytes: '%s'.", S3_KEY_BYTES_MAX - PATH_BYTES / 32 - 2, place);
}

static bool
endpoint_read(struct bucket *b, const struct target_spec *spec, struct err *err)
{
    const char *region = first_of(spec->region, "AWS_REGION", "AWS_DEFAULT_REGION");
    const char *endpoint = first_of(spec->endpoint, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
    struct buf root = { 0 };

    b->region = bytes_dup(bytes_of(region != NULL ? region : "us-east-1"));
    if (strspn(b->region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(b->region))
        return err_set(err, ERR_USAGE, 0, "'%s' is no region.", b->region);
    if (endpoint != NULL && strncmp(endpoint, "http://", 7) != 0 && strncmp(endpoint, "https://", 8) != 0)
        return err_set(err, ERR_USAGE, 0, "The endpoint '%s' is no http:// or https:// URL.", endpoint);
    if (endpoint != NULL)
        buf_append_str(&root, endpoint);
    else
        buf_printf(&root, "https://s3.%s.amazonaws.com", b->region);
    while (root.data[root.len - 1] == '/')
        root.len--;
    buf_printf(&root, "/%s", b->bucket);
    b->root = bytes_dup(buf_view(&root));
    buf_fini(&root);
    return true;
}

bool
s3_target_open(struct target **out_target, const struct target_spec *spec, struct err *err)
{
    static const struct target_kind kind = { bucket_put, bucket_get, bucket_list, bucket_remove, bucket_close };
    struct bucket *b = calloc(1, sizeof *b);

    assert(b != NULL);
    b->base = (struct target){ &kind, bytes_dup(bytes_of(spec->place)) };
    b->tick = spec->tick;
    b->owner = spec->owner;
    if (!place_read(b, spec->place, err) || !endpoint_read(b, spec, err) || !s3_keys_read(&b->keys, spec->credentials, err)) {
        struct target *half = &b->base;

        target_close(&half);
        return false;
    }
    b->curl = curl_easy_init();
    assert(b->curl != NULL);
    *out_target = &b->base;
    return true;
}
