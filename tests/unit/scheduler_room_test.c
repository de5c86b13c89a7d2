/*
 * scheduler_room_test — the room as its peers see it: this program is the supervisor and the workers, its forked child the
 * scheduler. It is killed at will; what was acknowledged must fire.
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
    unsigned     ready, acks, calls;
    uint32_t     last_ack;
    struct { uint32_t call; struct agent_id agent; int64_t due_ms; uint32_t retry; char class_name[32], name[32]; } call[CALLS_KEPT];
    bool         is_closed;
};

static char folder[64];
static struct side supervisor;

static bool
side_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct side *side = owner;
    struct msg_ALARM_ACK ack;
    struct msg_CALL call;

    if (type == MSG_READY)
        side->ready++;
    if (type == MSG_ALARM_ACK) {
        assert_true(msg_ALARM_ACK_unpack(&ack, payload, err));
        side->last_ack = ack.request;
        side->acks++;
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
    (void)snprintf(conf, sizeof conf, "{\"data\":\"%s\"}", folder);
    msg_CONF_pack(link_out(supervisor.link), &(struct msg_CONF){ bytes_of(conf) });
    RUN_UNTIL(supervisor.ready == 1);
}

static void
room_kill(void)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    child = 0;
    link_destroy(&supervisor.link);
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
alarm_set(struct side *worker, uint8_t n, int64_t due_ms, uint32_t request)
{
    msg_ALARM_SET_pack(link_out(worker->link), &(struct msg_ALARM_SET){ .request = request, .agent = agent(n), .due_ms = due_ms,
                                                                        .class_name = BYTES_LIT("Counter"), .name = BYTES_LIT("ada") });
}

static void
answer(struct side *worker, unsigned call, uint16_t status)
{
    msg_REPLY_pack(link_out(worker->link), &(struct msg_REPLY){ .call = worker->call[call].call, .status = status, .slot = SLOT_NONE });
}

static void
an_alarm_is_acknowledged_and_fires(void **state)
{
    struct side worker;
    int64_t due_ms;

    room_start();
    worker_join(&worker, 0);
    due_ms = clock_wall_ms() + 150;
    alarm_set(&worker, 4, due_ms, 77);
    RUN_UNTIL(worker.acks == 1);
    assert_int_equal(worker.last_ack, 77);
    RUN_UNTIL(worker.calls == 1);
    assert_true(clock_wall_ms() >= due_ms);
    assert_true(worker.call[0].due_ms == due_ms);
    assert_int_equal(worker.call[0].retry, 0);
    assert_string_equal(worker.call[0].class_name, "Counter");
    assert_string_equal(worker.call[0].name, "ada");
    answer(&worker, 0, 200);
    alarm_set(&worker, 5, clock_wall_ms() - 1, 78);
    RUN_UNTIL(worker.calls == 2);
    assert_true(agent_id_equal(&worker.call[1].agent, &(struct agent_id){ .bytes[7] = 5, .bytes[31] = 1 }));
    link_destroy(&worker.link);
}

static void
what_was_acknowledged_outlives_a_kill(void **state)
{
    struct side worker;
    bool seen[100] = { false };

    room_start();
    worker_join(&worker, 0);
    for (uint8_t n = 0; n < 100; n++)
        alarm_set(&worker, n, clock_wall_ms() + 3600000, n);
    RUN_UNTIL(worker.acks == 100);
    for (uint8_t n = 0; n < 50; n++)       /* move half of them to now, and take ten away */
        alarm_set(&worker, n, n < 10 ? 0 : 1000 + n, 200u + n);
    RUN_UNTIL(worker.acks == 150);
    room_kill();
    link_destroy(&worker.link);
    room_start();
    worker_join(&worker, 0);               /* overdue ones come at once */
    RUN_UNTIL(worker.calls == 40);
    for (unsigned i = 0; i < 40; i++)
        seen[worker.call[i].agent.bytes[7]] = true;
    for (unsigned n = 0; n < 100; n++)
        assert_int_equal(seen[n], n >= 10 && n < 50);
    link_destroy(&worker.link);
}

static void
a_lost_worker_gets_it_again_uncounted(void **state)
{
    struct side worker;

    room_start();
    worker_join(&worker, 0);
    alarm_set(&worker, 1, 1, 1);
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

    room_start();
    worker_join(&first, 0);
    alarm_set(&first, 1, 1, 1);            /* slot 1 of 2, but the room knows of one worker only */
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

    room_start();
    worker_join(&bad, 0);
    alarm_set(&bad, 0, 1, 1);
    RUN_UNTIL(bad.calls == 1);
    msg_REPLY_pack(link_out(bad.link), &(struct msg_REPLY){ .call = bad.call[0].call, .status = 999, .slot = SLOT_NONE });
    RUN_UNTIL(bad.is_closed);
    worker_join(&good, 0);
    alarm_set(&good, 3, 1, 9);
    RUN_UNTIL(good.acks == 1);
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
a_full_disk_holds_acknowledgements_back(void **state)
{
    struct side worker;
    pid_t room;

    disk_fault = mmap(NULL, sizeof *disk_fault, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(disk_fault, MAP_FAILED);
    real_fdatasync = sys_table.fdatasync;
    sys_table.fdatasync = failing_fdatasync;
    room_start();
    room = child;
    worker_join(&worker, 0);
    alarm_set(&worker, 1, clock_wall_ms() + 3600000, 1);
    alarm_set(&worker, 2, clock_wall_ms() + 3600000, 2);
    RUN_UNTIL(worker.acks == 2);

    disk_fault->sys_errno = ENOSPC;
    alarm_set(&worker, 1, 0, 3);                       /* a record goes, … */
    alarm_set(&worker, 1, 1000, 4);                    /* … comes again, … */
    alarm_set(&worker, 2, 0, 5);                       /* … and one goes for good */
    alarm_set(&worker, 3, clock_wall_ms() + 3 * BOOK_RETRY_MS, 6);
    RUN_UNTIL(worker.calls == 2);                      /* what is due fires all the same */
    assert_int_equal(worker.acks, 2);
    assert_true(disk_fault->failures >= 2);            /* it has tried again */
    disk_fault->sys_errno = 0;
    RUN_UNTIL(worker.acks == 6);
    assert_int_equal(child, room);

    /* And that is what is on disk. */
    room_kill();
    link_destroy(&worker.link);
    room_start();
    worker_join(&worker, 0);
    RUN_UNTIL(worker.calls == 2);
    assert_int_equal(worker.call[0].agent.bytes[7], 1);
    assert_true(worker.call[0].due_ms == 1000);
    assert_int_equal(worker.call[1].agent.bytes[7], 3);
    alarm_set(&worker, 4, 1, 9);
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
        cmocka_unit_test_setup_teardown(an_alarm_is_acknowledged_and_fires, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_acknowledged_outlives_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_worker_gets_it_again_uncounted, setup, teardown),
        cmocka_unit_test_setup_teardown(the_right_worker_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_holds_acknowledgements_back, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_closes_the_link_only, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
