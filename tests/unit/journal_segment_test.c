/*
 * journal_segment_test — segments as a disk may give them back: torn at every byte of the last record, with bits flipped anywhere, with
 * bytes of another life in them, with and without their index.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "src/journal/journal_feed.h"
#include "src/journal/journal_limits.h"
#include "tests/unit/journal_rig.h"

static char folder[64];
static char path[128];
static struct rig rig;
static struct rig_kept kept;
static struct buf original;

static int
setup(void **state)
{
    (void)snprintf(folder, sizeof folder, "/tmp/dormouse-segment-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/%016x.seg", folder, 1);
    rig_said = 0;
    return 0;
}

static int
teardown(void **state)
{
    char command[96];

    rig_close(&rig);
    buf_fini(&original);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void
open_it(void)
{
    struct err err = { 0 };

    if (!rig_open(&rig, folder, &err))
        fail_msg("%s", err.message);
}

static void
flush(void)
{
    struct err err = { 0 };

    assert_int_equal(rig_flush(&rig, &err), LOG_DURABLE);
}

static void
file_load(void)
{
    struct stat st;
    int fd = sys_open(path, O_RDONLY, 0);

    assert_true(fd >= 0);
    assert_int_equal(sys_fstat(fd, &st), 0);
    buf_clear(&original);
    buf_reserve(&original, (size_t)st.st_size);
    original.len = (size_t)st.st_size;
    assert_true(sys_pread(fd, original.data, original.len, 0) == st.st_size);
    sys_close(fd);
}

/* The folder holds one segment with these bytes, and nothing else. */
static void
file_store(const uint8_t *bytes, size_t len)
{
    char command[128];
    int fd;

    (void)snprintf(command, sizeof command, "rm -f '%s'/*", folder);
    assert_int_equal(system(command), 0);
    fd = sys_open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
    assert_true(fd >= 0);
    assert_true(sys_pwrite_all(fd, bytes, len, 0));
    sys_close(fd);
}

static void
assert_agent(unsigned n, size_t count)
{
    rig_recall(&rig, n, &kept);
    assert_true(kept.is_ok);
    assert_int_equal(kept.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(kept.seq[i], i + 1);
        assert_int_equal(kept.fill[i], (i + 1) * 10 + n);
    }
}

/* COMMITS commits of two agents, each a batch of its own; the file is then in `original`, killed and not sealed. */
static void
write_segment(unsigned commits)
{
    open_it();
    for (unsigned i = 0; i < commits; i++) {
        rig_commit(&rig, 1 + i % 2, i / 2 + 1, 0, (uint8_t)((i / 2 + 1) * 10 + 1 + i % 2), 40 + i);
        flush();
    }
    rig_close(&rig);
    file_load();
}

static size_t
end_of_records(void)
{
    size_t at = SEGMENT_HEADER_BYTES;
    struct record_head head;

    for (;;) {
        record_head_get(&head, original.data + at);
        if (head.length == 0)
            return at;
        at += record_stride(head.length);
    }
}

static size_t
last_record(void)
{
    size_t at = SEGMENT_HEADER_BYTES, end = end_of_records();
    struct record_head head;

    for (;;) {
        record_head_get(&head, original.data + at);
        if (at + record_stride(head.length) == end)
            return at;
        at += record_stride(head.length);
    }
}

static void
a_record_is_unpacked_as_it_was_packed(void **state)
{
    const struct record in = { .app = BYTES_LIT("shop"), .class_name = BYTES_LIT("C"), .name = BYTES_LIT("ada"), .pages = BYTES_LIT("pages"),
                               .agent = { { 1, 2, 3 } }, .seq = 1ull << 40, .ticket = 1ull << 41, .pid = 77, .slot = 8, .epoch = 7, .part = 3, .flags = COMMIT_ALARM, .alarm_ms = -5 };
    struct buf bytes = { 0 };
    struct record out;
    uint32_t length, sum;

    record_pack(&bytes, &in, MARK_CARRY, &length, &sum);
    assert_int_equal(bytes.len, record_stride(length));
    assert_int_equal(bytes.len % RECORD_ALIGN, 0);
    assert_true(record_unpack(&out, bytes_from(bytes.data + RECORD_HEAD_BYTES, length)));
    assert_true(bytes_equal(in.app, out.app) && bytes_equal(in.class_name, out.class_name) && bytes_equal(in.name, out.name) &&
                bytes_equal(in.pages, out.pages) && agent_id_equal(&in.agent, &out.agent));
    assert_true(in.seq == out.seq && in.ticket == out.ticket && in.pid == out.pid && in.slot == out.slot && in.epoch == out.epoch && in.part == out.part && in.flags == out.flags && in.alarm_ms == out.alarm_ms);
    for (size_t cut = 0; cut < length - in.pages.len; cut++)
        assert_false(record_unpack(&out, bytes_from(bytes.data + RECORD_HEAD_BYTES, cut)));
    buf_fini(&bytes);
}

