/*
 * wire_http_fuzz — hostile requests: the outcome does not depend on how the bytes are cut; what is accepted is well
 * formed; a head that was read can be written again. The first byte chooses the pieces.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire/http_reader.h"
#include "lib/wire/http_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct outcome {
    struct buf log; /* heads and ends of all messages */
    struct buf body;
};

static void
check_head(const struct http_head *h)
{
    struct bytes rest = h->headers, name, value;
    struct http_answer a = { .status = 200, .headers = h->headers };
    struct buf out = { 0 };
    struct err err;

    assert(h->path.len > 0 && h->path.data[0] == '/');
    assert(h->host.len > 0 && h->host.len <= HTTP_HOST_MAX_BYTES);
    assert(!(h->has_length && h->is_chunked));
    while (http_header_next(&rest, &name, &value)) {
        assert(http_is_token(name));
        for (size_t i = 0; i < value.len; i++)
            assert(value.data[i] >= 0x20 || value.data[i] == '\t');
    }
    assert(rest.len == 0);
    if (!http_answer_write(&out, &a, &err))
        abort();
    buf_fini(&out);
}

static void
run(struct outcome *o, struct bytes in, size_t piece)
{
    struct http_reader *r = http_reader_create();
    size_t at = 0, used;

    while (at < in.len || !http_reader_is_idle(r)) {
        size_t n = in.len - at < piece ? in.len - at : piece;
        enum http_step step = http_reader_feed(r, bytes_from(in.data + at, n), &used, &o->body);
        assert(used <= n);
        at += used;
        if (step == HTTP_STEP_HEAD) {
            const struct http_head *h = http_reader_head(r);
            check_head(h);
            buf_printf(&o->log, "%.*s %.*s %zu;", (int)h->method.len, (const char *)h->method.data, (int)h->path.len,
                       (const char *)h->path.data, h->headers.len);
        } else if (step == HTTP_STEP_DONE) {
            buf_printf(&o->log, "%zu.", o->body.len);
            http_reader_next(r);
        } else if (step == HTTP_STEP_BAD) {
            assert(http_reader_status(r) >= 400 && http_reader_reason(r) != NULL);
            buf_append_str(&o->log, "bad");
            break;
        } else if (at == in.len) {
            break;
        }
    }
    http_reader_destroy(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct outcome whole = { 0 }, pieces = { 0 };
    uint64_t n;

    if (len < 1)
        return 0;
    run(&whole, bytes_from(data + 1, len - 1), len);
    run(&pieces, bytes_from(data + 1, len - 1), (size_t)(data[0] % 16) + 1);
    assert(bytes_equal(buf_view(&whole.log), buf_view(&pieces.log)));
    (void)http_number(bytes_from(data + 1, len - 1), &n); /* must only not crash */
    (void)http_list_has(bytes_from(data + 1, len - 1), "close");
    (void)http_date_parse(bytes_from(data + 1, len - 1));
    buf_fini(&whole.log);
    buf_fini(&whole.body);
    buf_fini(&pieces.log);
    buf_fini(&pieces.body);
    return 0;
}
