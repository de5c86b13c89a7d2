/*
 * worker_snapshot_fuzz — the reader of snapshots. Files come from a disk that others may have written to: their checksums are made right here, so that
 * what they say is what is tested. What is accepted lies within the file, and is the same when it is written and read once more.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/worker/snapshot_format.h"
#include "src/worker/worker_limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
make_right(uint8_t *file, size_t len)
{
    struct snapshot_header h;

    if (len < sizeof h)
        return;
    memcpy(&h, file, sizeof h);
    h.magic = SNAPSHOT_MAGIC;
    h.version = h.version == SNAPSHOT_VERSION_ALONE ? h.version : SNAPSHOT_VERSION;
    h.packs_bytes = h.version == SNAPSHOT_VERSION_ALONE ? 0 : h.packs_bytes % (2 * SNAPSHOT_PACKS_MAX * SNAPSHOT_ID_BYTES);
    if (snapshot_head_bytes(&h) <= len) {
        h.body_check = crc32c(0, file + snapshot_head_bytes(&h), len - snapshot_head_bytes(&h));
        memcpy(file, &h, snapshot_header_bytes(h.version));
        h.head_check = snapshot_head_check(file, &h);
    }
    memcpy(file, &h, snapshot_header_bytes(h.version));
}

static void
check_within(struct bytes part, const uint8_t *file, size_t len)
{
    assert(part.len == 0 || (part.data >= file && part.data + part.len <= file + len));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *file = malloc(len + 1);           /* of its own: reading beyond it is found */
    struct snapshot s, again, head;
    struct buf packed = { 0 };
    struct snapshot_header h;
    bool is_alone;

    assert(file != NULL);
    memcpy(file, data, len);
    make_right(file, len);
    is_alone = len >= sizeof h && (memcpy(&h, file, sizeof h), h.version == SNAPSHOT_VERSION_ALONE);
    if (snapshot_unpack_head(&head, bytes_from(file, len < SNAPSHOT_HEAD_MAX_BYTES ? len : SNAPSHOT_HEAD_MAX_BYTES), NULL))
        assert(head.label.len <= SNAPSHOT_LABEL_BYTES_MAX);
    if (snapshot_unpack(&s, bytes_from(file, len), NULL)) {
        check_within(s.class_name, file, len);
        check_within(s.packs, file, len);
        check_within(s.timers, file, len);
        check_within(s.pages, file, len);
        check_within(s.image, file, len);
        assert(snapshot_timers_count(&s) <= TIMERS_MAX);
        for (size_t i = 0; i < snapshot_timers_count(&s); i++)
            (void)snapshot_timer_at(&s, i);
        snapshot_pack(&packed, &s);
        assert(packed.len - len == (is_alone ? sizeof(struct snapshot_header) - SNAPSHOT_HEADER_ALONE_BYTES : 0));
        assert(snapshot_unpack(&again, buf_view(&packed), NULL));
        assert(again.seq == s.seq && again.heap == s.heap && bytes_equal(again.image, s.image) && bytes_equal(again.label, s.label));
    }
    buf_fini(&packed);
    free(file);
    return 0;
}
