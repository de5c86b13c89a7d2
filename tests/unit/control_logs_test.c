/* control: the log ring and the admin socket together, over a real socket and loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/map.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/control/control_admin.h"
#include "src/control/control_limits.h"
#include "src/control/control_logs.h"

struct rig {
    struct loop     *loop;
    struct admin    *admin;
    struct logs     *logs;
    struct admin_ref asker;        /* of the last request */
    char             op[32];
    uint64_t         bytes;        /* of the raw part */
    unsigned         requests, closed;
    int              client;
    struct buf       said;         /* to the client */
};

static void
on_request(void *owner, struct admin_ref from, const char *op, const json_t *request)
{
    struct rig *rig = owner;

    rig->asker = from;
    rig->requests++;
    (void)snprintf(rig->op, sizeof rig->op, "%s", op);
}

static void
on_bytes(void *owner, uint64_t connection, struct bytes data)
{
    struct rig *rig = owner;

    rig->bytes += data.len;
}

static void
on_closed(void *owner, uint64_t connection)
{
    struct rig *rig = owner;

    rig->closed++;
    logs_unfollow(rig->logs, connection);
}

static int
rig_setup(void **state)
{
    static const struct admin_events events = { on_request, on_bytes, on_closed };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct rig *rig = calloc(1, sizeof *rig);
    char folder[] = "/tmp/dormouse-test-XXXXXX";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    map_seed(1);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    rig->loop = loop_create();
    rig->logs = logs_create();
    rig->admin = admin_create(rig->loop, fd, &events, rig);
    rig->client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(rig->client, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(unlink(address.sun_path), 0);
    assert_int_equal(rmdir(folder), 0);
    *state = rig;
    return 0;
}

static int
rig_teardown(void **state)
{
    struct rig *rig = *state;

    if (rig->client >= 0)
        assert_int_equal(close(rig->client), 0);
    admin_destroy(&rig->admin);
    logs_destroy(&rig->logs);
    loop_destroy(&rig->loop);
    buf_fini(&rig->said);
    free(rig);
    return 0;
}

static void
client_says(struct rig *rig, const char *text)
{
    assert_true(sys_write_all(rig->client, text, strlen(text)));
}

/* What has come to the client. */
static void
client_reads(struct rig *rig)
{
    ssize_t got;

    do {
        buf_reserve(&rig->said, 64 * 1024);
        got = sys_read(rig->client, rig->said.data + rig->said.len, 64 * 1024);
        if (got > 0)
            rig->said.len += (size_t)got;
    } while (got > 0);
}

static size_t
lines_count(const struct rig *rig)
{
    size_t lines = 0;

    for (size_t i = 0; i < rig->said.len; i++)
        lines += rig->said.data[i] == '\n';
    return lines;
}

/* Turns the loop, and reads, until the client has LINES lines. Every turn is caused by an event: what is missing hangs, and the
 * test runner's clock ends it. */
static void
until_lines(struct rig *rig, size_t lines)
{
    client_reads(rig);
    while (lines_count(rig) < lines) {
        loop_run_once(rig->loop);
        client_reads(rig);
    }
}

static void
until_requests(struct rig *rig, unsigned requests)
{
    while (rig->requests < requests)
        loop_run_once(rig->loop);
}

static void
log_one(struct rig *rig, const char *app, const char *class_name, const char *name, uint8_t level, const char *text)
{
    struct msg_LOG msg = { .level = level, .time_ms = 5, .turn = 3, .class_name = bytes_of(class_name), .name = bytes_of(name), .text = bytes_of(text) };

    msg.agent.bytes[0] = class_name[0] != '\0' ? (uint8_t)name[0] : 0;
    logs_add(rig->logs, rig->admin, bytes_of(app), "worker", &msg);
}

static void
requests_come_whole_however_they_are_cut(void **state)
{
    struct rig *rig = *state;

    client_says(rig, "{\"id\":1,\"op\":\"one\"}\n{\"id\":2,");
    until_requests(rig, 1);
    assert_string_equal(rig->op, "one");
    assert_int_equal(rig->asker.id, 1);
    client_says(rig, "\"op\":\"two\"}");
    client_says(rig, "\n{\"id\":3,\"op\":\"three\"}\n");
    until_requests(rig, 3);
    assert_string_equal(rig->op, "three");
    admin_ok(rig->admin, rig->asker, json_pack("{s:i}", "x", 7));
    until_lines(rig, 1);
    assert_string_equal(buf_cstr(&rig->said), "{\"id\":3,\"ok\":true,\"x\":7}\n");
}

static void
bytes_after_a_request_are_no_lines(void **state)
{
    struct rig *rig = *state;

    client_says(rig, "{\"id\":1,\"op\":\"send\"}\n");
    until_requests(rig, 1);
    admin_expect_bytes(rig->admin, rig->asker.connection, 10);
    client_says(rig, "\n\n{no}\n\n\n\n{\"id\":2,\"op\":\"next\"}\n");   /* ten bytes, then a line */
    until_requests(rig, 2);
    assert_int_equal(rig->bytes, 10);
    assert_string_equal(rig->op, "next");
}

static void
nonsense_is_answered_and_hung_up_on(void **state)
{
    struct rig *rig = *state;

    client_says(rig, "nonsense\n{\"id\":2,\"op\":\"late\"}\n");
    while (rig->closed == 0)
        loop_run_once(rig->loop);
    client_reads(rig);
    assert_int_equal(lines_count(rig), 1);
    assert_non_null(strstr(buf_cstr(&rig->said), "\"ok\":false"));
    assert_int_equal(rig->requests, 0);
    admin_ok(rig->admin, (struct admin_ref){ 1, 1 }, NULL);          /* an answer that comes too late is dropped */
    assert_true(admin_unsent_bytes(rig->admin, 1) == SIZE_MAX);
}

static void
readers_get_what_they_asked_for(void **state)
{
    struct rig *rig = *state;
    struct log_filter one_class = { .app = BYTES_LIT("a"), .class_name = BYTES_LIT("C") };
    struct log_filter warnings = { .level_min = 2 };

    client_says(rig, "{\"id\":9,\"op\":\"logs\"}\n");
    until_requests(rig, 1);
    log_one(rig, "a", "C", "x", 1, "old 1");
    log_one(rig, "b", "C", "x", 1, "another app's");
    log_one(rig, "a", "C", "y", 1, "old 2");
    log_one(rig, "a", "C", "y", 1, "old 3");
    logs_replay(rig->logs, rig->admin, rig->asker, &one_class, 2);
    until_lines(rig, 2);
    assert_null(strstr(buf_cstr(&rig->said), "old 1"));
    assert_null(strstr(buf_cstr(&rig->said), "another"));
    assert_true(strstr(buf_cstr(&rig->said), "old 2") < strstr(buf_cstr(&rig->said), "old 3"));

    buf_clear(&rig->said);
    logs_follow(rig->logs, rig->asker, &warnings);
    log_one(rig, "a", "C", "y", 1, "not this");
    log_one(rig, "a", "", "", 3, "control \x1b and \xff bytes\n");
    until_lines(rig, 1);
    assert_null(strstr(buf_cstr(&rig->said), "not this"));
    assert_non_null(strstr(buf_cstr(&rig->said), "control \\u001B and \\u00FF bytes\\n"));
    logs_unfollow(rig->logs, rig->asker.connection);
    log_one(rig, "a", "", "", 3, "nobody reads");
    admin_ok(rig->admin, rig->asker, NULL);
    until_lines(rig, 2);
    assert_null(strstr(buf_cstr(&rig->said), "nobody reads"));
}

static void
the_ring_is_bounded_and_a_slow_reader_loses_lines(void **state)
{
    struct rig *rig = *state;
    struct log_filter all = { 0 };
    char text[2001];
    size_t sent;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    client_says(rig, "{\"id\":1,\"op\":\"logs\"}\n");
    until_requests(rig, 1);
    logs_follow(rig->logs, rig->asker, &all);
    for (size_t i = 0; i < 2 * LOG_LINES_MAX; i++)
        log_one(rig, "a", "", "", 1, text);
    assert_true(admin_unsent_bytes(rig->admin, rig->asker.connection) < ADMIN_UNSENT_MAX_BYTES + 64 * 1024);
    while (admin_unsent_bytes(rig->admin, rig->asker.connection) > 0) {
        client_reads(rig);
        loop_run_once(rig->loop);
    }
    client_reads(rig);
    sent = lines_count(rig);
    assert_true(sent < 2 * LOG_LINES_MAX);
    buf_clear(&rig->said);
    log_one(rig, "a", "", "", 1, "after the flood");
    until_lines(rig, 2);
    assert_non_null(strstr(buf_cstr(&rig->said), "\"event\":\"dropped\""));
    assert_non_null(strstr(buf_cstr(&rig->said), "after the flood"));

    logs_unfollow(rig->logs, rig->asker.connection);
    buf_clear(&rig->said);
    logs_replay(rig->logs, rig->admin, rig->asker, &all, 2 * LOG_LINES_MAX);
    admin_ok(rig->admin, rig->asker, NULL);
    while (admin_unsent_bytes(rig->admin, rig->asker.connection) > 0) {
        client_reads(rig);
        loop_run_once(rig->loop);
    }
    client_reads(rig);
    assert_true(rig->said.len < LOG_BYTES_MAX + ADMIN_UNSENT_MAX_BYTES);
    assert_non_null(strstr(buf_cstr(&rig->said), "\"ok\":true"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_come_whole_however_they_are_cut, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(bytes_after_a_request_are_no_lines, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(nonsense_is_answered_and_hung_up_on, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(readers_get_what_they_asked_for, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(the_ring_is_bounded_and_a_slow_reader_loses_lines, rig_setup, rig_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
