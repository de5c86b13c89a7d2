/* The form and the files of snapshots: what was packed comes back; whatever is wrong with a file, it is refused as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/sys/sys.h"
#include "src/worker/snapshot_format.h"
#include "src/worker/worker_limits.h"

static struct snapshot
sample(struct buf *timers)
{
    struct snapshot s = {
        .time_ms = 1800000000123, .seq = 42, .heap = SNAPSHOT_HEAP, .next_incoming = 7, .last_cursor = 8, .last_deflate_stream = 9, .wait_until = 2,
        .class_name = BYTES_LIT("Counter"), .label = BYTES_LIT("before lunch"), .pages = BYTES_LIT("pages of the database"), .image = BYTES_LIT("heap"),
    };

    s.id = snapshot_id_new(s.time_ms);
    memset(s.agent.bytes, 0xa5, sizeof s.agent.bytes);
    snapshot_timer_pack(timers, &(struct snapshot_timer){ .id = 3, .section = 0, .left_ms = 1500 });
    snapshot_timer_pack(timers, &(struct snapshot_timer){ .id = 5, .section = 2, .left_ms = -1 });
    s.timers = buf_view(timers);
    return s;
}

static void
pack_sample(struct buf *out)
{
    struct buf timers = { 0 };
    struct snapshot s = sample(&timers);

    snapshot_pack(out, &s);
    buf_fini(&timers);
}

static void
test_what_was_packed_comes_back(void **state)
{
    struct buf file = { 0 }, timers = { 0 };
    struct snapshot s = sample(&timers), back, head;
    struct err err = { 0 };

    buf_append_str(&file, "before");   /* appended to */
    snapshot_pack(&file, &s);
    buf_consume(&file, 6);
    assert_true(snapshot_unpack(&back, buf_view(&file), &err));
    assert_memory_equal(&back.id, &s.id, sizeof s.id);
    assert_memory_equal(&back.agent, &s.agent, sizeof s.agent);
    assert_true(back.time_ms == s.time_ms && back.seq == 42 && back.heap == SNAPSHOT_HEAP && !back.is_passing);
    assert_true(back.next_incoming == 7 && back.last_cursor == 8 && back.last_deflate_stream == 9 && back.wait_until == 2);
    assert_true(bytes_equal(back.class_name, s.class_name) && bytes_equal(back.label, s.label));
    assert_true(bytes_equal(back.pages, s.pages) && bytes_equal(back.image, s.image));
    assert_int_equal(snapshot_timers_count(&back), 2);
    assert_int_equal(snapshot_timer_at(&back, 0).left_ms, 1500);
    assert_int_equal(snapshot_timer_at(&back, 1).section, 2);
    assert_true(snapshot_unpack_head(&head, buf_view(&file), &err));
    assert_true(bytes_equal(head.label, s.label));
    assert_int_equal(head.timers.len + head.pages.len + head.image.len, 0);
    buf_fini(&file);
    buf_fini(&timers);
}

static void
test_without_a_heap(void **state)
{
    struct buf file = { 0 };
    struct snapshot s = { .heap = SNAPSHOT_UNASKED, .is_passing = true, .class_name = BYTES_LIT("C") }, back;
    struct err err = { 0 };

    snapshot_pack(&file, &s);
    assert_true(snapshot_unpack(&back, buf_view(&file), &err));
    assert_true(back.is_passing && back.heap == SNAPSHOT_UNASKED && back.image.len == 0 && back.pages.len == 0);
    buf_clear(&file);
    s.heap = SNAPSHOT_HEAP;            /* says that there is one, and has none */
    snapshot_pack(&file, &s);
    assert_false(snapshot_unpack(&back, buf_view(&file), &err));
    buf_fini(&file);
}

/* As a Dormouse wrote it that knew of no packs. */
static void
test_an_old_one_is_read(void **state)
{
    struct buf file = { 0 }, old = { 0 };
    struct snapshot_header h;
    struct snapshot s, before;
    struct err err = { 0 };

    pack_sample(&file);
    assert_true(snapshot_unpack(&before, buf_view(&file), &err));
    memcpy(&h, file.data, sizeof h);
    h.version = SNAPSHOT_VERSION_ALONE;
    h.bytes -= sizeof h - SNAPSHOT_HEADER_ALONE_BYTES;
    buf_append(&old, &h, SNAPSHOT_HEADER_ALONE_BYTES);
    buf_append(&old, file.data + sizeof h, file.len - sizeof h);
    h.head_check = snapshot_head_check(old.data, &h);
    memcpy(old.data, &h, SNAPSHOT_HEADER_ALONE_BYTES);
    assert_true(snapshot_unpack(&s, buf_view(&old), &err));
    assert_true(s.seq == before.seq && s.packs.len == 0 && bytes_equal(s.label, before.label) && bytes_equal(s.pages, before.pages) && bytes_equal(s.image, before.image));
    assert_int_equal(snapshot_timers_count(&s), 2);
    for (size_t len = 0; len < old.len; len++)
        assert_false(snapshot_unpack(&s, bytes_from(old.data, len), NULL));
    buf_fini(&file);
    buf_fini(&old);
}

