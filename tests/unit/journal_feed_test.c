/*
 * journal_feed_test — alarms on their way from commits to the scheduler: in order, from where its index is, none twice on a link, none lost
 * without a word, whoever dies in between.
 */
#include "tests/unit/journal_room_rig.h"

#define TOLD_MAX 1024

static struct {
    struct link *link;
    bool         is_closed;
    unsigned     feeds, told;
    uint8_t      gap;
    uint64_t     begin;
    struct { uint64_t lsn; unsigned agent; int64_t due_ms; char app[16], class_name[16], name[16]; } change[TOLD_MAX];
} scheduler;

static bool
scheduler_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct msg_ALARM_CHANGED changed;
    struct msg_ALARM_FEED feed;

    if (type == MSG_ALARM_FEED) {
        assert_true(msg_ALARM_FEED_unpack(&feed, payload, err));
        scheduler.gap = feed.gap;
        scheduler.begin = feed.lsn;
        scheduler.feeds++;
    }
    if (type == MSG_ALARM_CHANGED) {
        const unsigned n = scheduler.told++;

        assert_true(n < TOLD_MAX);
        assert_int_equal(scheduler.feeds > 0, 1);
        assert_true(msg_ALARM_CHANGED_unpack(&changed, payload, err));
        assert_true(changed.lsn > (n > 0 ? scheduler.change[n - 1].lsn : scheduler.begin));
        scheduler.change[n].lsn = changed.lsn;
        scheduler.change[n].agent = changed.agent.bytes[7] + 256u * changed.agent.bytes[8];
        scheduler.change[n].due_ms = changed.due_ms;
        (void)snprintf(scheduler.change[n].app, 16, "%.*s", (int)changed.app.len, (const char *)changed.app.data);
        (void)snprintf(scheduler.change[n].class_name, 16, "%.*s", (int)changed.class_name.len, (const char *)changed.class_name.data);
        (void)snprintf(scheduler.change[n].name, 16, "%.*s", (int)changed.name.len, (const char *)changed.name.data);
    }
    return true;
}

static void
scheduler_closed(void *owner, struct link *link, const struct err *err)
{
    scheduler.is_closed = true;
    scheduler.link = NULL;
}

static void
kept(uint64_t lsn)
{
    msg_ALARMS_KEPT_pack(link_out(scheduler.link), &(struct msg_ALARMS_KEPT){ .lsn = lsn });
}

/* The scheduler's link comes up, with an index that has everything up to LSN. */
static void
scheduler_join(uint64_t lsn)
{
    static const struct link_events scheduler_events = { .message = scheduler_message, .closed = scheduler_closed };

    memset(&scheduler, 0, sizeof scheduler);
    scheduler.link = rig_link(rig_introduce(supervisor.link, ROLE_SCHEDULER, 0, ""), ROLE_SCHEDULER, 0, "", &scheduler_events, NULL);
    kept(lsn);
    RUN_UNTIL(scheduler.feeds == 1);
}

static void
scheduler_leave(void)
{
    if (scheduler.link != NULL)
        link_destroy(&scheduler.link);
}

static int
feed_teardown(void **state)
{
    scheduler_leave();
    return teardown(state);
}

static void
commit_alarm(struct side *worker, unsigned n, uint64_t seq, uint8_t flags, int64_t due_ms)
{
    static const uint8_t pages[4000];

    worker->sent++;
    msg_COMMIT_pack(link_out(worker->link), &(struct msg_COMMIT){
        .ticket = worker->sent, .generation = worker->ours, .agent = agent(n), .seq = seq, .epoch = 1, .flags = COMMIT_ALARM | flags,
        .alarm_ms = due_ms, .class_name = BYTES_LIT("Counter"), .name = BYTES_LIT("ada"),
        .pages = (flags & COMMIT_GONE) != 0 ? BYTES_NONE : bytes_from(pages, sizeof pages),
    });
}

static void
settle(struct side *worker)
{
    RUN_UNTIL(worker->ticket == worker->sent);
}