static void
a_start_finds_all_of_it_with_and_without_an_index(void **state)
{
    write_segment(12);
    for (int round = 0; round < 3; round++) {          /* the first start reads records and seals; the others read the index */
        open_it();
        assert_agent(1, 6);
        assert_agent(2, 6);
        assert_int_equal(core_kept(rig.core), 12);
        rig_close(&rig);
    }
    assert_int_equal(rig_said, 0);
}

static void
a_tail_torn_at_any_byte_takes_the_last_commit_only(void **state)
{
    size_t last, end;
    struct buf torn = { 0 };

    write_segment(7);
    last = last_record();
    end = end_of_records();
    for (int is_cut = 0; is_cut <= 1; is_cut++) {      /* the file ends there, or there are zeros */
        for (size_t at = last; at < end; at++) {
            bool is_padding = true;

            for (size_t i = at; i < end; i++)
                is_padding = is_padding && original.data[i] == 0;
            if (is_padding && !is_cut)
                continue;                  /* nothing is torn */
            buf_clear(&torn);
            buf_append(&torn, original.data, is_cut ? at : original.len);
            if (!is_cut)
                memset(torn.data + at, 0, original.len - at);
            file_store(torn.data, torn.len);
            open_it();
            rig_recall(&rig, 1, &kept);
            if (is_padding)
                assert_true(kept.count == 3 || kept.count == 4);       /* only the padding is missing */
            else
                assert_agent(1, 3);
            assert_agent(2, 3);
            rig_commit(&rig, 2, 4, 0, 42, 300);        /* what comes after the tear is kept */
            flush();
            rig_close(&rig);
            open_it();
            assert_agent(2, 4);
            rig_close(&rig);
        }
    }
    assert_int_equal(rig_said, 0);         /* a torn tail is no damage */
    buf_fini(&torn);
}

static void
no_flipped_bit_is_taken_for_a_commit(void **state)
{
    size_t end, last;
    unsigned refused = 0, untouched = 0;

    write_segment(6);
    end = end_of_records();
    last = last_record();
    for (size_t at = 0; at < end; at++) {
        original.data[at] ^= (uint8_t)(1u << (at % 8));
        file_store(original.data, original.len);
        original.data[at] ^= (uint8_t)(1u << (at % 8));
        rig_said = 0;
        open_it();
        for (unsigned n = 1; n <= 2; n++) {
            rig_recall(&rig, n, &kept);
            refused += !kept.is_ok;
            untouched += kept.is_ok && kept.count == 3;
            for (size_t i = 0; kept.is_ok && i < kept.count; i++) {    /* what is given is right, and begins at the start */
                assert_int_equal(kept.seq[i], kept.seq[0] + i);
                assert_int_equal(kept.fill[i], kept.seq[i] * 10 + n);
            }
            /* Before the last record it was durable: to lose it in silence is not allowed. */
            if (at < last && kept.is_ok && kept.count < 3)
                assert_true(rig_said > 0);
        }
        rig_close(&rig);
    }
    assert_true(refused > end / 4);        /* damage within records is found */
    assert_true(untouched > end / 2);      /* and is its own agent's only */
}

static void
damage_to_a_sealed_segment_is_its_agents_only(void **state)
{
    size_t at = SEGMENT_HEADER_BYTES + RECORD_HEAD_BYTES + 100;

    write_segment(8);
    open_it();                             /* seals */
    rig_close(&rig);
    file_load();
    original.data[at] ^= 1;                /* agent 1's first commit: its pages */
    file_store(original.data, original.len);
    open_it();
    rig_recall(&rig, 1, &kept);
    assert_false(kept.is_ok);
    assert_agent(2, 4);
    rig_close(&rig);
    for (size_t i = original.len - 200; i < original.len; i++) {       /* and without the index, which may be damaged too */
        original.data[i] ^= 1;
        file_store(original.data, original.len);
        original.data[i] ^= 1;
        open_it();
        rig_recall(&rig, 1, &kept);
        assert_false(kept.is_ok);
        assert_agent(2, 4);
        rig_close(&rig);
    }
}