static void
test_packs_are_named(void **state)
{
    uint8_t ids[SNAPSHOT_PACKS_MAX * SNAPSHOT_ID_BYTES];
    struct buf file = { 0 };
    struct snapshot s = { .heap = SNAPSHOT_UNASKED, .class_name = BYTES_LIT("C"), .packs = bytes_from(ids, sizeof ids) }, back;
    struct snapshot_header h;

    memset(ids, 0x5a, sizeof ids);
    snapshot_pack(&file, &s);
    assert_true(snapshot_unpack_head(&back, buf_view(&file), NULL));
    assert_true(bytes_equal(back.packs, s.packs));
    for (uint64_t bytes = 1; bytes < 1 << 20; bytes = 2 * bytes + 1) {  /* no number of whole ids, or too many */
        memcpy(&h, file.data, sizeof h);
        h.packs_bytes = bytes;
        memcpy(file.data, &h, sizeof h);
        assert_false(snapshot_unpack_head(&back, buf_view(&file), NULL));
    }
    buf_fini(&file);
}

static void
test_every_cut_is_refused(void **state)
{
    struct buf file = { 0 };
    struct snapshot s;

    pack_sample(&file);
    for (size_t len = 0; len < file.len; len++) {
        uint8_t *cut = malloc(len + 1);        /* of just this size: reading beyond it is found */
        struct err err = { 0 };

        memcpy(cut, file.data, len);
        assert_false(snapshot_unpack(&s, bytes_from(cut, len), &err));
        assert_int_equal(err.code, ERR_CORRUPT);
        free(cut);
    }
    buf_append_byte(&file, 0);
    assert_false(snapshot_unpack(&s, buf_view(&file), NULL));
    buf_fini(&file);
}

