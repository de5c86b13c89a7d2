/*
 * journal_cut_test — the cut that a backup asks for: what was durable before lies in files that never change again, and commits go on behind.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/unit/journal_room_rig.h"

static struct {
    struct link *link;
    unsigned     answers;
    bool         is_closed;
    struct msg_JOURNAL_CUT_DONE last;
} control;

static bool
control_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    if (type != MSG_JOURNAL_CUT_DONE)
        return true;
    assert_true(msg_JOURNAL_CUT_DONE_unpack(&control.last, payload, err));
    control.answers++;
    return true;
}

static void
control_closed(void *owner, struct link *link, const struct err *err)
{
    control.link = NULL;
    control.is_closed = true;
}

static void
control_join(void)
{
    static const struct link_events control_events = { .message = control_message, .closed = control_closed };

    memset(&control, 0, sizeof control);
    control.link = rig_link(rig_introduce(supervisor.link, ROLE_CONTROL, 0, ""), ROLE_CONTROL, 0, "", &control_events, NULL);
}

static uint32_t
cut(void)
{
    const unsigned before = control.answers;

    msg_JOURNAL_CUT_pack(link_out(control.link), &(struct msg_JOURNAL_CUT){ 7 });
    RUN_UNTIL(control.answers == before + 1);
    assert_int_equal(control.last.request, 7);
    assert_true(control.last.ok);
    return control.last.segment;
}

/* The whole file of segment NUMBER; the caller frees. */
static char *
segment_bytes(uint32_t number, size_t *out_len)
{
    char path[128];
    struct stat st;
    char *bytes;
    int fd;

    (void)snprintf(path, sizeof path, "%s/%016x.seg", folder, number);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    *out_len = (size_t)st.st_size;
    bytes = malloc(*out_len + 1);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, *out_len), (ssize_t)*out_len);
    close(fd);
    return bytes;
}

static int
cut_teardown(void **state)
{
    link_destroy(&control.link);
    return teardown(state);
}

static void
what_was_durable_lies_in_a_file_that_stays_as_it_is(void **state)
{
    char *then, *now;
    size_t then_len, now_len;

    room_start();
    join(&one, 0);
    control_join();
    for (uint64_t seq = 1; seq <= 20; seq++)
        commit_durably(&one, 3, seq);
    assert_int_equal(cut(), 1);
    then = segment_bytes(1, &then_len);
    assert_in_range(then_len, 20 * 600, 64 * 1024);   /* ended: what was reserved is given back */
    for (uint64_t seq = 21; seq <= 40; seq++)
        commit_durably(&one, 3, seq);
    now = segment_bytes(1, &now_len);
    assert_int_equal(now_len, then_len);
    assert_memory_equal(now, then, then_len);
    free(now);
    free(then);
    recall(&one, 3);
    assert_true(one.recalled_ok);
    assert_int_equal(one.recalled_seq, 40);
    assert_int_equal(cut(), 2);
}

static void
commits_that_came_before_the_question_are_on_this_side(void **state)
{
    room_start();
    join(&one, 0);
    control_join();
    commit(&one, 3, 1);
    commit(&one, 4, 1);
    RUN_UNTIL(one.ticket == one.sent);
    (void)cut();
    assert_int_equal(one.ticket, one.sent);
    room_kill();                           /* with nothing behind the cut, the next start finds all of it */
    leave(&one);
    room_start();
    join(&one, 0);
    assert_int_equal(one.suspects, 2);
}

static void
a_journal_without_commits_has_nothing_to_end(void **state)
{
    room_start();
    control_join();
    assert_int_equal(cut(), 0);
    assert_int_equal(cut(), 0);
    assert_int_equal(files(), 1);          /* the era of its syncs */
}

static void
cuts_without_end_do_not_leave_segments_without_end(void **state)
{
    conf_more = ",\"segment_bytes\":4096,\"kept_segments\":8";
    room_start();
    join(&one, 0);
    control_join();
    commit_durably(&one, 3, 1);            /* pins the oldest, as an agent does that never rests */
    for (uint64_t seq = 1; one.wanted == 0; seq++) {
        assert_in_range(seq, 1, 200);
        commit_durably(&one, 4, seq);
        claim(&one, 4);
        (void)cut();
    }
    claim(&one, 3);
    for (uint64_t seq = 1; files() > 10; seq++) {
        assert_in_range(seq, 1, 200);
        commit_durably(&one, 5, seq);
        claim(&one, 5);
        (void)cut();
    }
}

static void
only_control_may_ask(void **state)
{
    room_start();
    join(&one, 0);
    msg_JOURNAL_CUT_pack(link_out(one.link), &(struct msg_JOURNAL_CUT){ 7 });
    RUN_UNTIL(one.is_closed);
    assert_true(one.is_closed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_durable_lies_in_a_file_that_stays_as_it_is, setup, cut_teardown),
        cmocka_unit_test_setup_teardown(commits_that_came_before_the_question_are_on_this_side, setup, cut_teardown),
        cmocka_unit_test_setup_teardown(a_journal_without_commits_has_nothing_to_end, setup, cut_teardown),
        cmocka_unit_test_setup_teardown(cuts_without_end_do_not_leave_segments_without_end, setup, cut_teardown),
        cmocka_unit_test_setup_teardown(only_control_may_ask, setup, teardown),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