static void
a_durable_alarm_is_told_in_order(void **state)
{
    room_start();
    join(&one, 0);
    scheduler_join(0);
    assert_int_equal(scheduler.gap, 0);
    commit_alarm(&one, 3, 1, 0, 5000);
    commit(&one, 3, 2);                    /* no word of an alarm */
    commit_alarm(&one, 4, 1, 0, 6000);
    commit_alarm(&one, 3, 3, 0, 0);
    commit_alarm(&one, 4, 0, COMMIT_GONE, 0);
    RUN_UNTIL(scheduler.told == 4);
    settle(&one);
    assert_int_equal(scheduler.change[0].agent, 3);
    assert_int_equal(scheduler.change[0].due_ms, 5000);
    assert_string_equal(scheduler.change[0].app, "shop");
    assert_string_equal(scheduler.change[0].class_name, "Counter");
    assert_string_equal(scheduler.change[0].name, "ada");
    assert_int_equal(scheduler.change[1].agent, 4);
    assert_int_equal(scheduler.change[2].agent, 3);
    assert_int_equal(scheduler.change[2].due_ms, 0);
    assert_int_equal(scheduler.change[3].agent, 4);
    assert_int_equal(scheduler.change[3].due_ms, 0);
}

static void
a_commit_of_parts_tells_once(void **state)
{
    room_start();
    join(&one, 0);
    scheduler_join(0);
    commit_alarm(&one, 3, 1, COMMIT_MORE, 5000);
    one.sent--;                            /* the same ticket */
    commit_alarm(&one, 3, 1, 0, 5000);
    commit_alarm(&one, 5, 1, COMMIT_MORE, 7000);   /* its end never comes */
    recall(&one, 5);
    leave(&one);
    join(&one, 0);
    commit_alarm(&one, 6, 1, 0, 8000);
    RUN_UNTIL(scheduler.told == 2);
    assert_int_equal(scheduler.change[0].agent, 3);
    assert_int_equal(scheduler.change[1].agent, 6);
}

static void
what_was_not_kept_is_told_again(void **state)
{
    uint64_t lsn[3];

    room_start();
    join(&one, 0);
    scheduler_join(0);
    for (unsigned i = 0; i < 3; i++)
        commit_alarm(&one, 3 + i, 1, 0, 5000 + i);
    RUN_UNTIL(scheduler.told == 3);
    for (unsigned i = 0; i < 3; i++)
        lsn[i] = scheduler.change[i].lsn;
    scheduler_leave();
    scheduler_join(lsn[0]);                /* a new scheduler, whose index has the first */
    RUN_UNTIL(scheduler.told == 2);
    assert_int_equal(scheduler.gap, 0);
    assert_true(scheduler.begin == lsn[0] && scheduler.change[0].lsn == lsn[1] && scheduler.change[1].lsn == lsn[2]);
    settle(&one);
    room_kill();
    leave(&one);
    scheduler_leave();
    room_start();                          /* a new journal */
    join(&one, 0);
    scheduler_join(lsn[1]);
    RUN_UNTIL(scheduler.told == 1);
    assert_int_equal(scheduler.gap, 0);
    assert_true(scheduler.change[0].lsn == lsn[2]);
    assert_int_equal(scheduler.change[0].due_ms, 5002);
    one.sent = 2;
    commit_alarm(&one, 5, 1, COMMIT_AGAIN, 5002);  /* its worker was not told: no news */
    commit_alarm(&one, 3, 2, 0, 9000);
    RUN_UNTIL(scheduler.told == 2);
    assert_int_equal(scheduler.change[1].due_ms, 9000);
    kept(scheduler.change[1].lsn);
    commit_alarm(&one, 3, 3, 0, 9001);
    RUN_UNTIL(scheduler.told == 3);
    scheduler_leave();
    scheduler_join(0);                     /* an index that was lost: some were forgotten when they were kept */
    assert_int_equal(scheduler.gap, 1);
    RUN_UNTIL(scheduler.told == 1);
    assert_int_equal(scheduler.change[0].due_ms, 9001);
}

