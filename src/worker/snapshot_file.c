/* snapshot_file — see snapshot_file.h. */
#include "src/worker/snapshot_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/ipc/ipc_limits.h"
#include "lib/sys/sys.h"
#include "src/worker/snapshot_format.h"
#include "src/worker/worker_limits.h"

static_assert(sizeof(struct snapshot_header) + NAME_MAX_BYTES + SNAPSHOT_LABEL_BYTES_MAX + SNAPSHOT_PACKS_MAX * SNAPSHOT_ID_BYTES <= SNAPSHOT_HEAD_MAX_BYTES, "a head is read at once");
static_assert(sizeof(struct snapshot_timer) == 16, "timers are packed as they are");

void
snapshot_pack(struct buf *out, const struct snapshot *s)
{
    struct snapshot_header h = {
        .magic = SNAPSHOT_MAGIC, .version = SNAPSHOT_VERSION, .heap = s->heap, .time_ms = s->time_ms, .seq = s->seq, .is_passing = s->is_passing,
        .next_incoming = s->next_incoming, .last_cursor = s->last_cursor, .last_deflate_stream = s->last_deflate_stream,
        .wait_until = s->wait_until, .class_bytes = (uint32_t)s->class_name.len, .label_bytes = (uint32_t)s->label.len,
        .timers_bytes = (uint32_t)s->timers.len, .pages_bytes = s->pages.len, .image_bytes = s->image.len, .packs_bytes = s->packs.len,
    };
    const size_t start = out->len;
    size_t head;

    assert(s->class_name.len <= NAME_MAX_BYTES);
    assert(s->label.len <= SNAPSHOT_LABEL_BYTES_MAX);
    assert(s->packs.len % SNAPSHOT_ID_BYTES == 0 && s->packs.len <= SNAPSHOT_PACKS_MAX * SNAPSHOT_ID_BYTES);
    memcpy(h.id, s->id.bytes, sizeof h.id);
    memcpy(h.agent, s->agent.bytes, sizeof h.agent);
    head = snapshot_head_bytes(&h);
    h.bytes = head + h.timers_bytes + h.pages_bytes + h.image_bytes;
    buf_reserve(out, h.bytes);
    buf_append(out, &h, sizeof h);
    buf_append_bytes(out, s->class_name);
    buf_append_bytes(out, s->label);
    buf_append_bytes(out, s->packs);
    buf_append_bytes(out, s->timers);
    buf_append_bytes(out, s->pages);
    buf_append_bytes(out, s->image);
    h.body_check = crc32c(0, out->data + start + head, h.bytes - head);
    memcpy(out->data + start, &h, sizeof h);
    h.head_check = snapshot_head_check(out->data + start, &h);
    memcpy(out->data + start, &h, sizeof h);
}

static bool
damaged(struct err *err, const char *why)
{
    return err_set(err, ERR_CORRUPT, 0, "the snapshot is damaged (%s)", why);
}

static struct bytes
take(struct bytes *rest, size_t len)
{
    struct bytes taken = bytes_from(rest->data, len);

    *rest = bytes_from(rest->data + len, rest->len - len);
    return taken;
}

