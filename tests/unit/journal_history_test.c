/*
 * journal_history_test — the room's history as a worker sees it: states of old over segments that nobody needs any more, bases, restarts,
 * pruning by size, a backup's hold, and a journal that goes on while it is asked.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "src/journal/journal_limits.h"
#include "tests/unit/journal_room_rig.h"

#define SMALL ",\"segment_bytes\":4096,\"history_days\":30,\"history_mb\":1"

static void
recall_at(struct side *worker, unsigned n, const struct msg_RECALL_AT *what)
{
    const unsigned before = worker->recalls;
    struct msg_RECALL_AT msg = *what;

    msg.request = 9;
    msg.agent = agent(n);
    msg.class_name = BYTES_LIT("Counter");
    worker->records = 0;
    msg_RECALL_AT_pack(link_out(worker->link), &msg);
    RUN_UNTIL(worker->recalls == before + 1);
}

static void
at_commit(struct side *worker, unsigned n, uint64_t seq)
{
    recall_at(worker, n, &(struct msg_RECALL_AT){ .mode = RECALL_AT_COMMIT, .seq = seq, .time_ms = clock_wall_ms() });
}

static unsigned
count_files(const char *below)
{
    char command[160];
    unsigned count = 0;
    FILE *pipe;

    (void)snprintf(command, sizeof command, "ls '%s%s' 2>/dev/null | grep -c 'seg$'", folder, below);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%u", &count), 1);
    (void)pclose(pipe);
    return count;
}

static void
assert_commits(const struct side *worker, uint64_t from, uint64_t to, unsigned n)
{
    assert_true(worker->recalled_ok);
    assert_int_equal(worker->recalled_seq, to);
    assert_int_equal(worker->records, to - from + 1);
    for (unsigned i = 0; i < worker->records; i++) {
        assert_int_equal(worker->record[i].seq, from + i);
        assert_int_equal(worker->record[i].first, (uint8_t)(from + i + n));
    }
}

static void
what_nobody_needs_is_history_and_survives_restarts(void **state)
{
    conf_more = SMALL;
    room_start();
    join(&one, 0);
    for (uint64_t seq = 1; seq <= 40; seq++)
        commit_durably(&one, 3, seq);
    at_commit(&one, 3, 30);                /* all of it in the journal itself */
    assert_commits(&one, 1, 30, 3);
    claim(&one, 3);
    assert_int_equal(room_stop(), 0);
    leave(&one);
    assert_int_equal(count_files(""), 0);
    assert_true(count_files("/history") > 5);
    room_start();
    join(&one, 0);
    assert_int_equal(one.suspects, 0);     /* control: nothing of it is needed */
    at_commit(&one, 3, 25);
    assert_commits(&one, 1, 25, 3);
    commit_durably(&one, 3, 41);           /* in a segment whose number goes on */
    at_commit(&one, 3, 41);
    assert_commits(&one, 1, 41, 3);
    at_commit(&one, 3, 42);
    assert_false(one.recalled_ok);
    at_commit(&one, 4, 1);
    assert_false(one.recalled_ok);
}

static void
a_base_is_for_history_only(void **state)
{
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);
    commit_durably(&one, 3, 2);
    send_part(&one, &(struct sent){ 3, 2, COMMIT_BASE | COMMIT_MORE, 90, 600 }, false);
    send_part(&one, &(struct sent){ 3, 2, COMMIT_BASE, 91, 600 }, true);
    RUN_UNTIL(one.ticket == one.sent);     /* durable without any commit */
    commit_durably(&one, 3, 3);
    recall(&one, 3);
    assert_commits(&one, 1, 3, 3);
    at_commit(&one, 3, 3);
    assert_int_equal(one.records, 3);
    assert_int_equal(one.record[0].first, 90);
    assert_int_equal(one.record[0].flags, COMMIT_MORE);
    assert_int_equal(one.record[1].first, 91);
    assert_int_equal(one.record[2].seq, 3);
    room_kill();
    leave(&one);
    room_start();
    join(&one, 0);
    recall(&one, 3);
    assert_commits(&one, 1, 3, 3);
    /* A resend to a new journal: the base comes before a commit that is there already, and one that is not. */
    one.sent = 3;
    send_part(&one, &(struct sent){ 3, 2, COMMIT_BASE | COMMIT_AGAIN | COMMIT_MORE, 92, 600 }, false);
    send_part(&one, &(struct sent){ 3, 2, COMMIT_BASE | COMMIT_AGAIN, 93, 600 }, true);
    commit_durably(&one, 3, 4);
    at_commit(&one, 3, 4);
    assert_int_equal(one.records, 4);
    assert_int_equal(one.record[0].first, 92);
    assert_int_equal(one.record[1].first, 93);
    assert_int_equal(one.record[2].seq, 3);
    assert_int_equal(one.record[3].seq, 4);
    assert_false(one.is_closed);
}