static void
what_was_refused_is_not_told(void **state)
{
    room_start();
    join(&one, 0);
    scheduler_join(0);
    disk_errno[FAIL_PWRITE] = ENOSPC;
    commit_alarm(&one, 3, 1, 0, 5000);
    RUN_UNTIL(one.refusals == 1);
    disk_errno[FAIL_PWRITE] = 0;
    one.ours = 1;
    one.sent = one.ticket;
    commit_alarm(&one, 4, 1, 0, 6000);
    RUN_UNTIL(scheduler.told == 1);
    assert_int_equal(scheduler.change[0].agent, 4);
    settle(&one);
    disk_errno[FAIL_KINDS] = 1;
    disk_errno[FAIL_SYNC] = EIO;
    commit_alarm(&one, 5, 1, 0, 7000);
    RUN_UNTIL(one.refusals == 2);
    one.ours = 2;
    one.sent = one.ticket;
    commit_alarm(&one, 6, 1, 0, 8000);     /* in a new segment */
    RUN_UNTIL(scheduler.told == 2);
    assert_int_equal(scheduler.change[1].agent, 6);
}

static void
nonsense_of_the_scheduler_closes_its_link(void **state)
{
    room_start();
    join(&one, 0);
    scheduler_join(0);
    commit_alarm(&one, 3, 1, 0, 5000);
    RUN_UNTIL(scheduler.told == 1);
    kept(UINT64_MAX - 1);
    RUN_UNTIL(scheduler.is_closed);
    scheduler_join(UINT64_MAX - 1);        /* first on a link it is an index of another journal's life */
    assert_int_equal(scheduler.gap, 1);
    RUN_UNTIL(scheduler.told == 1);
    commit_durably(&one, 4, 1);
    msg_ALARMS_KEPT_pack(link_out(one.link), &(struct msg_ALARMS_KEPT){ .lsn = 1 });
    RUN_UNTIL(one.is_closed);              /* not a worker's to say */
}

/* ---- space ---- */

#define BYSTANDER 77                       /* whose records are asked for to see a pass end: asking takes a claim back */

/* Fills segments of 64 KiB with checkpointed commits of agent 9 until COUNT syncs of the databases have begun. */
static void
fill(struct side *worker, uint64_t *seq, int count)
{
    const int before = disk_errno[FAIL_KINDS + 1];

    while (disk_errno[FAIL_KINDS + 1] < before + count) {
        send_part(worker, &(struct sent){ 9, ++*seq, 0, 1, 4000 }, false);
        settle(worker);
        claim(worker, 9);
    }
    recall(worker, BYSTANDER);             /* a whole pass after that */
}

/* The same, and on until at most FILES are left: the last sync may have ended after the last look, and more segments were filled while it ran. */
static void
fill_until(struct side *worker, uint64_t *seq, int count, unsigned files_max)
{
    fill(worker, seq, count);
    while (files() > files_max)
        fill(worker, seq, 1);              /* fails when it hangs */
}

static void
a_segment_waits_for_the_scheduler(void **state)
{
    uint64_t seq = 0;
    unsigned before;

    conf_more = ",\"segment_bytes\":65536,\"kept_bytes\":67108864";
    room_start();
    join(&one, 0);
    commit_alarm(&one, 3, 1, 0, 5000);
    settle(&one);
    claim(&one, 3);
    fill(&one, &seq, 5);
    before = files();
    assert_true(before >= 5);              /* nobody has heard of the alarm */
    scheduler_join(0);
    RUN_UNTIL(scheduler.told == 1);
    assert_int_equal(scheduler.gap, 0);
    fill(&one, &seq, 2);
    assert_true(files() > before);      /* heard, but not kept */
    kept(scheduler.change[0].lsn);
    fill_until(&one, &seq, 2, 4);
    claim(&one, 9);
    recall(&one, BYSTANDER);
    leave(&one);
    scheduler_leave();
    assert_int_equal(room_stop(), 0);
    assert_int_equal(files(), 0);
}

static void
alarms_make_place_at_last_and_that_is_said(void **state)
{
    uint64_t seq = 0, lsn;

    conf_more = ",\"segment_bytes\":65536,\"kept_bytes\":262144";
    room_start();
    join(&one, 0);
    commit_alarm(&one, 3, 1, 0, 5000);
    settle(&one);
    claim(&one, 3);
    fill_until(&one, &seq, 12, 8);
    scheduler_join(0);
    assert_int_equal(scheduler.gap, 1);
    scheduler_leave();
    commit_alarm(&one, 4, 1, 0, 6000);
    settle(&one);
    room_kill();
    leave(&one);
    room_start();                          /* a header remembers */
    join(&one, 0);
    scheduler_join(0);
    assert_int_equal(scheduler.gap, 1);
    RUN_UNTIL(scheduler.told == 1);
    assert_int_equal(scheduler.change[0].agent, 4);
    lsn = scheduler.change[0].lsn;
    kept(lsn);
    scheduler_leave();
    scheduler_join(lsn);                   /* it has heard all that is left */
    assert_int_equal(scheduler.gap, 0);
}

