/*
 * journal_room_test — the room as its peers see it: this program is the supervisor and the workers, its forked child the journal. It is
 * killed at will, and its disk fails at will; what was DURABLE must be there.
 */
#include <stdio.h>
#include <string.h>

#include "src/journal/journal_shell.h"
#include "tests/unit/room_rig.h"

#define WAIT_MS      20000                 /* a hang fails the test, never a slow machine */
#define RECORDS_KEPT 4096
#define SUSPECTS_MAX 12000

struct said_record { uint64_t seq; uint8_t flags; uint8_t first; size_t len; };

struct side {
    struct link *link;
    bool         is_closed;
    unsigned     ready, durables, refusals, records, recalls, lists, wanted;
    uint64_t     ticket;                   /* DURABLE up to it */
    uint32_t     generation;
    uint16_t     refused_code;
    char         message[512];
    struct said_record record[RECORDS_KEPT];
    bool         recalled_ok;
    uint64_t     recalled_seq;
    unsigned     suspects;
    uint8_t      suspect[SUSPECTS_MAX];    /* the first byte of each id */
    bool         is_void;
    uint64_t     sent;                     /* the last ticket that we used */
    uint32_t     ours;                     /* our generation */
};

static char folder[64];
static struct side supervisor;
static struct side one, two;
static const char *conf_more = "";

static void
take_suspects(struct side *side, struct bytes payload, struct err *err)
{
    struct msg_SUSPECTS msg;
    size_t at = 0;

    assert_true(msg_SUSPECTS_unpack(&msg, payload, err));
    while (at < msg.entries.len) {
        uint16_t len;

        assert_true(at + 34 <= msg.entries.len);
        memcpy(&len, msg.entries.data + at + 32, 2);
        assert_true(len > 0 && at + 34 + len <= msg.entries.len);
        assert_true(side->suspects < SUSPECTS_MAX);
        side->suspect[side->suspects++] = msg.entries.data[at];
        at += 34u + len;
    }
    side->is_void = (msg.flags & SUSPECTS_VOID) != 0;
    if ((msg.flags & SUSPECTS_MORE) == 0)
        side->lists++;
}

static void
take_record(struct side *side, struct bytes payload, struct err *err)
{
    struct msg_RECORD msg;

    assert_true(msg_RECORD_unpack(&msg, payload, err));
    assert_true(side->records < RECORDS_KEPT);
    side->record[side->records++] = (struct said_record){ msg.seq, msg.flags, msg.pages.len > 0 ? msg.pages.data[0] : 0, msg.pages.len };
    for (size_t i = 1; i < msg.pages.len; i++)
        assert_int_equal(msg.pages.data[i], msg.pages.data[0]);
}

static bool
side_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct side *side = owner;
    struct msg_DURABLE durable;
    struct msg_REFUSED refused;
    struct msg_RECALLED recalled;

    if (type == MSG_READY)
        side->ready++;
    if (type == MSG_DURABLE) {
        assert_true(msg_DURABLE_unpack(&durable, payload, err));
        assert_true(durable.ticket > side->ticket);
        assert_true(durable.ticket <= side->sent);
        assert_int_equal(durable.generation, side->ours);
        side->ticket = durable.ticket;
        side->durables++;
    }
    if (type == MSG_REFUSED) {
        assert_true(msg_REFUSED_unpack(&refused, payload, err));
        assert_int_equal(refused.generation, side->ours);
        side->refused_code = refused.code;
        (void)snprintf(side->message, sizeof side->message, "%.*s", (int)refused.message.len, (const char *)refused.message.data);
        side->refusals++;
    }
    if (type == MSG_SUSPECTS)
        take_suspects(side, payload, err);
    if (type == MSG_RECORD)
        take_record(side, payload, err);
    if (type == MSG_RECALLED) {
        assert_true(msg_RECALLED_unpack(&recalled, payload, err));
        side->recalled_ok = recalled.ok != 0;
        side->recalled_seq = recalled.last_seq;
        (void)snprintf(side->message, sizeof side->message, "%.*s", (int)recalled.message.len, (const char *)recalled.message.data);
        side->recalls++;
    }
    side->wanted += type == MSG_CHECKPOINT_WANTED;
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
    static char name[] = "dormouse-journal";
    static char index[] = "0";
    char *argv[] = { name, index, NULL };
    char conf[256];

    side_open(&supervisor, rig_fork(2, argv, &journal_room), ROLE_SUPERVISOR, 0, "");
    (void)snprintf(conf, sizeof conf, "{\"data\":\"%s\",\"apps\":\"%s\"%s}", folder, folder, conf_more);
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

