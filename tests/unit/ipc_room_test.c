/* ipc_room_test — the frame of a room: this program is the supervisor, its forked child a room. */
#include <string.h>

#include "tests/unit/room_rig.h"

#define WAIT_MS 10000 /* a hang fails the test, never a slow machine */

/* ---- the room: answers ADMIN with what happened to it so far -------------------------------------------------- */

static char history[256];

static void
note(const char *text)
{
    strncat(history, text, sizeof history - strlen(history) - 1);
}

static bool
room_start(struct room *room, struct bytes conf_json, struct err *err)
{
    if (bytes_equal_str(conf_json, "bad"))
        return err_set(err, ERR_CONFIG, 0, "the field 'bad' is wrong");
    note("start ");
    room_ready(room);
    return true;
}

static void
room_link_up(struct room *room, struct link *link)
{
    note(room_link(room, ROLE_WORKER, 5, "shop") == link ? "up " : "up? ");
}

static void
room_link_down(struct room *room, struct link *link, const struct err *err)
{
    note("down ");
}

static bool
room_message(struct room *room, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct msg_ADMIN msg;

    if (type != MSG_ADMIN)
        return err_set(err, ERR_MALFORMED, 0, "not expected");
    if (!msg_ADMIN_unpack(&msg, payload, err))
        return false;
    if (bytes_equal_str(msg.json, "debug"))
        room_log(room, 0, "a detail");
    if (bytes_equal_str(msg.json, "log"))
        room_log(room, 2, "index %u app '%s'", room_index(room), room_app(room));
    if (bytes_equal_str(msg.json, "worker?"))
        note(room_link(room, ROLE_WORKER, 5, "shop") == NULL ? "none " : "some ");
    msg_ADMIN_REPLY_pack(link_out(link), &(struct msg_ADMIN_REPLY){ msg.request, bytes_of(history) });
    return true;
}

static void
room_listen(struct room *room, struct bytes name, struct bytes address, int fd)
{
    assert_true(bytes_equal_str(name, "main"));
    assert_true(bytes_equal_str(address, "127.0.0.1:1"));
    note(fcntl(fd, F_GETFD) >= 0 ? "listen " : "listen? ");
    sys_close(fd);
}

static void
room_count(struct room *room, struct buf *json)
{
    count_put(json, "things", 7);
    count_put(json, "refused.of another kind", 8);
}

static const struct room_spec spec = {
    .role = ROLE_GATEWAY,
    .count = room_count,
    .name = "gateway",
    .start = room_start,
    .link_up = room_link_up,
    .link_down = room_link_down,
    .message = room_message,
    .listen = room_listen,
};

/* ---- the supervisor's side ------------------------------------------------------------------------------------ */

struct side {
    struct link *link;
    char reply[256];
    int replies;
    int ready;
    char log[256];
    int log_level;
    bool is_closed;
};

static bool
side_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct side *side = owner;
    struct msg_ADMIN_REPLY reply;
    struct msg_LOG log;

    if (type == MSG_READY)
        side->ready++;
    if (type == MSG_COUNTED) {
        struct msg_COUNTED counted;

        assert_true(msg_COUNTED_unpack(&counted, payload, err));
        assert_int_equal(counted.request, 5);
        assert_true(counted.json.len < sizeof side->reply);
        memset(side->reply, 0, sizeof side->reply);
        memcpy(side->reply, counted.json.data, counted.json.len);
        side->replies++;
    }
    if (type == MSG_LOG) {
        assert_true(msg_LOG_unpack(&log, payload, err));
        side->log_level = log.level;
        memset(side->log, 0, sizeof side->log);
        memcpy(side->log, log.text.data, log.text.len);
    }
    if (type == MSG_ADMIN_REPLY) {
        assert_true(msg_ADMIN_REPLY_unpack(&reply, payload, err));
        assert_true(reply.json.len < sizeof side->reply);
        memset(side->reply, 0, sizeof side->reply);
        if (reply.json.len > 0)
            memcpy(side->reply, reply.json.data, reply.json.len);
        side->replies++;
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

static const struct link_events events = { side_message, side_closed, NULL };

static void
side_open(struct side *side, int fd, enum role role, uint16_t index, const char *app)
{
    *side = (struct side){ 0 };
    side->link = rig_link(fd, role, index, app, &events, side);
}

static void
start_room(struct side *supervisor)
{
    static char name[] = "dormouse-gateway";
    static char index[] = "2";
    static char app[] = "shop";
    char *argv[] = { name, index, app, NULL };

    side_open(supervisor, rig_fork(3, argv, &spec), ROLE_SUPERVISOR, 0, "");
}

static int
exit_status(void)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    child = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int
setup(void **state)
{
    rig_open(WAIT_MS);
    return 0;
}

static int
teardown(void **state)
{
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        child = 0;
    }
    rig_close();
    return 0;
}