static bool
read_head(struct snapshot_header *h, struct snapshot *s, struct bytes file, struct bytes *out_rest, struct err *err)
{
    struct bytes rest;

    if (file.len < SNAPSHOT_HEADER_ALONE_BYTES)
        return damaged(err, "cut short");
    *h = (struct snapshot_header){ 0 };
    memcpy(h, file.data, SNAPSHOT_HEADER_ALONE_BYTES);
    if (h->magic != SNAPSHOT_MAGIC)
        return damaged(err, "not a snapshot");
    if (h->version != SNAPSHOT_VERSION && h->version != SNAPSHOT_VERSION_ALONE)
        return err_set(err, ERR_VERSION, 0, "the snapshot is of version %u, this Dormouse reads versions up to %u", h->version, SNAPSHOT_VERSION);
    if (snapshot_header_bytes(h->version) > file.len)
        return damaged(err, "cut short");
    memcpy(h, file.data, snapshot_header_bytes(h->version));
    if (h->packs_bytes > SNAPSHOT_PACKS_MAX * SNAPSHOT_ID_BYTES || h->packs_bytes % SNAPSHOT_ID_BYTES != 0)
        return damaged(err, "too many packs");
    if (h->class_bytes > NAME_MAX_BYTES || h->label_bytes > SNAPSHOT_LABEL_BYTES_MAX || snapshot_head_bytes(h) > file.len)
        return damaged(err, "cut short");
    if (snapshot_head_check(file.data, h) != h->head_check || h->heap >= SNAPSHOT_HEAPS || (h->image_bytes > 0) != (h->heap == SNAPSHOT_HEAP))
        return damaged(err, "wrong checksum");
    *s = (struct snapshot){
        .time_ms = h->time_ms, .seq = h->seq, .heap = (enum snapshot_heap)h->heap, .is_passing = h->is_passing != 0,
        .next_incoming = h->next_incoming, .last_cursor = h->last_cursor, .last_deflate_stream = h->last_deflate_stream,
        .wait_until = h->wait_until,
    };
    memcpy(s->id.bytes, h->id, sizeof h->id);
    memcpy(s->agent.bytes, h->agent, sizeof h->agent);
    rest = bytes_from(file.data + snapshot_header_bytes(h->version), file.len - snapshot_header_bytes(h->version));
    s->class_name = take(&rest, h->class_bytes);
    s->label = take(&rest, h->label_bytes);
    s->packs = take(&rest, (size_t)h->packs_bytes);
    *out_rest = rest;
    return true;
}

bool
snapshot_unpack_head(struct snapshot *s, struct bytes head, struct err *err)
{
    struct snapshot_header h;
    struct bytes rest;

    return read_head(&h, s, head, &rest, err);
}

bool
snapshot_unpack(struct snapshot *s, struct bytes file, struct err *err)
{
    struct snapshot_header h;
    struct bytes rest;

    if (!read_head(&h, s, file, &rest, err))
        return false;
    if (h.bytes != file.len || h.timers_bytes > rest.len || h.pages_bytes > rest.len - h.timers_bytes ||
        h.image_bytes != rest.len - h.timers_bytes - h.pages_bytes)
        return damaged(err, "cut short");
    if (crc32c(0, rest.data, rest.len) != h.body_check)
        return damaged(err, "wrong checksum");
    if (h.timers_bytes % sizeof(struct snapshot_timer) != 0 || h.timers_bytes / sizeof(struct snapshot_timer) > TIMERS_MAX)
        return damaged(err, "impossible timers");
    s->timers = take(&rest, h.timers_bytes);
    s->pages = take(&rest, h.pages_bytes);
    s->image = rest;
    return true;
}

const char *
snapshot_heap_text(enum snapshot_heap heap)
{
    static const char *const texts[SNAPSHOT_HEAPS] = {
        [SNAPSHOT_HEAP] = "with its memory",
        [SNAPSHOT_UNASKED] = "its memory was not asked for",
        [SNAPSHOT_ABSENT] = "it had nothing in memory",
        [SNAPSHOT_DISCARDED] = "its class does not keep its memory",
        [SNAPSHOT_LARGE] = "its memory is too large",
    };
    return texts[heap];
}

size_t
snapshot_timers_count(const struct snapshot *s)
{
    return s->timers.len / sizeof(struct snapshot_timer);
}

struct snapshot_timer
snapshot_timer_at(const struct snapshot *s, size_t index)
{
    struct snapshot_timer t;

    assert(index < snapshot_timers_count(s));
    memcpy(&t, s->timers.data + index * sizeof t, sizeof t);
    return t;
}

void
snapshot_timer_pack(struct buf *out, const struct snapshot_timer *t)
{
    buf_append(out, t, sizeof *t);
}

/* ---- ids ---- */

struct snapshot_id
snapshot_id_new(int64_t now_ms)
{
    struct snapshot_id id;

    rng_bytes(id.bytes, sizeof id.bytes);
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)((uint64_t)now_ms >> 8 * (5 - i));
    return id;
}

