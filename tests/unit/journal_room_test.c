/*
 * journal_room_test — the room as its peers see it: it is killed at will, and its disk fails at will; what was DURABLE must be there.
 */
#include "tests/unit/journal_room_rig.h"

/* ---- commits and recall ---- */

static void
what_is_durable_outlives_a_kill(void **state)
{
    room_start();
    join(&one, 0);
    assert_int_equal(one.suspects, 0);
    for (uint64_t seq = 1; seq <= 20; seq++)
        commit(&one, 3, seq);
    commit(&one, 4, 1);
    RUN_UNTIL(one.ticket == 21);
    assert_int_equal(one.durables, 1);     /* one iteration, one sync, one message */
    room_kill();
    leave(&one);
    room_start();
    join(&one, 0);
    assert_int_equal(one.suspects, 2);
    recall(&one, 3);
    assert_true(one.recalled_ok);
    assert_int_equal(one.recalled_seq, 20);
    assert_int_equal(one.records, 20);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(one.record[i].seq, i + 1);
        assert_int_equal(one.record[i].first, i + 1 + 3);
        assert_int_equal(one.record[i].len, 600);
    }
    recall(&one, 9);
    assert_true(one.recalled_ok);
    assert_int_equal(one.recalled_seq, 0);
    assert_int_equal(one.records, 0);
}

static void
a_recall_waits_for_what_came_before_it(void **state)
{
    room_start();
    join(&one, 0);
    for (uint64_t seq = 1; seq <= 5; seq++)
        commit(&one, 3, seq);
    send_part(&one, &(struct sent){ 3, 6, COMMIT_MORE, 60, 100 }, false);
    send_part(&one, &(struct sent){ 3, 6, 0, 61, 100 }, true);
    recall(&one, 3);
    assert_int_equal(one.ticket, 6);       /* said before it */
    assert_int_equal(one.records, 7);
    assert_int_equal(one.record[5].flags, COMMIT_MORE);
    assert_int_equal(one.record[5].first, 60);
    assert_int_equal(one.record[6].flags, 0);
    assert_int_equal(one.record[6].first, 61);
    assert_int_equal(one.recalled_seq, 6);
}

static void
an_incomplete_commit_never_was(void **state)
{
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);
    send_part(&one, &(struct sent){ 3, 2, COMMIT_MORE, 20, 100 }, false);
    recall(&one, 3);                       /* it was written by then */
    assert_int_equal(one.records, 1);
    assert_int_equal(one.ticket, 1);
    leave(&one);
    join(&one, 0);
    commit_durably(&one, 3, 2);
    recall(&one, 3);
    assert_int_equal(one.records, 2);
    leave(&one);
    room_kill();
    room_start();
    join(&one, 0);
    recall(&one, 3);
    assert_int_equal(one.records, 2);
    assert_int_equal(one.record[1].first, 5);
}

static void
after_gone_only_the_next_life_is_said(void **state)
{
    room_start();
    join(&one, 0);
    for (uint64_t seq = 1; seq <= 3; seq++)
        commit(&one, 3, seq);
    send_part(&one, &(struct sent){ 3, 0, COMMIT_GONE, 0, 0 }, false);
    commit(&one, 3, 1);
    commit_durably(&one, 3, 2);
    for (int round = 0; round < 2; round++) {
        recall(&one, 3);
        assert_true(one.recalled_ok);
        assert_int_equal(one.recalled_seq, 2);
        assert_int_equal(one.records, 3);
        assert_int_equal(one.record[0].flags, COMMIT_GONE);
        assert_int_equal(one.record[0].len, 0);
        assert_int_equal(one.record[1].seq, 1);
        assert_int_equal(one.record[2].seq, 2);
        room_kill();
        leave(&one);
        room_start();
        join(&one, 0);
    }
}

/* ---- generations, resends ---- */

static void
resend(struct side *worker, unsigned n, uint64_t seq)
{
    send_part(worker, &(struct sent){ n, seq, COMMIT_AGAIN, (uint8_t)(seq + n), 600 }, false);
}