static void
too_much_history_goes_oldest_first_but_not_during_a_backup(void **state)
{
    char hold[96];
    unsigned kept;
    uint64_t seq = 1;

    conf_more = SMALL;
    (void)snprintf(hold, sizeof hold, "%s/" HISTORY_HOLD_NAME, folder);
    room_start();
    join(&one, 0);
    (void)close(open(hold, O_CREAT | O_WRONLY, 0600));
    for (; seq <= 1800; seq++)
        commit(&one, 3, seq);
    RUN_UNTIL(one.ticket == one.sent);
    claim(&one, 3);
    assert_int_equal(room_stop(), 0);
    leave(&one);
    kept = count_files("/history");
    assert_true(kept > 0);
    room_start();
    join(&one, 0);
    at_commit(&one, 3, 10);
    assert_commits(&one, 1, 10, 3);        /* control: held, nothing went */
    assert_int_equal(unlink(hold), 0);
    assert_int_equal(room_stop(), 0);
    leave(&one);
    room_start();                          /* a start prunes */
    join(&one, 0);
    at_commit(&one, 3, 10);
    assert_false(one.recalled_ok);
    assert_true(count_files("/history") < kept);
}

static void
without_history_segments_are_deleted(void **state)
{
    conf_more = ",\"segment_bytes\":4096";
    room_start();
    join(&one, 0);
    for (uint64_t seq = 1; seq <= 40; seq++)
        commit(&one, 3, seq);
    RUN_UNTIL(one.ticket == one.sent);
    claim(&one, 3);
    assert_int_equal(room_stop(), 0);
    assert_int_equal(count_files(""), 0);
    assert_int_equal(count_files("/history"), 0);
}

static void
commits_go_on_while_history_is_read(void **state)
{
    conf_more = SMALL;
    room_start();
    join(&one, 0);
    join(&two, 1);
    for (uint64_t seq = 1; seq <= 200; seq++)
        commit_durably(&one, 3, seq);
    msg_RECALL_AT_pack(link_out(one.link), &(struct msg_RECALL_AT){ 9, agent(3), RECALL_AT_COMMIT, clock_wall_ms(), 150, BYTES_LIT("Counter") });
    commit(&one, 4, 1);
    RUN_UNTIL(one.recalls == 1);
    assert_int_equal(one.ticket, one.sent);   /* sent after the question, durable before its answer, which takes a pass per segment */
    commit_durably(&two, 5, 1);
    assert_commits(&one, 1, 150, 3);
}

static void
nonsense_costs_the_link(void **state)
{
    room_start();
    join(&one, 0);
    join(&two, 1);
    msg_RECALL_AT_pack(link_out(one.link), &(struct msg_RECALL_AT){ 9, agent(3), RECALL_AT_MODES, 0, 0, BYTES_LIT("Counter") });
    RUN_UNTIL(one.is_closed);
    send_part(&two, &(struct sent){ 3, 2, COMMIT_BASE | COMMIT_GONE, 90, 600 }, false);
    RUN_UNTIL(two.is_closed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_nobody_needs_is_history_and_survives_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_base_is_for_history_only, setup, teardown),
        cmocka_unit_test_setup_teardown(too_much_history_goes_oldest_first_but_not_during_a_backup, setup, teardown),
        cmocka_unit_test_setup_teardown(without_history_segments_are_deleted, setup, teardown),
        cmocka_unit_test_setup_teardown(commits_go_on_while_history_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_costs_the_link, setup, teardown),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
