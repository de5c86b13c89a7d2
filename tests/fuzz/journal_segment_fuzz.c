/*
 * journal_segment_fuzz — a segment with any bytes behind its header: the scan tells only records that lie in the file, the core
 * stays sound, and a second scan (by the index that the first one's seal wrote) tells the core the same. The first
 * byte of the input chooses what is put right before: checks and sums of records as they follow each other (so that bodies are reached), the last
 * record made an index with a trailer (so that its entries are), and a limit.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/base/crc32c.h"
#include "lib/sys/sys.h"
#include "src/journal/journal_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FIX_RECORDS = 1, FIX_INDEX = 2, WITH_LIMIT = 4 };

static struct buf file;                    /* the only one there is */

static int memory_openat(int dir, const char *path, int flags, mode_t mode) { return 77; }
static int memory_close(int fd) { return 0; }
static int memory_sync(int fd) { return 0; }
static int memory_fallocate(int fd, int mode, off_t at, off_t len) { return 0; }
static int memory_unlinkat(int dir, const char *path, int flags) { return 0; }

static ssize_t
memory_pread(int fd, void *out, size_t len, off_t at)
{
    const size_t left = (size_t)at < file.len ? file.len - (size_t)at : 0;

    if (left < len)
        len = left;
    if (len > 0)
        memcpy(out, file.data + at, len);
    return (ssize_t)len;
}

static int
memory_ftruncate(int fd, off_t len)
{
    if ((size_t)len > file.len) {
        buf_reserve(&file, (size_t)len - file.len);
        memset(file.data + file.len, 0, (size_t)len - file.len);
    }
    file.len = (size_t)len;
    return 0;
}

static ssize_t
memory_pwrite(int fd, const void *in, size_t len, off_t at)
{
    if ((size_t)at + len > file.len)
        (void)memory_ftruncate(fd, at + (off_t)len);   /* cannot fail */
    memcpy(file.data + at, in, len);
    return (ssize_t)len;
}

static int
memory_fstat(int fd, struct stat *out)
{
    memset(out, 0, sizeof *out);
    out->st_size = (off_t)file.len;
    return 0;
}

static int
same_random(void *out, size_t len)
{
    memset(out, 42, len);
    return 0;
}

static void
memory_install(void)
{
    sys_table.openat = memory_openat;
    sys_table.close = memory_close;
    sys_table.fsync = sys_table.fdatasync = memory_sync;
    sys_table.fallocate = memory_fallocate;
    sys_table.unlinkat = memory_unlinkat;
    sys_table.pread = memory_pread;
    sys_table.pwrite = memory_pwrite;
    sys_table.ftruncate = memory_ftruncate;
    sys_table.fstat = memory_fstat;
    sys_table.random = same_random;
}

/* Puts right what the head of each record says of it, as far as they follow each other; gives the last one's place. */
static size_t
records_fix(const uint8_t id[SEGMENT_ID_BYTES], bool with_index)
{
    size_t at = SEGMENT_HEADER_BYTES, last = 0;

    while (at + RECORD_HEAD_BYTES < file.len) {
        struct record_head head;

        record_head_get(&head, file.data + at);
        head.length = head.length % 512 + 1;
        if (at + RECORD_HEAD_BYTES + head.length > file.len)
            head.length = (uint32_t)(file.len - at - RECORD_HEAD_BYTES);
        head.marks &= MARK_BATCH | MARK_CARRY | MARK_CARRY_FIRST | MARK_CARRY_LAST;
        if (with_index && at + record_stride(head.length) + RECORD_HEAD_BYTES >= file.len)
            head.marks = MARK_INDEX;
        head.sum = crc32c(0, file.data + at + RECORD_HEAD_BYTES, head.length);
        head.check = record_check(id, &head);
        record_head_put(file.data + at, &head);
        last = at;
        at += record_stride(head.length);
    }
    if (with_index && last != 0)
        (void)memory_ftruncate(77, (off_t)at);         /* its padding; cannot fail */
    return last;
}

static void
trailer_put(const uint8_t id[SEGMENT_ID_BYTES], uint32_t offset)
{
    const uint32_t check = crc32c(crc32c(0, id, SEGMENT_ID_BYTES), &offset, sizeof offset);

    buf_append_str(&file, "DORMJEND");
    put_u32(&file, offset);
    put_u32(&file, check);
}

static void
on_found(void *owner, const struct found_record *found)
{
    assert(found->offset >= SEGMENT_HEADER_BYTES);
    assert((uint64_t)found->offset + RECORD_HEAD_BYTES + found->length <= file.len);
    core_found(owner, 1, found);
}

static void
scan(struct segment *segment, uint32_t limit, struct core *core, struct scan_result *out_result)
{
    struct err err = { 0 };
    bool ok = segment_scan(segment, limit, on_found, core, out_result, &err);

    assert(ok);                            /* memory does not fail */
    core_found_all(core);
    core_check(core);
    assert(segment_end(segment) >= SEGMENT_HEADER_BYTES);
}

static struct segment *
reopen(void)
{
    struct segment *segment = NULL;
    struct err err = { 0 };
    bool ok = segment_open(&segment, 1, 1, &err);

    assert(ok);
    return segment;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t id[SEGMENT_ID_BYTES] = { 42, 42, 42, 42, 42, 42, 42, 42, 42, 42, 42, 42, 42, 42, 42, 42 };
    const struct segment_spec spec = { .number = 1, .bytes = 4096 };
    struct core *first = core_create(), *second = core_create();
    struct segment *segment = NULL;
    struct scan_result result, again;
    struct err err = { 0 };
    uint32_t limit = 0;
    size_t last;
    bool ok;

    memory_install();
    buf_clear(&file);
    ok = segment_create(&segment, 1, &spec, &err);
    assert(ok);
    segment_close(&segment);
    if (len > 1)
        buf_append(&file, data + 1, len - 1);
    if (len > 0 && (data[0] & FIX_RECORDS) != 0) {
        last = records_fix(id, (data[0] & FIX_INDEX) != 0);
        if ((data[0] & FIX_INDEX) != 0 && last != 0)
            trailer_put(id, (uint32_t)last);
        if ((data[0] & WITH_LIMIT) != 0)
            limit = (uint32_t)(last != 0 ? last : SEGMENT_HEADER_BYTES);
    }
    segment = reopen();
    scan(segment, limit, first, &result);
    if (!result.is_indexed) {
        ok = segment_sync_found(segment, &err) && segment_seal(segment, &err);
        assert(ok);
        segment_close(&segment);
        segment = reopen();
        scan(segment, 0, second, &again);
        assert(again.is_indexed);
        assert(result.damaged > 0 || core_kept(second) == core_kept(first));
    }
    segment_close(&segment);
    core_destroy(&first);
    core_destroy(&second);
    return 0;
}