static void
a_resend_after_a_restart_is_kept_once(void **state)
{
    room_start();
    join(&one, 0);
    for (uint64_t seq = 1; seq <= 3; seq++)
        commit_durably(&one, 3, seq);
    room_kill();
    leave(&one);
    room_start();
    join(&one, 0);
    one.sent = 1;                          /* a resend has the ticket that it had */
    resend(&one, 3, 2);
    resend(&one, 3, 3);
    resend(&one, 3, 4);
    commit(&one, 3, 5);
    RUN_UNTIL(one.ticket == 5);
    recall(&one, 3);
    assert_int_equal(one.records, 5);
    assert_int_equal(one.recalled_seq, 5);
}

static void
many_committers_share_a_sync(void **state)
{
    room_start();
    join(&one, 0);
    join(&two, 1);
    for (unsigned n = 0; n < 100; n++) {
        commit(&one, n + 1, 1);
        commit(&two, n + 101, 1);
    }
    RUN_UNTIL(one.ticket == 100 && two.ticket == 100);
    assert_true(one.durables <= 3 && two.durables <= 3);
}

/* ---- a failing disk ---- */

static void
a_full_disk_refuses_and_heals_by_itself(void **state)
{
    room_start();
    join(&one, 0);
    join(&two, 1);
    commit_durably(&one, 3, 1);
    disk_errno[FAIL_PWRITE] = ENOSPC;
    commit(&one, 3, 2);
    commit(&one, 4, 1);
    RUN_UNTIL(one.refusals == 1);
    assert_int_equal(one.refused_code, ERR_DISK_FULL);
    assert_non_null(strstr(one.message, "free space"));
    assert_int_equal(two.refusals, 0);     /* it had nothing in the batch */
    commit(&one, 3, 3);                    /* in the pipe still: dropped */
    recall(&one, 3);
    assert_int_equal(one.records, 1);
    disk_errno[FAIL_PWRITE] = 0;
    one.ours = 1;
    one.sent = one.ticket;
    commit_durably(&one, 3, 2);
    commit_durably(&two, 5, 1);
    recall(&one, 3);
    assert_int_equal(one.records, 2);
    recall(&one, 4);
    assert_int_equal(one.records, 0);
    assert_int_equal(one.refusals, 1);
}

static void
a_failed_sync_refuses_and_a_new_segment_takes_over(void **state)
{
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);
    disk_errno[FAIL_KINDS] = 1;
    disk_errno[FAIL_SYNC] = EIO;
    commit(&one, 3, 2);
    RUN_UNTIL(one.refusals == 1);
    assert_int_equal(one.refused_code, ERR_IO);
    one.ours = 1;
    one.sent = one.ticket;
    send_part(&one, &(struct sent){ 3, 2, 0, 77, 600 }, false);
    RUN_UNTIL(one.ticket == one.sent);
    room_kill();
    leave(&one);
    room_start();
    join(&one, 0);
    recall(&one, 3);
    assert_int_equal(one.records, 2);
    assert_int_equal(one.record[1].first, 77);
}

static void
a_disk_that_syncs_nothing_any_more_ends_the_room(void **state)
{
    int status;

    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);
    disk_errno[FAIL_KINDS] = 0;
    disk_errno[FAIL_SYNC] = EIO;
    commit(&one, 3, 2);
    RUN_UNTIL(one.refusals == 1 && supervisor.is_closed);
    assert_int_equal(waitpid(child, &status, 0), child);
    child = 0;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    disk_errno[FAIL_SYNC] = 0;
    leave(&one);
    room_start();
    join(&one, 0);
    recall(&one, 3);
    assert_int_equal(one.records, 1);
}