static void
send_conf(struct side *side, const char *json)
{
    msg_CONF_pack(link_out(side->link), &(struct msg_CONF){ bytes_of(json) });
}

static void
ask(struct side *side, const char *json)
{
    int before = side->replies;

    msg_ADMIN_pack(link_out(side->link), &(struct msg_ADMIN){ 1, bytes_of(json) });
    RUN_UNTIL(side->replies > before);
}

/* Introduces a peer to the room and returns our side of it. */
static void
introduce(struct side *supervisor, struct side *peer, enum role role, uint16_t index, const char *app)
{
    side_open(peer, rig_introduce(supervisor->link, role, index, app), role, index, app);
}

static void
a_room_starts_listens_and_stops(void **state)
{
    struct side supervisor;

    start_room(&supervisor);
    send_conf(&supervisor, "{}");
    RUN_UNTIL(supervisor.ready == 1);
    assert_int_equal(link_peer(supervisor.link)->role, ROLE_GATEWAY);
    assert_int_equal(link_peer(supervisor.link)->index, 2);
    assert_true(bytes_equal_str(link_peer(supervisor.link)->app, "shop"));
    msg_LISTEN_pack(link_out(supervisor.link), &(struct msg_LISTEN){ BYTES_LIT("main"), BYTES_LIT("127.0.0.1:1") });
    link_send_fd(supervisor.link, sys_open("/dev/null", O_RDONLY, 0));
    ask(&supervisor, "");
    assert_string_equal(supervisor.reply, "start listen ");
    msg_STOP_pack(link_out(supervisor.link), &(struct msg_STOP){ 1000 });
    RUN_UNTIL(supervisor.is_closed);
    assert_int_equal(exit_status(), 0);
}

static void
peers_come_go_and_come_again(void **state)
{
    struct side supervisor, first, second;

    start_room(&supervisor);
    send_conf(&supervisor, "{}");
    introduce(&supervisor, &first, ROLE_WORKER, 5, "shop");
    ask(&first, "");
    assert_string_equal(first.reply, "start up ");
    link_destroy(&first.link);
    while (strstr(supervisor.reply, "down") == NULL)
        ask(&supervisor, "");
    ask(&supervisor, "worker?");
    assert_string_equal(supervisor.reply, "start up down none ");
    introduce(&supervisor, &first, ROLE_WORKER, 5, "shop");
    ask(&first, "worker?");
    assert_string_equal(first.reply, "start up down none up some ");
    introduce(&supervisor, &second, ROLE_WORKER, 5, "shop"); /* replaces one that still lives */
    RUN_UNTIL(first.is_closed);
    ask(&second, "");
    assert_string_equal(second.reply, "start up down none up some down up ");
    link_destroy(&second.link);
    link_destroy(&supervisor.link);
}

