/*
 * journal_space_test — claims, suspects and syncs of the databases: what is forgotten, what is asked for, what is carried forward.
 */
#include "tests/unit/journal_room_rig.h"

static void
a_claim_ends_suspicion_and_a_stop_leaves_nothing(void **state)
{
    char command[128];

    room_start();
    join(&one, 0);
    commit(&one, 3, 1);
    commit_durably(&one, 4, 1);
    claim(&one, 3);
    recall(&one, 4);                       /* the claim is in */
    leave(&one);
    join(&one, 0);
    assert_int_equal(one.suspects, 1);
    assert_int_equal(one.suspect[0], 4);
    claim(&one, 4);
    link_flush(one.link);                  /* its last words: in the socket when the room is told to stop */
    leave(&one);
    assert_int_equal(room_stop(), 0);
    (void)snprintf(command, sizeof command, "test -z \"$(ls '%s')\"", folder);
    assert_int_equal(system(command), 0);
}

static void
a_stop_does_not_wait_for_links_that_stay(void **state)
{
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);
    assert_int_equal(room_stop(), 0);      /* of 5 s of grace */
    leave(&one);
    room_start();
    join(&one, 0);
    recall(&one, 3);
    assert_int_equal(one.records, 1);
}

/* Fills segments of 64 KiB with commits of agent 9, checkpointing it as it goes; returns when the journal has synced COUNT times. */
static void
fill_until_synced(struct side *worker, uint64_t *seq, int count)
{
    const int before = disk_errno[FAIL_KINDS + 1];

    while (disk_errno[FAIL_KINDS + 1] < before + count) {
        send_part(worker, &(struct sent){ 9, ++*seq, 0, (uint8_t)(*seq + 9), 4000 }, false);
        RUN_UNTIL(worker->ticket == worker->sent);
        claim(worker, 9);
    }
}

static void
segments_go_when_their_agents_are_checkpointed_and_synced(void **state)
{
    uint64_t seq = 0;

    conf_more = ",\"segment_bytes\":65536";
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);            /* pins the first segment */
    fill_until_synced(&one, &seq, 6);
    assert_true(files() >= 6);
    claim(&one, 3);
    fill_until_synced(&one, &seq, 2);
    recall(&one, 9);                       /* the sync has ended, and what it freed is gone */
    while (files() > 4)
        fill_until_synced(&one, &seq, 1);
    recall(&one, 3);
    assert_int_equal(one.records, 0);
}

/* The disk takes its time with the index of a full segment. */
static void
commits_go_on_while_a_segment_is_sealed(void **state)
{
    uint64_t seq = 0;

    conf_more = ",\"segment_bytes\":65536";
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);
    disk_errno[CUT_WAITS] = 1;
    while (files() < 2 || __atomic_load_n(&disk_errno[CUT_WAITS], __ATOMIC_SEQ_CST) != 2) {
        send_part(&one, &(struct sent){ 9, ++seq, 0, (uint8_t)(seq + 9), 4000 }, false);
        RUN_UNTIL(one.ticket == one.sent);
    }
    recall(&one, 3);                       /* it is read meanwhile */
    assert_true(one.recalled_ok);
    assert_int_equal(one.records, 1);
    claim(&one, 3);
    claim(&one, 9);
    fill_until_synced(&one, &seq, 2);      /* others are sealed meanwhile; none goes before it */
    assert_true(files() >= 3);
    __atomic_store_n(&disk_errno[CUT_WAITS], 0, __ATOMIC_SEQ_CST);
    while (files() > 3)
        fill_until_synced(&one, &seq, 1);
    claim(&one, 9);
    recall(&one, 5);                       /* the claim is in */
    leave(&one);
    assert_int_equal(room_stop(), 0);
    assert_int_equal(files(), 0);
}

static void
a_failed_sync_of_the_databases_makes_suspects_again(void **state)
{
    uint64_t seq = 0;

    conf_more = ",\"segment_bytes\":65536";
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);
    claim(&one, 3);
    disk_errno[FAIL_SYNCFS] = EIO;
    fill_until_synced(&one, &seq, 1);
    RUN_UNTIL(one.lists == 2);
    assert_true(one.is_void);
    assert_true(one.suspects >= 1);
    disk_errno[FAIL_SYNCFS] = 0;
    fill_until_synced(&one, &seq, 3);
    recall(&one, 3);
    assert_int_equal(one.records, 1);      /* its claim was void */
}