static void
copies_are_not_told(void **state)
{
    uint64_t seq = 0;

    conf_more = ",\"segment_bytes\":65536,\"kept_bytes\":131072";
    room_start();
    join_app(&two, 0, "other");
    commit_alarm(&two, 3, 1, 0, 5000);
    commit_alarm(&two, 3, 2, 0, 6000);
    settle(&two);
    leave(&two);                           /* no worker of its app is left: its records are carried forward */
    join(&one, 0);
    scheduler_join(0);
    RUN_UNTIL(scheduler.told == 2);
    kept(scheduler.change[1].lsn);
    fill_until(&one, &seq, 6, 5);
    commit_alarm(&one, 4, 1, 0, 7000);
    RUN_UNTIL(scheduler.told == 3);
    assert_int_equal(scheduler.change[2].agent, 4);
    settle(&one);
    room_kill();
    leave(&one);
    seq = scheduler.change[1].lsn;
    scheduler_leave();
    room_start();
    join_app(&two, 0, "other");
    assert_int_equal(two.suspects, 1);     /* the copies are there */
    scheduler_join(seq);
    RUN_UNTIL(scheduler.told == 1);
    assert_int_equal(scheduler.gap, 0);
    assert_int_equal(scheduler.change[0].agent, 4);
}

static void
a_damaged_alarm_is_a_gap(void **state)
{
    room_start();
    join(&one, 0);
    commit_alarm(&one, 3, 1, 0, 5000);
    settle(&one);
    commit_alarm(&one, 4, 1, 0, 6000);
    settle(&one);
    room_kill();
    leave(&one);
    flip_first_record();
    room_start();
    join(&one, 0);
    scheduler_join(0);
    assert_int_equal(scheduler.gap, 1);
    commit_alarm(&one, 5, 1, 0, 7000);
    RUN_UNTIL(scheduler.told == 1);
    assert_int_equal(scheduler.change[0].agent, 5);
}

/* An index that was damaged may be an older one: what it had said is remembered where the journal itself never had those changes. */
static void
an_index_that_fell_back_is_told_of_a_gap(void **state)
{
    const uint64_t had = 1000;             /* of an earlier journal, which stopped in order and left no file */

    room_start();
    join(&one, 0);
    scheduler_join(had);
    assert_int_equal(scheduler.gap, 0);
    commit_alarm(&one, 3, 1, 0, 5000);
    settle(&one);
    scheduler_leave();
    scheduler_join(had - 1);               /* while this one lives */
    assert_int_equal(scheduler.gap, 1);
    scheduler_leave();
    room_kill();
    leave(&one);
    room_start();                          /* and the next one */
    join(&one, 0);
    scheduler_join(had - 1);
    assert_int_equal(scheduler.gap, 1);
    scheduler_leave();
    scheduler_join(had);
    assert_int_equal(scheduler.gap, 0);
    RUN_UNTIL(scheduler.told == 1);
    assert_int_equal(scheduler.change[0].agent, 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_durable_alarm_is_told_in_order, setup, feed_teardown),
        cmocka_unit_test_setup_teardown(a_commit_of_parts_tells_once, setup, feed_teardown),
        cmocka_unit_test_setup_teardown(what_was_not_kept_is_told_again, setup, feed_teardown),
        cmocka_unit_test_setup_teardown(what_was_refused_is_not_told, setup, feed_teardown),
        cmocka_unit_test_setup_teardown(nonsense_of_the_scheduler_closes_its_link, setup, feed_teardown),
        cmocka_unit_test_setup_teardown(a_segment_waits_for_the_scheduler, setup, feed_teardown),
        cmocka_unit_test_setup_teardown(alarms_make_place_at_last_and_that_is_said, setup, feed_teardown),
        cmocka_unit_test_setup_teardown(copies_are_not_told, setup, feed_teardown),
        cmocka_unit_test_setup_teardown(a_damaged_alarm_is_a_gap, setup, feed_teardown),
        cmocka_unit_test_setup_teardown(an_index_that_fell_back_is_told_of_a_gap, setup, feed_teardown),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
