/*
 * natives_deflate — deflate, zlib and gzip streams (docs/host-interface.md): RFC 1951, 1950, 1952, by zlib.
 *
 * A stream is a number in its agent's table; zlib's state is the host's and ends with the heap. What one push may produce is
 * bounded: a bomb ends with an exception, not with the worker's memory.
 */
#include <assert.h>
#include <stdlib.h>
#include <zlib.h>

#include "src/worker/agent.h"
#include "src/worker/deflate.h"
#include "src/worker/natives.h"
#include "src/worker/worker_limits.h"

enum { MODE_COMPRESS = 0, MODE_DECOMPRESS = 1 };

struct deflate_stream {
    z_stream z;
    bool     is_compressor, is_ended;
};

static void
stream_free(struct deflate_stream *s)
{
    (void)(s->is_compressor ? deflateEnd(&s->z) : inflateEnd(&s->z));
    free(s);
}

void
deflate_drop(struct agent *a)
{
    size_t cursor = 0;
    uint64_t id;
    void *value;

    if (a->deflate_streams == NULL)
        return;
    while (umap_next(a->deflate_streams, &cursor, &id, &value))
        stream_free(value);
    umap_destroy(&a->deflate_streams);
}

/* zlib's window bits: 15, negative for raw, +16 for gzip. */
static int
window_bits(struct bytes format)
{
    if (bytes_equal_str(format, "deflate-raw"))
        return -15;
    return bytes_equal_str(format, "gzip") ? 15 + 16 : bytes_equal_str(format, "deflate") ? 15 : 0;
}

jsval
native_deflate_open(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    bool is_compressor = js_get_double(ARG(0)) == MODE_COMPRESS;
    struct deflate_stream *s;
    struct bytes format;
    int bits, r;

    if (!js_to_utf8(ARG(1), &format))
        return JSV_EXCEPTION;
    bits = window_bits(format);
    if (a == NULL || bits == 0)
        return js_throw_type("deflateOpen takes a mode and a format");
    if (a->deflate_streams == NULL)
        a->deflate_streams = umap_create();
    if (umap_count(a->deflate_streams) >= DEFLATE_STREAMS_MAX)
        return js_throw_error("Too many compression streams are open (%d).", DEFLATE_STREAMS_MAX);
    s = calloc(1, sizeof *s);
    assert(s != NULL);
    s->is_compressor = is_compressor;
    r = is_compressor ? deflateInit2(&s->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) : inflateInit2(&s->z, bits);
    if (r != Z_OK) {
        free(s);
        return js_throw_error("The compression stream could not be made.");
    }
    umap_put(a->deflate_streams, ++a->last_deflate_stream, s);
    return js_new_number(a->last_deflate_stream);
}

static struct deflate_stream *
stream_arg(jsval v)
{
    struct agent *a = agent_current();
    double id = js_get_double(v);
    struct deflate_stream *s;

    s = a != NULL && a->deflate_streams != NULL && id >= 1 && id <= UINT32_MAX ? umap_get(a->deflate_streams, (uint32_t)id) : NULL;
    if (s == NULL)
        js_throw_type("The compression stream is closed.");
    return s;
}

/* Runs zlib until it wants more input or has said all. */
static bool
run(struct deflate_stream *s, bool is_last, struct buf *out)
{
    for (;;) {
        int r;

        buf_reserve(out, DEFLATE_STEP_BYTES);
        s->z.next_out = out->data + out->len;
        s->z.avail_out = DEFLATE_STEP_BYTES;
        r = s->is_compressor ? deflate(&s->z, is_last ? Z_FINISH : Z_NO_FLUSH) : inflate(&s->z, Z_NO_FLUSH);
        out->len += DEFLATE_STEP_BYTES - s->z.avail_out;
        if (out->len > DEFLATE_PUSH_BYTES_MAX) {
            js_throw_range("One chunk of the compression stream gives more than %u bytes.", DEFLATE_PUSH_BYTES_MAX);
            return false;
        }
        if (r == Z_STREAM_END) {
            s->is_ended = true;
            return true;
        }
        if (r != Z_OK && r != Z_BUF_ERROR) {
            js_throw_type("Decompression failed.");
            return false;
        }
        if (s->z.avail_out > 0)
            return true;               /* it has taken everything */
    }
}

jsval
native_deflate_push(NATIVE_PARAMS)
{
    static struct buf out;             /* kept: making the result may leave by a trap */
    struct deflate_stream *s = stream_arg(ARG(0));
    bool is_last = js_to_bool(ARG(2));
    struct bytes in;

    if (s == NULL)
        return JSV_EXCEPTION;
    if (!js_view_bytes(ARG(1), &in) || in.len > UINT32_MAX)
        return js_throw_type("deflatePush takes bytes");
    if (s->is_ended && in.len > 0)
        return js_throw_type("Trailing bytes after end of compressed data");
    buf_clear(&out);
    s->z.next_in = (Bytef *)(uintptr_t)in.data;
    s->z.avail_in = (uInt)in.len;
    if (!s->is_ended && !run(s, is_last, &out))
        return JSV_EXCEPTION;
    if (s->is_ended && s->z.avail_in > 0)
        return js_throw_type("Trailing bytes after end of compressed data");
    if (is_last && !s->is_ended)
        return js_throw_type("Called close() on a decompression stream with incomplete data");
    return js_new_array_buffer(buf_view(&out));
}

jsval
native_deflate_close(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    double id = js_get_double(ARG(0));
    struct deflate_stream *s;

    if (a == NULL || a->deflate_streams == NULL || !(id >= 1 && id <= UINT32_MAX))
        return JSV_UNDEFINED;
    s = umap_take(a->deflate_streams, (uint32_t)id);
    if (s != NULL)
        stream_free(s);
    return JSV_UNDEFINED;
}