/* Stops the room in order; gives its exit status. */
static int
room_stop(void)
{
    int status = 0;

    msg_STOP_pack(link_out(supervisor.link), &(struct msg_STOP){ 5000 });
    RUN_UNTIL(supervisor.is_closed);
    assert_int_equal(waitpid(child, &status, 0), child);
    child = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
join_app(struct side *worker, uint16_t index, const char *app)
{
    side_open(worker, rig_introduce(supervisor.link, ROLE_WORKER, index, app), ROLE_WORKER, index, app);
    RUN_UNTIL(worker->lists == 1);
}

static void
join(struct side *worker, uint16_t index)
{
    join_app(worker, index, "shop");
}

static void
leave(struct side *worker)
{
    link_destroy(&worker->link);
}

static int
setup(void **state)
{
    (void)snprintf(folder, sizeof folder, "/tmp/dormouse-journal-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    rig_open(WAIT_MS);
    conf_more = "";
    return 0;
}

static int
teardown(void **state)
{
    char command[96];

    leave(&one);
    leave(&two);
    if (child > 0)
        room_kill();
    rig_close();
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static struct agent_id
agent(unsigned n)
{
    struct agent_id id = { { 0 } };

    id.bytes[0] = (uint8_t)n;
    id.bytes[7] = (uint8_t)n;
    id.bytes[8] = (uint8_t)(n >> 8);
    id.bytes[31] = 1;
    return id;
}

struct sent { unsigned agent; uint64_t seq; uint8_t flags, fill; size_t len; };

/* One part of a commit; a new ticket unless the part before said MORE. */
static void
send_part(struct side *worker, const struct sent *sent, bool is_same_ticket)
{
    uint8_t pages[4096];

    assert_true(sent->len <= sizeof pages);
    memset(pages, sent->fill, sizeof pages);
    worker->sent += !is_same_ticket;
    msg_COMMIT_pack(link_out(worker->link), &(struct msg_COMMIT){
        .ticket = worker->sent, .generation = worker->ours, .agent = agent(sent->agent), .seq = sent->seq, .epoch = 1, .flags = sent->flags,
        .class_name = BYTES_LIT("Counter"), .name = BYTES_LIT("ada"), .pages = bytes_from(pages, sent->len),
    });
}

static void
commit(struct side *worker, unsigned n, uint64_t seq)
{
    send_part(worker, &(struct sent){ n, seq, 0, (uint8_t)(seq + n), 600 }, false);
}

static void
commit_durably(struct side *worker, unsigned n, uint64_t seq)
{
    commit(worker, n, seq);
    RUN_UNTIL(worker->ticket == worker->sent);
}

static void
recall(struct side *worker, unsigned n)
{
    const unsigned before = worker->recalls;

    worker->records = 0;
    msg_RECALL_pack(link_out(worker->link), &(struct msg_RECALL){ 7, agent(n), BYTES_LIT("Counter") });
    RUN_UNTIL(worker->recalls == before + 1);
}

static void
claim(struct side *worker, unsigned n)
{
    msg_CHECKPOINTED_pack(link_out(worker->link), &(struct msg_CHECKPOINTED){ agent(n), BYTES_LIT("Counter") });
}

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
    recall(&one, 4);
    leave(&one);
    assert_int_equal(room_stop(), 0);
    (void)snprintf(command, sizeof command, "test -z \"$(ls '%s')\"", folder);
    assert_int_equal(system(command), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_durable_outlives_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(a_recall_waits_for_what_came_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(an_incomplete_commit_never_was, setup, teardown),
        cmocka_unit_test_setup_teardown(after_gone_only_the_next_life_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_claim_ends_suspicion_and_a_stop_leaves_nothing, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