/* It lay in the socket when the sync failed: the kernel has dropped what it speaks of, and no later sync tells. */
static void
a_claim_from_before_a_failed_sync_is_void(void **state)
{
    uint64_t seq = 0;
    uint32_t before, now;

    conf_more = ",\"segment_bytes\":65536";
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);
    before = one.era;
    disk_errno[FAIL_SYNCFS] = EIO;
    fill_until_synced(&one, &seq, 1);
    RUN_UNTIL(one.lists == 2);
    now = one.era;
    assert_int_not_equal(now, before);
    disk_errno[FAIL_SYNCFS] = 0;
    one.era = before;
    claim(&one, 3);
    one.era = now;
    fill_until_synced(&one, &seq, 3);
    recall(&one, 3);
    assert_int_equal(one.records, 1);
    claim(&one, 3);
    fill_until_synced(&one, &seq, 3);
    recall(&one, 3);
    assert_int_equal(one.records, 0);
}

/* The era that the next journal would begin with: another one while a sync runs. */
static uint32_t
era_noted(void)
{
    uint32_t era = 0;
    char path[128];
    int fd;

    (void)snprintf(path, sizeof path, "%s/era", folder);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, &era, sizeof era), sizeof era);
    (void)close(fd);
    return era;
}

/* Nobody heard how its sync ended: it may have failed, and no later one tells. */
static void
a_journal_that_dies_in_a_sync_begins_an_era(void **state)
{
    uint64_t seq = 0;
    uint32_t before;

    conf_more = ",\"segment_bytes\":65536";
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);
    fill_until_synced(&one, &seq, 1);
    before = one.era;
    while (era_noted() != before)          /* the sync runs still */
        recall(&one, 9);
    room_kill();
    leave(&one);
    room_start();
    join(&one, 0);
    assert_int_equal(one.era, before);
    disk_errno[DIES_IN_SYNCFS] = 1;
    while (!one.is_closed) {
        send_part(&one, &(struct sent){ 9, ++seq, 0, 7, 4000 }, false);
        RUN_UNTIL(one.is_closed || one.ticket == one.sent);
        if (!one.is_closed)
            claim(&one, 9);
    }
    disk_errno[DIES_IN_SYNCFS] = 0;
    room_kill();
    leave(&one);
    room_start();
    join(&one, 0);
    assert_int_not_equal(one.era, before);
}

static void
what_pins_too_much_is_asked_for(void **state)
{
    uint64_t seq = 0;

    conf_more = ",\"segment_bytes\":65536,\"kept_bytes\":200000";
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);
    while (one.wanted == 0)
        fill_until_synced(&one, &seq, 1);
    assert_true(files() >= 4);
    fill_until_synced(&one, &seq, 3);
    assert_int_equal(one.wanted, 1);       /* once is enough */
}

/* Far below the limit of its space, but there is none. */
static void
a_full_disk_asks_for_what_pins_it_and_syncs_what_rests(void **state)
{
    uint64_t seq = 0;
    unsigned before;

    conf_more = ",\"segment_bytes\":65536";
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);            /* pins the first segment */
    fill_until_synced(&one, &seq, 3);
    recall(&one, 3);
    before = files();
    assert_true(before >= 3);
    assert_int_equal(one.wanted, 0);
    disk_errno[FAIL_PWRITE] = ENOSPC;
    send_part(&one, &(struct sent){ 9, ++seq, 0, 7, 4000 }, false);
    RUN_UNTIL(one.refusals == 1);
    RUN_UNTIL(one.wanted > 0);
    claim(&one, 3);
    claim(&one, 9);
    while (files() >= before)              /* nobody writes: no segment is closed */
        recall(&one, 5);
    disk_errno[FAIL_PWRITE] = 0;
    one.ours++;
    one.sent = one.ticket;
    commit_durably(&one, 3, 2);
}

static off_t
segment_size(unsigned number)
{
    struct stat st;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%016x.seg", folder, number);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* There is room, but not for a whole segment of 64 MiB. */
static void
a_disk_without_room_for_a_segment_takes_commits(void **state)
{
    uint64_t seq = 0;

    disk_errno[SPACE_BYTES] = 5 << 20;
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, ++seq);
    assert_int_equal(segment_size(1), 4 << 20);
    while (files() == 1) {                 /* the next one begins where the room of this one ends */
        send_part(&one, &(struct sent){ 3, ++seq, 0, 1, 500000 }, false);
        RUN_UNTIL(one.ticket == one.sent);
    }
    assert_true(segment_size(1) <= 5 << 20);
    room_kill();
    leave(&one);
    disk_errno[SPACE_BYTES] = 100000;      /* a new journal begins a segment of its own */
    room_start();
    join(&one, 0);
    send_part(&one, &(struct sent){ 3, seq + 1, 0, 1, 4000 }, false);
    RUN_UNTIL(one.refusals == 1);
    assert_non_null(strstr(one.message, "free space on the data disk"));
    one.ours++;
    one.sent = one.ticket;
    disk_errno[SPACE_BYTES] = 0;           /* nobody has to do anything */
    commit_durably(&one, 3, ++seq);
    recall(&one, 3);
    assert_true(one.recalled_ok);
    assert_int_equal(one.recalled_seq, seq);
}