static void
ten_thousand_suspects_are_listed_after_a_restart(void **state)
{
    int64_t start_us, ready_us;

    room_start();
    join(&one, 0);
    for (unsigned n = 0; n < 10000; n++)
        commit(&one, n + 1, 1);
    RUN_UNTIL(one.ticket == 10000);
    for (int round = 0; round < 2; round++) {
        room_kill();
        leave(&one);
        start_us = clock_mono_us();
        room_start();
        ready_us = clock_mono_us();
        join(&one, 0);
        assert_int_equal(one.suspects, 10000);
        print_message("ready after %.1f ms, 10,000 suspects listed after %.1f ms (%s)\n", (double)(ready_us - start_us) / 1000,
                      (double)(clock_mono_us() - start_us) / 1000, round == 0 ? "from records" : "from an index");
    }
}

static void
damage_is_one_agents_only(void **state)
{
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);
    commit_durably(&one, 4, 1);
    room_kill();
    leave(&one);
    flip_first_record();
    room_start();
    join(&one, 0);
    assert_int_equal(one.suspects, 2);
    recall(&one, 3);
    assert_int_equal(one.recalled, RECALLED_DAMAGED);
    assert_non_null(strstr(one.message, "restore it from a backup"));
    disk_errno[READ_ERRNO] = EIO;
    recall(&one, 4);
    assert_int_equal(one.recalled, RECALLED_NOT_NOW);
    disk_errno[READ_ERRNO] = 0;
    recall(&one, 4);
    assert_true(one.recalled_ok);
    assert_int_equal(one.records, 1);
    commit_durably(&one, 4, 2);
    recall(&one, 4);
    assert_int_equal(one.records, 2);
}

/* ---- hostile peers ---- */

static void
nonsense_closes_its_link_only(void **state)
{
    room_start();
    join(&two, 1);
    for (int kind = 0; kind < 5; kind++) {
        join(&one, 0);
        if (kind == 0)
            send_part(&one, &(struct sent){ 3, 7, 128, 1, 10 }, false);
        if (kind == 1)
            send_part(&one, &(struct sent){ 3, 0, 0, 1, 10 }, false);
        if (kind == 2)
            msg_DURABLE_pack(link_out(one.link), &(struct msg_DURABLE){ 0, 7 });
        if (kind == 3)
            msg_RECALL_pack(link_out(one.link), &(struct msg_RECALL){ 1, agent(3), BYTES_NONE });
        if (kind == 4) {                   /* a payload that is cut */
            msg_CHECKPOINTED_pack(link_out(one.link), &(struct msg_CHECKPOINTED){ agent(3), 0, BYTES_LIT("Counter") });
            link_out(one.link)->len -= 3;
            link_out(one.link)->data[link_out(one.link)->len - 52] -= 3;
        }
        if (kind == 3) {
            RUN_UNTIL(one.recalls == 1);   /* no such agent: an answer, no offence */
            leave(&one);
        } else {
            RUN_UNTIL(one.is_closed);
        }
    }
    commit_durably(&two, 5, 1);
    recall(&two, 5);
    assert_int_equal(two.records, 1);
}

static void
another_app_sees_nothing(void **state)
{
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);
    join_app(&two, 0, "other");
    assert_int_equal(two.suspects, 0);
    recall(&two, 3);
    assert_int_equal(two.records, 0);
    claim(&two, 3);
    recall(&two, 3);
    leave(&one);
    join(&one, 0);
    assert_int_equal(one.suspects, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_durable_outlives_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(a_recall_waits_for_what_came_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(an_incomplete_commit_never_was, setup, teardown),
        cmocka_unit_test_setup_teardown(after_gone_only_the_next_life_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_resend_after_a_restart_is_kept_once, setup, teardown),
        cmocka_unit_test_setup_teardown(many_committers_share_a_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_refuses_and_heals_by_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_sync_refuses_and_a_new_segment_takes_over, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_syncs_nothing_any_more_ends_the_room, setup, teardown),
        cmocka_unit_test_setup_teardown(ten_thousand_suspects_are_listed_after_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_one_agents_only, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_closes_its_link_only, setup, teardown),
        cmocka_unit_test_setup_teardown(another_app_sees_nothing, setup, teardown),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