static void
log_lines_reach_control(void **state)
{
    struct side supervisor, control;

    start_room(&supervisor);
    send_conf(&supervisor, "{}");
    introduce(&supervisor, &control, ROLE_CONTROL, 0, "");
    ask(&control, "log");
    assert_string_equal(control.log, "index 2 app 'shop'");
    assert_int_equal(control.log_level, 2);
    ask(&control, "debug"); /* below the level */
    assert_string_equal(control.log, "index 2 app 'shop'");
    link_destroy(&control.link);
    link_destroy(&supervisor.link);
}

static void
counters_are_told_to_control_only(void **state)
{
    struct side supervisor, control, other;

    start_room(&supervisor);
    send_conf(&supervisor, "{}");
    introduce(&supervisor, &control, ROLE_CONTROL, 0, "");
    msg_COUNT_pack(link_out(control.link), &(struct msg_COUNT){ 5 });
    RUN_UNTIL(control.replies == 1);
    assert_string_equal(control.reply, "{\"things\":7,\"refused.of another kind\":8}");
    introduce(&supervisor, &other, ROLE_WORKER, 0, "shop");
    msg_COUNT_pack(link_out(other.link), &(struct msg_COUNT){ 5 });
    RUN_UNTIL(other.is_closed);
    assert_int_equal(other.replies, 0);
    link_destroy(&control.link);
    link_destroy(&supervisor.link);
}

static void
the_log_level_is_configured(void **state)
{
    struct side supervisor, control;

    start_room(&supervisor);
    send_conf(&supervisor, "{\"log_level\":\"debug\"}");
    introduce(&supervisor, &control, ROLE_CONTROL, 0, "");
    ask(&control, "debug");
    assert_string_equal(control.log, "a detail");
    assert_int_equal(control.log_level, 0);
    link_destroy(&control.link);
    link_destroy(&supervisor.link);
    assert_int_equal(exit_status(), 3);

    start_room(&supervisor);
    send_conf(&supervisor, "{\"log_level\":\"loud\"}");
    RUN_UNTIL(supervisor.is_closed);
    assert_int_equal(exit_status(), 1);
}

static void
an_orphan_exits(void **state)
{
    struct side supervisor;

    start_room(&supervisor);
    send_conf(&supervisor, "{}");
    RUN_UNTIL(supervisor.ready == 1);
    link_destroy(&supervisor.link);
    assert_int_equal(exit_status(), 3);
}

static void
a_room_that_cannot_start_exits_with_1(void **state)
{
    struct side supervisor;

    start_room(&supervisor);
    send_conf(&supervisor, "bad");
    RUN_UNTIL(supervisor.is_closed);
    assert_int_equal(exit_status(), 1);
}

static void
hostile_orders_end_the_room(void **state)
{
    struct side supervisor;

    start_room(&supervisor);
    msg_LINK_pack(link_out(supervisor.link), &(struct msg_LINK){ ROLE_WORKER, 0, 1, BYTES_NONE }); /* before CONF */
    RUN_UNTIL(supervisor.is_closed);
    assert_int_equal(exit_status(), 3);

    start_room(&supervisor);
    send_conf(&supervisor, "{}");
    msg_LINK_pack(link_out(supervisor.link), &(struct msg_LINK){ ROLE_WORKER, 0, 1, BYTES_NONE }); /* no descriptor */
    RUN_UNTIL(supervisor.is_closed);
    assert_int_equal(exit_status(), 3);
}

static void
started_by_hand_it_explains_itself(void **state)
{
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char name[] = "dormouse-gateway";
        char *argv[] = { name, NULL };
        close(3);
        _exit(room_main(1, argv, &spec));
    }
    assert_int_equal(exit_status(), 2);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_room_starts_listens_and_stops),
        TEST(peers_come_go_and_come_again),
        TEST(log_lines_reach_control),
        TEST(counters_are_told_to_control_only),
        TEST(the_log_level_is_configured),
        TEST(an_orphan_exits),
        TEST(a_room_that_cannot_start_exits_with_1),
        TEST(hostile_orders_end_the_room),
        TEST(started_by_hand_it_explains_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