static void
without_a_worker_records_are_carried_forward(void **state)
{
    uint64_t seq = 0;

    conf_more = ",\"segment_bytes\":65536,\"kept_bytes\":200000";
    room_start();
    join_app(&two, 0, "gone");
    for (uint64_t n = 1; n <= 10; n++)
        commit(&two, 3, n);
    RUN_UNTIL(two.ticket == 10);
    leave(&two);
    join(&one, 0);
    fill_until_synced(&one, &seq, 20);
    while (files() > 8)                    /* 20 were filled; the last sync may still run */
        fill_until_synced(&one, &seq, 1);
    join_app(&two, 0, "gone");
    for (int round = 0; round < 2; round++) {
        recall(&two, 3);
        assert_true(two.recalled_ok);
        assert_int_equal(two.records, 10);
        for (unsigned i = 0; i < 10; i++)
            assert_int_equal(two.record[i].first, i + 1 + 3);
        room_kill();
        leave(&two);
        leave(&one);
        room_start();
        join_app(&two, 0, "gone");
    }
}

/* `dormouse remove`, and its folder deleted: nobody will ever claim them. */
static void
records_of_an_app_that_is_deleted_are_let_go(void **state)
{
    char path[128];
    uint64_t seq = 0;

    conf_more = ",\"segment_bytes\":65536,\"kept_bytes\":200000";
    room_start();
    join_app(&two, 0, "gone");
    commit_durably(&two, 3, 1);
    leave(&two);
    (void)snprintf(path, sizeof path, "%s/gone", apps_folder);
    assert_int_equal(rmdir(path), 0);
    join(&one, 0);
    fill_until_synced(&one, &seq, 6);
    while (files() > 5)
        fill_until_synced(&one, &seq, 1);
    fill_until_synced(&one, &seq, 3);      /* one of these syncs began after they were let go, and has ended */
    join_app(&two, 0, "gone");
    assert_int_equal(two.suspects, 0);
    recall(&two, 3);
    assert_true(two.recalled_ok);
    assert_int_equal(two.records, 0);
}

static void
in_its_sandbox_it_syncs_reserves_reads_and_stops(void **state)
{
    static char conf[200];
    uint64_t seq = 0;

#ifdef __SANITIZE_ADDRESS__
    skip();                                /* a build with sanitizers makes syscalls of its own */
#endif
    (void)snprintf(conf, sizeof conf, ",\"segment_bytes\":65536,\"sandbox\":\"best\",\"jail\":{\"write\":[\"%s\"]}", folder);
    conf_more = conf;
    disk_errno[FAIL_KINDS + 2] = 1;        /* syncfs as it is */
    room_start();
    join(&one, 0);
    commit_durably(&one, 3, 1);
    claim(&one, 3);
    fill_until_synced(&one, &seq, 2);
    recall(&one, 3);
    assert_true(one.recalled_ok);
    leave(&one);
    assert_int_equal(room_stop(), 0);
    assert_int_equal(files(), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_claim_ends_suspicion_and_a_stop_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stop_does_not_wait_for_links_that_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(segments_go_when_their_agents_are_checkpointed_and_synced, setup, teardown),
        cmocka_unit_test_setup_teardown(commits_go_on_while_a_segment_is_sealed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_sync_of_the_databases_makes_suspects_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_claim_from_before_a_failed_sync_is_void, setup, teardown),
        cmocka_unit_test_setup_teardown(a_journal_that_dies_in_a_sync_begins_an_era, setup, teardown),
        cmocka_unit_test_setup_teardown(what_pins_too_much_is_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_asks_for_what_pins_it_and_syncs_what_rests, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_without_room_for_a_segment_takes_commits, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_worker_records_are_carried_forward, setup, teardown),
        cmocka_unit_test_setup_teardown(records_of_an_app_that_is_deleted_are_let_go, setup, teardown),
        cmocka_unit_test_setup_teardown(in_its_sandbox_it_syncs_reserves_reads_and_stops, setup, teardown),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
