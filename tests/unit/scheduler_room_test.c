/*
 * scheduler_room_test — the room as its peers see it: this program is the supervisor, the workers and the journal, its forked child
 * the scheduler. It is killed at will; what is in the journal or in a database must fire.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "src/scheduler/scheduler_limits.h"
#include "src/scheduler/scheduler_shell.h"
#include "tests/unit/room_rig.h"

#define WAIT_MS 20000                      /* a hang fails the test, never a slow machine */
#define CALLS_KEPT 512

struct side {
    struct link *link;
    unsigned     ready, calls, kept_count, scans;
    uint64_t     kept_lsn;
    uint32_t     scan;
    struct { uint32_t call; struct agent_id agent; int64_t due_ms; uint32_t retry; char class_name[32], name[32]; } call[CALLS_KEPT];
    bool         is_closed;
};

static char folder[64];
static struct side supervisor;
static struct side journal;
static uint64_t last_lsn;

static bool
side_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct side *side = owner;
    struct msg_ALARMS_KEPT kept;
    struct msg_ALARM_SCAN scan;
    struct msg_CALL call;

    if (type == MSG_READY)
        side->ready++;
    if (type == MSG_ALARMS_KEPT) {
        assert_true(msg_ALARMS_KEPT_unpack(&kept, payload, err));
        side->kept_lsn = kept.lsn;
        side->kept_count++;
    }
    if (type == MSG_ALARM_SCAN) {
        assert_true(msg_ALARM_SCAN_unpack(&scan, payload, err));
        side->scan = scan.scan;
        side->scans++;
    }
    if (type == MSG_CALL) {
        assert_true(msg_CALL_unpack(&call, payload, err));
        assert_int_equal(call.kind, CALL_ALARM);
        assert_true(side->calls < CALLS_KEPT);
        side->call[side->calls].call = call.call;
        side->call[side->calls].agent = call.agent;
        side->call[side->calls].due_ms = call.n1;
        side->call[side->calls].retry = call.n2;
        (void)snprintf(side->call[side->calls].class_name, 32, "%.*s", (int)call.class_name.len, (const char *)call.class_name.data);
        (void)snprintf(side->call[side->calls].name, 32, "%.*s", (int)call.name.len, (const char *)call.name.data);
        side->calls++;
    }
    if (type == MSG_ALARM_PACE) {
        struct msg_ALARM_PACE pace;
        assert_true(msg_ALARM_PACE_unpack(&pace, payload, err));
        msg_ALARM_PACE_pack(link_out(link), &pace);
    }
    return true;
}

static void
side_closed(void *owner, struct link *link, const struct err *err)
{
    struct side *side = owner;

    side->is_closed = true;
    side->link = NULL;
}

static const struct link_events events = { .message = side_message, .closed = side_closed };

static void
side_open(struct side *side, int fd, enum role role, uint16_t index, const char *app)
{
    memset(side, 0, sizeof *side);
    side->link = rig_link(fd, role, index, app, &events, side);
}

static void
room_start(void)
{
    static char name[] = "dormouse-scheduler";
    static char index[] = "0";
    char *argv[] = { name, index, NULL };
    char conf[128];

    side_open(&supervisor, rig_fork(2, argv, &scheduler_room), ROLE_SUPERVISOR, 0, "");
    (void)snprintf(conf, sizeof conf, "{\"data\":\"%s/book\"}", folder);
    msg_CONF_pack(link_out(supervisor.link), &(struct msg_CONF){ bytes_of(conf) });
    RUN_UNTIL(supervisor.ready == 1);
}

/* The journal's link: the room says first what it has, and hears that nothing before LSN follows. */
static void
journal_join(uint8_t gap, uint64_t lsn)
{
    side_open(&journal, rig_introduce(supervisor.link, ROLE_JOURNAL, 0, ""), ROLE_JOURNAL, 0, "");
    RUN_UNTIL(journal.kept_count == 1);
    msg_ALARM_FEED_pack(link_out(journal.link), &(struct msg_ALARM_FEED){ .gap = gap, .lsn = lsn });
}

static void
room_begin(void)
{
    room_start();
    journal_join(0, 0);
}

