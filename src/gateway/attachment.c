/* attachment — see the header. */
#include "src/gateway/attachment.h"

#include <assert.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ipc/ipc_limits.h"
#include "src/gateway/gateway_limits.h"

static_assert(WS_ATTACHMENT_MAX_BYTES < UINT16_MAX, "its size fits");

void
attachment_fini(struct attachment *a)
{
    free(a->data);
    *a = (struct attachment){ 0 };
}

void
attachment_set(struct attachment *a, struct bytes value)
{
    static char packed[WS_ATTACHMENT_MAX_BYTES];
    struct bytes kept = value;

    assert(value.len <= WS_ATTACHMENT_MAX_BYTES);
    attachment_fini(a);
    if (value.len == 0)
        return;
    if (value.len > ATTACHMENT_PLAIN_BYTES_MAX) {
        /* No room for a result that is not smaller: then there is none. */
        int n = LZ4_compress_default((const char *)value.data, packed, (int)value.len, (int)value.len - 1);

        if (n > 0)
            kept = bytes_from(packed, (size_t)n);
    }
    a->data = malloc(kept.len);
    assert(a->data != NULL);
    memcpy(a->data, kept.data, kept.len);
    a->kept = (uint16_t)kept.len;
    a->bytes = (uint16_t)value.len;
}

struct bytes
attachment_get(const struct attachment *a, struct buf *scratch)
{
    int n;

    if (a->kept == a->bytes)
        return bytes_from(a->data, a->bytes);
    buf_clear(scratch);
    buf_reserve(scratch, a->bytes);
    n = LZ4_decompress_safe((const char *)a->data, (char *)scratch->data, a->kept, a->bytes);
    assert(n == a->bytes); /* attachment_set made it */
    scratch->len = a->bytes;
    return buf_view(scratch);
}