static void
bytes_of_another_life_of_the_file_are_no_commits(void **state)
{
    struct buf older = { 0 };
    size_t end;

    write_segment(8);
    buf_append_bytes(&older, buf_view(&original));
    file_store((const uint8_t *)"", 0);
    assert_int_equal(unlink(path), 0);
    write_segment(4);
    end = end_of_records();
    memcpy(original.data + end, older.data + end, original.len - end); /* the same offsets, whole records, another id */
    file_store(original.data, original.len);
    open_it();
    assert_agent(1, 2);
    assert_agent(2, 2);
    buf_fini(&older);
}

/* What a batch left behind that was refused, must not come back although its bytes are whole. */
static void
the_next_header_says_where_a_segment_ends(void **state)
{
    struct segment *next = NULL;
    struct segment_spec spec = { .number = 2, .bytes = 4096, .previous = 1 };
    struct err err = { 0 };
    int dir;

    write_segment(6);
    spec.previous_bytes = (uint32_t)last_record();
    dir = sys_open(folder, O_RDONLY | O_DIRECTORY, 0);
    assert_true(segment_create(&next, dir, &spec, &err));
    segment_close(&next);
    sys_close(dir);
    open_it();
    assert_agent(1, 3);
    assert_agent(2, 2);
    assert_int_equal(rig_said, 0);
}

static void
a_missing_segment_is_said_and_breaks_its_agents(void **state)
{
    open_it();
    for (unsigned i = 0; i < 40; i++) {
        rig_commit(&rig, 1, i + 1, 0, 1, 1000);
        flush();
    }
    assert_true(log_segments(rig.log) >= 4);
    rig_close(&rig);
    (void)snprintf(path, sizeof path, "%s/%016x.seg", folder, 2);
    assert_int_equal(unlink(path), 0);
    open_it();
    assert_true(rig_said > 0);
    rig_recall(&rig, 1, &kept);
    assert_false(kept.is_ok);
}

/* The file is kept under its other name, the log tells, and the scheduler is not told that it heard everything. */
static void
assert_lost(void)
{
    char bad[160];

    rig_said = 0;
    open_it();
    (void)snprintf(bad, sizeof bad, "%s.bad", path);
    assert_int_equal(rig_said, 1);
    assert_int_equal(access(bad, F_OK), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_true(feed_forgotten(log_feed(rig.log)) > 0);
    rig_close(&rig);
}

static void
zeros_for_a_header_are_damage_when_anything_follows(void **state)
{
    write_segment(6);
    memset(original.data, 0, 512);
    file_store(original.data, original.len);
    assert_lost();
    memset(original.data, 0, original.len);
    file_store(original.data, original.len);
    rig_said = 0;
    open_it();                             /* never begun: nothing was lost */
    assert_int_equal(rig_said, 0);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_true(feed_forgotten(log_feed(rig.log)) == 0);
}

static void
a_segment_that_another_follows_was_not_empty(void **state)
{
    struct segment *next = NULL;
    struct segment_spec spec = { .number = 2, .bytes = 4096, .previous = 1, .first_lsn = 1000000 };
    struct err err = { 0 };
    int dir;

    write_segment(6);
    spec.previous_bytes = (uint32_t)end_of_records();
    file_store((const uint8_t *)"", 0);
    dir = sys_open(folder, O_RDONLY | O_DIRECTORY, 0);
    assert_true(segment_create(&next, dir, &spec, &err));
    segment_close(&next);
    sys_close(dir);
    assert_lost();
}

/* No test here cuts the power: syncs would only cost time. */
static int
no_sync(int fd)
{
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_record_is_unpacked_as_it_was_packed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_start_finds_all_of_it_with_and_without_an_index, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tail_torn_at_any_byte_takes_the_last_commit_only, setup, teardown),
        cmocka_unit_test_setup_teardown(no_flipped_bit_is_taken_for_a_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_to_a_sealed_segment_is_its_agents_only, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_of_another_life_of_the_file_are_no_commits, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_header_says_where_a_segment_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_segment_is_said_and_breaks_its_agents, setup, teardown),
        cmocka_unit_test_setup_teardown(zeros_for_a_header_are_damage_when_anything_follows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_segment_that_another_follows_was_not_empty, setup, teardown),
    };

    sys_table.fsync = sys_table.fdatasync = no_sync;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