void
snapshot_id_to_hex(const struct snapshot_id *id, char out[SNAPSHOT_ID_HEX + 1])
{
    for (size_t i = 0; i < SNAPSHOT_ID_BYTES; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", id->bytes[i]);
}

static int
digit_of(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
snapshot_id_from_hex(struct snapshot_id *out, struct bytes hex)
{
    if (hex.len != SNAPSHOT_ID_HEX)
        return false;
    for (size_t i = 0; i < SNAPSHOT_ID_BYTES; i++) {
        int high = digit_of(hex.data[2 * i]), low = digit_of(hex.data[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* ---- files ---- */

static bool
failed(struct err *err, const char *what, const char *path)
{
    const int cause = errno;

    return err_set(err, cause == ENOSPC || cause == EDQUOT || cause == EFBIG ? ERR_DISK_FULL : ERR_IO, cause, "%s '%s'", what, path);
}

struct fresh { char path[4096 + 8]; };

/* Where PATH is until it is on disk. */
static struct fresh
fresh_of(const char *path)
{
    struct fresh f;

    (void)snprintf(f.path, sizeof f.path, "%s.new", path);
    return f;
}

int
snapshot_file_begin(const char *path, struct bytes data, struct err *err)
{
    const struct fresh fresh = fresh_of(path);
    int fd = sys_open(fresh.path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd >= 0 && sys_write_all(fd, data.data, data.len))
        return fd;
    (void)failed(err, "write", fresh.path);
    (void)sys_close(fd);               /* it is thrown away */
    return -1;
}

bool
snapshot_file_name(const char *path, struct err *err)
{
    const struct fresh fresh = fresh_of(path);

    return sys_renameat(AT_FDCWD, fresh.path, AT_FDCWD, path) == 0 ? true : failed(err, "name", path);
}

int
snapshot_folder_open(const char *path, struct err *err)
{
    char folder[4096];
    int fd;

    (void)snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    fd = sys_open(folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        (void)failed(err, "open", folder);
    return fd;
}

void
snapshot_file_drop(const char *path)
{
    (void)sys_unlinkat(AT_FDCWD, path, 0);             /* either may not be there */
    (void)sys_unlinkat(AT_FDCWD, fresh_of(path).path, 0);
}

static bool
sync_and_close(int fd, const char *path, struct err *err)
{
    const bool ok = fd >= 0 && (sys_fsync(fd) == 0 || failed(err, "sync", path));

    (void)sys_close(fd);               /* it was synced, or is thrown away */
    return ok;
}

bool
snapshot_file_write(const char *path, struct bytes data, struct err *err)
{
    if (!sync_and_close(snapshot_file_begin(path, data, err), path, err) || !snapshot_file_name(path, err)) {
        (void)sys_unlinkat(AT_FDCWD, fresh_of(path).path, 0);  /* it may not be there */
        return false;
    }
    return sync_and_close(snapshot_folder_open(path, err), path, err);
}

bool
snapshot_folder_make(const char *folder, struct err *err)
{
    return sys_mkdirat(AT_FDCWD, folder, 0700) == 0 || errno == EEXIST ? true : failed(err, "make", folder);
}

bool
snapshot_file_read(const char *path, struct buf *out, struct err *err)
{
    int fd = sys_open(path, O_RDONLY, 0);
    struct stat st;
    ssize_t n = -1;

    if (fd < 0)
        return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, 0, "there is no such snapshot") : failed(err, "open", path);
    if (sys_fstat(fd, &st) == 0 && st.st_size <= SNAPSHOT_FILE_BYTES_MAX) {
        buf_reserve(out, (size_t)st.st_size);
        n = sys_pread(fd, out->data + out->len, (size_t)st.st_size, 0);
    } else {
        errno = EFBIG;
    }
    if (n < 0)
        (void)failed(err, "read", path);
    else
        out->len += (size_t)n;         /* less than the file says is found by who reads it */
    (void)sys_close(fd);
    return n >= 0;
}