static void
test_every_flipped_bit_is_refused(void **state)
{
    struct buf file = { 0 };
    struct snapshot s;

    pack_sample(&file);
    for (size_t bit = 0; bit < file.len * 8; bit++) {
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(snapshot_unpack(&s, buf_view(&file), NULL));
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(snapshot_unpack(&s, buf_view(&file), NULL));
    buf_fini(&file);
}

static void
test_too_many_timers_are_refused(void **state)
{
    struct buf file = { 0 }, timers = { 0 };
    struct snapshot s = { .heap = SNAPSHOT_UNASKED, .class_name = BYTES_LIT("C") }, back;

    for (int i = 0; i <= TIMERS_MAX; i++)
        snapshot_timer_pack(&timers, &(struct snapshot_timer){ .id = (uint32_t)i });
    s.timers = bytes_from(timers.data, TIMERS_MAX * sizeof(struct snapshot_timer));
    snapshot_pack(&file, &s);
    assert_true(snapshot_unpack(&back, buf_view(&file), NULL));
    buf_clear(&file);
    s.timers = buf_view(&timers);
    snapshot_pack(&file, &s);
    assert_false(snapshot_unpack(&back, buf_view(&file), NULL));
    buf_clear(&file);
    s.timers = bytes_from(timers.data, 17);
    snapshot_pack(&file, &s);
    assert_false(snapshot_unpack(&back, buf_view(&file), NULL));
    buf_fini(&file);
    buf_fini(&timers);
}

static void
test_ids(void **state)
{
    char hex[SNAPSHOT_ID_HEX + 1], later[SNAPSHOT_ID_HEX + 1];
    struct snapshot_id id = snapshot_id_new(1800000000000), back;
    struct snapshot_id next = snapshot_id_new(1800000000001);

    snapshot_id_to_hex(&id, hex);
    snapshot_id_to_hex(&next, later);
    assert_true(strcmp(hex, later) < 0);
    assert_true(snapshot_id_from_hex(&back, bytes_of(hex)));
    assert_memory_equal(&back, &id, sizeof id);
    for (const char *const *wrong = (const char *const[]){ "", "..", "00000000000000000000000000000g00", "000000000000000000000000000000",
                                                            "0000000000000000000000000000000A", "../../../../../../../../etc/pass", NULL };
         *wrong != NULL; wrong++)
        assert_false(snapshot_id_from_hex(&back, bytes_of(*wrong)));
}

/* ---- files ---- */

static char folder[64], path[96];
static int  failing;                   /* which call of the kernel fails: counts down */
static struct sys_table kernel;

static int
setup(void **state)
{
    (void)snprintf(folder, sizeof folder, "/tmp/dormouse-snapshot-%d", (int)getpid());
    (void)snprintf(path, sizeof path, "%s/file", folder);
    kernel = sys_table;
    return sys_mkdirat(AT_FDCWD, folder, 0700);
}

static int
teardown(void **state)
{
    sys_table = kernel;
    (void)sys_unlinkat(AT_FDCWD, path, 0);
    return sys_unlinkat(AT_FDCWD, folder, AT_REMOVEDIR);       /* empty: nothing else was left */
}

static struct buf calls_seen;          /* a letter each */

static bool
is_failing(char call)
{
    buf_append_byte(&calls_seen, (uint8_t)call);
    if (--failing != 0)
        return false;
    errno = ENOSPC;
    return true;
}

static int
openat_failing(int dir, const char *name, int flags, mode_t mode)
{
    return is_failing('o') ? -1 : kernel.openat(dir, name, flags, mode);
}

static ssize_t
write_failing(int fd, const void *data, size_t len)
{
    return is_failing('w') ? -1 : kernel.write(fd, data, len);
}

static int
fsync_failing(int fd)
{
    return is_failing('s') ? -1 : kernel.fsync(fd);
}

static int
renameat_failing(int from_dir, const char *from, int to_dir, const char *to)
{
    return is_failing('r') ? -1 : kernel.renameat(from_dir, from, to_dir, to);
}

static void
expect_content(const char *wanted)
{
    struct buf got = { 0 };

    assert_true(snapshot_file_read(path, &got, NULL));
    assert_true(bytes_equal_str(buf_view(&got), wanted));
    buf_fini(&got);
}

/* Each call in turn: the old content or the new, whole, and nothing beside it. */
static void
test_a_file_is_whole_or_as_it_was(void **state)
{
    struct err err = { 0 };
    struct buf got = { 0 };
    int calls = 0;

    assert_false(snapshot_file_read(path, &got, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(snapshot_file_write(path, BYTES_LIT("old"), &err));
    expect_content("old");
    sys_table.openat = openat_failing;
    sys_table.write = write_failing;
    sys_table.fsync = fsync_failing;
    sys_table.renameat = renameat_failing;
    for (bool ok = false; !ok; calls++) {
        err_clear(&err);
        failing = calls + 1;
        ok = snapshot_file_write(path, BYTES_LIT("new"), &err);
        failing = 0;
        if (!ok)
            assert_int_equal(err.code, ERR_DISK_FULL);
        expect_content(calls < 4 ? "old" : "new");     /* open, write, sync, rename; then only the name's sync is left */
        assert_int_equal(access(path, F_OK), 0);
    }
    assert_int_equal(calls, 7);        /* … open the folder, sync it; and once without a failure */
    buf_fini(&got);
}

/* A power cut must not leave the name without the bytes, nor take back what was answered. */
static void
test_bytes_are_on_disk_before_their_name(void **state)
{
    char inner[96];
    struct err err = { 0 };
    int fd;

    (void)snprintf(inner, sizeof inner, "%s/inner", folder);
    sys_table.openat = openat_failing;
    sys_table.write = write_failing;
    sys_table.fsync = fsync_failing;
    sys_table.renameat = renameat_failing;
    failing = 0;
    buf_clear(&calls_seen);
    assert_true(snapshot_file_write(path, BYTES_LIT("bytes"), &err));
    assert_string_equal(buf_cstr(&calls_seen), "owsros");
    buf_clear(&calls_seen);
    assert_true(snapshot_folder_make(inner, &err));
    assert_true(snapshot_folder_make(inner, &err));
    assert_int_equal(sys_unlinkat(AT_FDCWD, inner, AT_REMOVEDIR), 0);
    fd = snapshot_file_begin(path, BYTES_LIT("later"), &err);
    assert_true(fd >= 0);
    expect_content("bytes");
    assert_int_equal(sys_close(fd), 0);
    assert_string_equal(buf_cstr(&calls_seen), "owo");     /* the syncs are the caller's */
    assert_true(snapshot_file_name(path, &err));
    expect_content("later");
    failing = 2;
    assert_int_equal(snapshot_file_begin(path, BYTES_LIT("never"), &err), -1);
    snapshot_file_drop(path);
    assert_int_not_equal(access(path, F_OK), 0);
    failing = 0;
    buf_fini(&calls_seen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_packed_comes_back),
        cmocka_unit_test(test_without_a_heap),
        cmocka_unit_test(test_an_old_one_is_read),
        cmocka_unit_test(test_packs_are_named),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_every_flipped_bit_is_refused),
        cmocka_unit_test(test_too_many_timers_are_refused),
        cmocka_unit_test(test_ids),
        cmocka_unit_test_setup_teardown(test_a_file_is_whole_or_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bytes_are_on_disk_before_their_name, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