static void
room_kill(void)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    child = 0;
    link_destroy(&supervisor.link);
    if (journal.link != NULL)
        link_destroy(&journal.link);
}

static void
worker_join(struct side *worker, uint16_t index)
{
    side_open(worker, rig_introduce(supervisor.link, ROLE_WORKER, index, "shop"), ROLE_WORKER, index, "shop");
}

static int
setup(void **state)
{
    (void)snprintf(folder, sizeof folder, "/tmp/dormouse-scheduler-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    last_lsn = 100;
    rig_open(WAIT_MS);
    return 0;
}

static int
teardown(void **state)
{
    char command[96];

    if (child > 0)
        room_kill();
    rig_close();
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static struct agent_id
agent(uint8_t n)
{
    struct agent_id id = { { 0 } };

    id.bytes[7] = n;
    id.bytes[31] = 1;
    return id;
}

static void
alarm_tell(uint64_t lsn, uint8_t n, int64_t due_ms)
{
    msg_ALARM_CHANGED_pack(link_out(journal.link), &(struct msg_ALARM_CHANGED){ .lsn = lsn, .agent = agent(n), .due_ms = due_ms,
                                                                                .app = BYTES_LIT("shop"), .class_name = BYTES_LIT("Counter"),
                                                                                .name = BYTES_LIT("ada") });
}

static void
alarm_set(uint8_t n, int64_t due_ms)
{
    alarm_tell(++last_lsn, n, due_ms);
}

static void
alarm_found(struct side *worker, uint8_t n, int64_t due_ms)
{
    msg_ALARM_FOUND_pack(link_out(worker->link), &(struct msg_ALARM_FOUND){ .agent = agent(n), .due_ms = due_ms,
                                                                            .class_name = BYTES_LIT("Counter"), .name = BYTES_LIT("bob") });
}

static void
scanned(struct side *worker, uint16_t slots)
{
    msg_ALARM_SCANNED_pack(link_out(worker->link), &(struct msg_ALARM_SCANNED){ .scan = worker->scan, .slots = slots });
}

static void
answer(struct side *worker, unsigned call, uint16_t status)
{
    msg_REPLY_pack(link_out(worker->link), &(struct msg_REPLY){ .call = worker->call[call].call, .status = status, .slot = SLOT_NONE });
}

static void
an_alarm_is_kept_and_fires(void **state)
{
    struct side worker;
    int64_t due_ms;

    room_begin();
    assert_true(journal.kept_lsn == 0);
    worker_join(&worker, 0);
    due_ms = clock_wall_ms() + 150;
    alarm_set(4, due_ms);
    RUN_UNTIL(journal.kept_lsn == last_lsn);
    RUN_UNTIL(worker.calls == 1);
    assert_true(clock_wall_ms() >= due_ms);
    assert_true(worker.call[0].due_ms == due_ms);
    assert_int_equal(worker.call[0].retry, 0);
    assert_string_equal(worker.call[0].class_name, "Counter");
    assert_string_equal(worker.call[0].name, "ada");
    answer(&worker, 0, 200);
    alarm_set(5, clock_wall_ms() - 1);
    RUN_UNTIL(worker.calls == 2);
    assert_true(agent_id_equal(&worker.call[1].agent, &(struct agent_id){ .bytes[7] = 5, .bytes[31] = 1 }));
    link_destroy(&worker.link);
}

static void
what_was_kept_outlives_a_kill(void **state)
{
    struct side worker;
    bool seen[100] = { false };

    room_begin();
    worker_join(&worker, 0);
    for (uint8_t n = 0; n < 100; n++)
        alarm_set(n, clock_wall_ms() + 3600000);
    for (uint8_t n = 0; n < 50; n++)       /* move half of them to now, and take ten away */
        alarm_set(n, n < 10 ? 0 : 1000 + n);
    RUN_UNTIL(journal.kept_lsn == last_lsn);
    room_kill();
    link_destroy(&worker.link);
    room_start();
    journal_join(0, last_lsn);
    assert_true(journal.kept_lsn == last_lsn);
    worker_join(&worker, 0);               /* overdue ones come at once */
    RUN_UNTIL(worker.calls == 40);
    for (unsigned i = 0; i < 40; i++)
        seen[worker.call[i].agent.bytes[7]] = true;
    for (unsigned n = 0; n < 100; n++)
        assert_int_equal(seen[n], n >= 10 && n < 50);
    link_destroy(&worker.link);
}

static void
what_was_not_kept_is_heard_again(void **state)
{
    struct side worker;
    uint64_t first;

    room_begin();
    worker_join(&worker, 0);
    alarm_set(1, clock_wall_ms() + 3600000);
    RUN_UNTIL(journal.kept_lsn == last_lsn);
    first = last_lsn;
    alarm_set(1, 1000);                    /* the room may keep it or not before it dies */
    link_flush(journal.link);
    room_kill();
    link_destroy(&worker.link);
    room_start();
    journal_join(0, first);
    assert_true(journal.kept_lsn == first || journal.kept_lsn == last_lsn);
    worker_join(&worker, 0);
    alarm_tell(first, 1, clock_wall_ms() + 3600000);   /* known: ignored, or the next line could not move it to now */
    alarm_tell(last_lsn, 1, 1000);
    RUN_UNTIL(worker.calls == 1);
    assert_true(worker.call[0].due_ms == 1000);
    answer(&worker, 0, 200);
    alarm_tell(last_lsn, 1, 1000);         /* and once more: it must not run twice */
    alarm_set(2, 1);
    RUN_UNTIL(worker.calls == 2);
    assert_int_equal(worker.call[1].agent.bytes[7], 2);
    link_destroy(&worker.link);
}

static void
a_lost_index_is_filled_by_the_workers(void **state)
{
    struct side first, second;
    char command[96];

    room_begin();
    worker_join(&first, 0);
    worker_join(&second, 1);
    RUN_UNTIL(first.scans == 1 && second.scans == 1);
    alarm_found(&first, 2, 1000);          /* even ids live in slot 0 */
    RUN_UNTIL(first.calls == 1);
    assert_string_equal(first.call[0].name, "bob");
    alarm_set(4, clock_wall_ms() + 3600000);
    alarm_set(5, 1000);
    RUN_UNTIL(second.calls == 1);          /* so the feed was heard before the next line is */
    alarm_found(&first, 4, 1000);          /* read before it was moved */
    scanned(&first, 2);
    scanned(&second, 2);
    alarm_found(&first, 6, 1000);
    RUN_UNTIL(first.calls == 2);
    assert_int_equal(first.call[1].agent.bytes[7], 6);
    RUN_UNTIL(journal.kept_lsn == last_lsn);
    alarm_set(8, clock_wall_ms() + 3600000);
    RUN_UNTIL(journal.kept_lsn == last_lsn);   /* a commit later than the end of the scan */
    room_kill();
    link_destroy(&first.link);
    link_destroy(&second.link);

    room_start();                          /* scanned once: not asked again */
    journal_join(0, last_lsn);
    worker_join(&first, 0);
    RUN_UNTIL(first.calls == 3);           /* the overdue ones, also of slot 1, which it does not know yet */
    assert_int_equal(first.scans, 0);
    room_kill();
    link_destroy(&first.link);

    (void)snprintf(command, sizeof command, "rm -rf '%s/book'", folder);
    assert_int_equal(system(command), 0);
    room_start();                          /* the index is lost: asked again */
    journal_join(0, 0);
    assert_true(journal.kept_lsn == 0);
    worker_join(&first, 0);
    RUN_UNTIL(first.scans == 1);
    alarm_found(&first, 2, 1000);
    RUN_UNTIL(first.calls == 1);
    link_destroy(&first.link);
}

static void
after_a_gap_databases_count_more_than_the_index(void **state)
{
    struct side worker;

    room_begin();
    worker_join(&worker, 0);
    RUN_UNTIL(worker.scans == 1);
    scanned(&worker, 1);
    alarm_set(1, clock_wall_ms() + 3600000);
    alarm_set(2, clock_wall_ms() + 3600000);
    RUN_UNTIL(journal.kept_lsn == last_lsn);
    link_destroy(&journal.link);
    journal_join(1, last_lsn + 50);        /* 1 was moved in between, but that record is gone */
    RUN_UNTIL(worker.scans == 2);
    alarm_found(&worker, 1, 1000);
    RUN_UNTIL(worker.calls == 1);
    assert_int_equal(worker.call[0].agent.bytes[7], 1);
    alarm_tell(last_lsn + 50, 2, 1000);    /* not beyond where the feed begins */
    alarm_tell(last_lsn + 51, 3, 1000);
    RUN_UNTIL(worker.calls == 2);
    assert_int_equal(worker.call[1].agent.bytes[7], 3);
    RUN_UNTIL(journal.kept_lsn == last_lsn + 51);
    room_kill();
    link_destroy(&worker.link);
    room_start();
    journal_join(0, last_lsn + 51);
    worker_join(&worker, 0);
    RUN_UNTIL(worker.scans == 1);          /* the scan had not ended */
    link_destroy(&worker.link);
}

static void
a_damaged_index_begins_anew(void **state)
{
    struct side worker;
    char path[128];
    FILE *file;

    room_begin();
    alarm_set(1, clock_wall_ms() + 3600000);
    RUN_UNTIL(journal.kept_lsn == last_lsn);
    room_kill();
    (void)snprintf(path, sizeof path, "%s/book/db.sqlite", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("this is no database, whatever it is called; it is long enough to be looked at, though.", file) >= 0);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(path, sizeof path, "%s/book/db.sqlite-wal", folder);
    (void)unlink(path);
    room_begin();
    assert_true(journal.kept_lsn == 0);
    worker_join(&worker, 0);
    RUN_UNTIL(worker.scans == 1);
    alarm_set(1, 1000);
    RUN_UNTIL(worker.calls == 1);
    link_destroy(&worker.link);
}

static void
a_lost_worker_gets_it_again_uncounted(void **state)
{
    struct side worker;

    room_begin();
    worker_join(&worker, 0);
    alarm_set(1, 1);
    RUN_UNTIL(worker.calls == 1);
    link_destroy(&worker.link);
    worker_join(&worker, 0);
    RUN_UNTIL(worker.calls == 1);          /* 2 to 2.5 s later */
    assert_int_equal(worker.call[0].retry, 0);
    answer(&worker, 0, 202);
    RUN_UNTIL(worker.calls == 2);
    assert_int_equal(worker.call[1].retry, 1);
    /* The count is kept over a restart. */
    room_kill();
    link_destroy(&worker.link);
    room_start();
    journal_join(0, last_lsn);
    worker_join(&worker, 0);
    RUN_UNTIL(worker.calls == 1);
    assert_int_equal(worker.call[0].retry, 1);
    link_destroy(&worker.link);
}

static void
the_right_worker_is_found(void **state)
{
    struct side first;
    struct side second;

    room_begin();
    worker_join(&first, 0);
    alarm_set(1, 1);                       /* slot 1 of 2, but the room knows of one worker only */
    RUN_UNTIL(first.calls == 1);
    msg_FAIL_pack(link_out(first.link), &(struct msg_FAIL){ .call = first.call[0].call, .code = ERR_UNAVAILABLE, .flags = FAIL_RETRYABLE });
    worker_join(&second, 1);
    RUN_UNTIL(second.calls == 1);
    assert_int_equal(second.call[0].retry, 0);
    link_destroy(&first.link);
    link_destroy(&second.link);
}

static void
nonsense_closes_the_link_only(void **state)
{
    struct side bad;
    struct side good;

    room_begin();
    worker_join(&bad, 0);
    alarm_set(0, 1);
    RUN_UNTIL(bad.calls == 1);
    msg_REPLY_pack(link_out(bad.link), &(struct msg_REPLY){ .call = bad.call[0].call, .status = 999, .slot = SLOT_NONE });
    RUN_UNTIL(bad.is_closed);
    worker_join(&bad, 1);                  /* changes of alarms are the journal's to tell */
    msg_ALARM_CHANGED_pack(link_out(bad.link), &(struct msg_ALARM_CHANGED){ .lsn = 1, .agent = agent(1), .due_ms = 1, .app = BYTES_LIT("shop") });
    RUN_UNTIL(bad.is_closed);
    worker_join(&bad, 1);
    alarm_found(&bad, 1, -5);
    RUN_UNTIL(bad.is_closed);
    side_open(&bad, rig_introduce(supervisor.link, ROLE_JOURNAL, 0, ""), ROLE_JOURNAL, 0, "");
    msg_ALARM_CHANGED_pack(link_out(bad.link), &(struct msg_ALARM_CHANGED){ .lsn = 1, .agent = agent(1), .due_ms = 1, .app = BYTES_LIT("shop") });
    RUN_UNTIL(bad.is_closed);              /* before it said where it begins */
    link_destroy(&journal.link);
    journal_join(0, 0);
    worker_join(&good, 0);
    alarm_set(3, 1);
    RUN_UNTIL(journal.kept_lsn == last_lsn);
    msg_REPLY_pack(link_out(good.link), &(struct msg_REPLY){ .call = 12345, .status = 200, .slot = SLOT_NONE });   /* no such call: nothing */
    RUN_UNTIL(good.calls >= 1);
    link_destroy(&good.link);
}

/* In memory that test and room share: the room's syncs fail with this while it is not 0, and are counted. */
static struct disk_fault { int sys_errno, failures; } *disk_fault;
static int (*real_fdatasync)(int fd);

static int
failing_fdatasync(int fd)
{
    if (disk_fault->sys_errno == 0)
        return real_fdatasync(fd);
    disk_fault->failures++;
    errno = disk_fault->sys_errno;
    return -1;
}

static void
a_full_disk_holds_the_book_back_and_no_alarm(void **state)
{
    struct side worker;
    uint64_t kept;
    pid_t room;

    disk_fault = mmap(NULL, sizeof *disk_fault, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(disk_fault, MAP_FAILED);
    real_fdatasync = sys_table.fdatasync;
    sys_table.fdatasync = failing_fdatasync;
    room_begin();
    room = child;
    worker_join(&worker, 0);
    alarm_set(1, clock_wall_ms() + 3600000);
    alarm_set(2, clock_wall_ms() + 3600000);
    RUN_UNTIL(journal.kept_lsn == last_lsn);
    kept = last_lsn;

    disk_fault->sys_errno = ENOSPC;
    alarm_set(1, 0);                       /* a record goes, … */
    alarm_set(1, 1000);                    /* … comes again, … */
    alarm_set(2, 0);                       /* … and one goes for good */
    alarm_set(3, clock_wall_ms() + 3 * BOOK_RETRY_MS);
    RUN_UNTIL(worker.calls == 2);                      /* what is due fires all the same */
    assert_true(journal.kept_lsn == kept);
    assert_true(disk_fault->failures >= 2);            /* it has tried again */
    disk_fault->sys_errno = 0;
    RUN_UNTIL(journal.kept_lsn == last_lsn);
    assert_int_equal(child, room);

    /* And that is what is on disk. */
    room_kill();
    link_destroy(&worker.link);
    room_start();
    journal_join(0, last_lsn);
    worker_join(&worker, 0);
    RUN_UNTIL(worker.calls == 2);
    assert_int_equal(worker.call[0].agent.bytes[7], 1);
    assert_true(worker.call[0].due_ms == 1000);
    assert_int_equal(worker.call[1].agent.bytes[7], 3);
    alarm_set(4, 1);
    RUN_UNTIL(worker.calls == 3);
    assert_int_equal(worker.call[2].agent.bytes[7], 4);
    link_destroy(&worker.link);
    sys_table.fdatasync = real_fdatasync;
    assert_int_equal(munmap(disk_fault, sizeof *disk_fault), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_alarm_is_kept_and_fires, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_kept_outlives_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_not_kept_is_heard_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_index_is_filled_by_the_workers, setup, teardown),
        cmocka_unit_test_setup_teardown(after_a_gap_databases_count_more_than_the_index, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_index_begins_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_worker_gets_it_again_uncounted, setup, teardown),
        cmocka_unit_test_setup_teardown(the_right_worker_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_holds_the_book_back_and_no_alarm, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_closes_the_link_only, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
