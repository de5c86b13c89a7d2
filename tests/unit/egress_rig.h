/*
 * egress_rig — the whole room against a server on loopback (egress_server.mjs), for egress_http_test and
 * egress_socket_test: the program is the room's supervisor, a worker and control; the room is a forked child. Included
 * once per program.
 */
#ifndef DORMOUSE_EGRESS_RIG_H
#define DORMOUSE_EGRESS_RIG_H

#include <stdio.h>
#include <string.h>

#include "src/egress/egress.h"
#include "src/egress/egress_headers.h"
#include "src/egress/egress_limits.h"
#include "tests/unit/room_rig.h"

#define WAIT_MS   20000 /* a hang fails the test, never a slow machine */
#ifndef CALLS_MAX
#define CALLS_MAX 8
#endif

static pid_t server_pid;
static int server_stdin = -1;
static int port;

/* One call of the worker and what came of it. */
struct seen {
    bool is_replied, is_failed, is_ended, is_broken;
    uint16_t status;
    uint16_t code;
    uint8_t flags;
    uint64_t socket;
    struct buf headers, text, body, message;
    uint32_t credit; /* granted to us for our body */
    int pieces;      /* DATA messages */
    bool grants;     /* give credit for what arrives */
};

struct ws_seen {
    struct buf data; /* of the last whole message */
    struct buf before; /* of the one before it */
    struct buf partial;
    int messages;
    bool is_text;
    bool is_closed, was_clean;
    uint16_t code;
    struct buf reason;
    uint64_t bytes;
};

static struct seen calls[CALLS_MAX];
static struct ws_seen ws;
static struct link *supervisor;
static struct link *worker;
static struct link *control;
static bool is_ready, is_worker_closed;
static char log_text[1024];

/* ---- the sides of the links ----------------------------------------------------------------------------------- */

static struct seen *
seen_of(uint32_t call)
{
    assert_in_range(call, 1, CALLS_MAX - 1);
    return &calls[call];
}

static void
on_body_piece(struct seen *s, uint32_t call, struct bytes piece)
{
    s->pieces++;
    buf_append_bytes(&s->body, piece);
    if (s->grants)
        msg_CREDIT_pack(link_out(worker), &(struct msg_CREDIT){ call, 1, (uint32_t)piece.len });
}

static bool
on_ws(uint16_t type, struct bytes payload, struct err *err)
{
    struct msg_WS_MESSAGE m;
    struct msg_WS_CLOSE c;

    if (type == MSG_WS_CLOSE) {
        assert_true(msg_WS_CLOSE_unpack(&c, payload, err));
        assert_false(ws.is_closed);
        ws.is_closed = true;
        ws.code = c.code;
        ws.was_clean = c.was_clean != 0;
        buf_clear(&ws.reason);
        buf_append_bytes(&ws.reason, c.reason);
        return true;
    }
    assert_true(msg_WS_MESSAGE_unpack(&m, payload, err));
    buf_append_bytes(&ws.partial, m.data);
    ws.bytes += m.data.len;
    ws.is_text = (m.flags & WS_TEXT) != 0;
    if ((m.flags & WS_FIN) == 0)
        return true;
    ws.messages++;
    buf_fini(&ws.before);
    ws.before = ws.data;
    ws.data = ws.partial;
    ws.partial = (struct buf){ 0 };
    return true;
}

static bool
on_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    union {
        struct msg_REPLY reply;
        struct msg_FAIL fail;
        struct msg_DATA data;
        struct msg_END end;
        struct msg_CREDIT credit;
        struct msg_LOG log;
    } m;
    struct seen *s;

    switch (type) {
    case MSG_READY:
        is_ready = true;
        return true;
    case MSG_LINK_LOST:
        return true;                       /* as the supervisor hears it of a link that a test ends */
    case MSG_LOG:
        assert_true(msg_LOG_unpack(&m.log, payload, err));
        (void)snprintf(log_text, sizeof log_text, "%.*s", (int)m.log.text.len, (const char *)m.log.text.data);
        return true;
    case MSG_REPLY:
        assert_true(msg_REPLY_unpack(&m.reply, payload, err));
        s = seen_of(m.reply.call);
        assert_false(s->is_replied || s->is_failed);
        s->is_replied = true;
        s->status = m.reply.status;
        s->flags = m.reply.flags;
        s->socket = m.reply.socket;
        s->is_ended = (m.reply.flags & CALL_BODY_MORE) == 0;
        buf_append_bytes(&s->headers, m.reply.headers);
        buf_append_bytes(&s->text, m.reply.status_text);
        buf_append_bytes(&s->body, m.reply.body);
        return true;
    case MSG_FAIL:
        assert_true(msg_FAIL_unpack(&m.fail, payload, err));
        s = seen_of(m.fail.call);
        assert_false(s->is_replied || s->is_failed);
        s->is_failed = true;
        s->code = m.fail.code;
        s->flags = m.fail.flags;
        buf_append_bytes(&s->message, m.fail.message);
        return true;
    case MSG_DATA:
        assert_true(msg_DATA_unpack(&m.data, payload, err));
        assert_int_equal(m.data.from_opener, 0);
        on_body_piece(seen_of(m.data.call), m.data.call, m.data.bytes);
        return true;
    case MSG_END:
        assert_true(msg_END_unpack(&m.end, payload, err));
        s = seen_of(m.end.call);
        assert_false(s->is_ended);
        s->is_ended = true;
        s->is_broken = m.end.message.len > 0;
        buf_append_bytes(&s->message, m.end.message);
        return true;
    case MSG_CREDIT:
        assert_true(msg_CREDIT_unpack(&m.credit, payload, err));
        seen_of(m.credit.call)->credit += m.credit.bytes;
        return true;
    default:
        return on_ws(type, payload, err);
    }
}

static void
on_closed(void *owner, struct link *link, const struct err *err)
{
    struct link **place = owner;

    is_worker_closed = place == &worker;
    *place = NULL;
}

static const struct link_events events = { on_message, on_closed, NULL };

static void
open_side(struct link **place, int fd, enum role role)
{
    *place = rig_link(fd, role, 0, role == ROLE_WORKER ? "app" : "", &events, place);
}

static void
introduce(struct link **place, enum role role, const char *app)
{
    open_side(place, rig_introduce(supervisor, role, 0, app), role);
}

static void
start_room(const char *conf)
{
    static char name[] = "dormouse-egress";
    char *argv[] = { name, NULL };

    open_side(&supervisor, rig_fork(1, argv, &egress_room), ROLE_SUPERVISOR);
    msg_CONF_pack(link_out(supervisor), &(struct msg_CONF){ bytes_of(conf) });
    introduce(&worker, ROLE_WORKER, "app");
    introduce(&control, ROLE_CONTROL, "");
    RUN_UNTIL(is_ready);
}

static int
setup(void **state)
{
    const char *conf = *state;

    rig_open(WAIT_MS);
    is_ready = is_worker_closed = false;
    memset(calls, 0, sizeof calls);
    memset(&ws, 0, sizeof ws);
    log_text[0] = '\0';
    start_room(conf != NULL ? conf : "{\"allow_private\":true}");
    return 0;
}

static int
teardown(void **state)
{
    int status = 0;

    link_destroy(&worker);
    link_destroy(&control);
    if (supervisor != NULL)
        msg_STOP_pack(link_out(supervisor), &(struct msg_STOP){ 1000 });
    while (supervisor != NULL && !is_hung)
        loop_run_once(loop);
    link_destroy(&supervisor);
    if (is_hung)
        kill(child, SIGKILL);
    waitpid(child, &status, 0);
    for (int i = 0; i < CALLS_MAX; i++) {
        buf_fini(&calls[i].headers);
        buf_fini(&calls[i].text);
        buf_fini(&calls[i].body);
        buf_fini(&calls[i].message);
    }
    buf_fini(&ws.before);
    buf_fini(&ws.data);
    buf_fini(&ws.partial);
    buf_fini(&ws.reason);
    rig_close();
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1; /* a leak or fault in the room fails the test */
}

/* ---- calls ---------------------------------------------------------------------------------------------------- */

struct request {
    const char *method, *path, *headers, *meta, *url;
    struct bytes body;
    uint8_t flags;
};

static void
open_call(uint32_t call, struct request r)
{
    char url[256];

    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, r.path == NULL ? "/" : r.path);
    calls[call].grants = true;
    msg_CALL_pack(link_out(worker), &(struct msg_CALL){
                                        .call = call,
                                        .kind = CALL_OUT,
                                        .flags = r.flags,
                                        .class_name = BYTES_LIT("Chat"),
                                        .name = BYTES_LIT("ada"),
                                        .method = bytes_of(r.method == NULL ? "GET" : r.method),
                                        .url = bytes_of(r.url == NULL ? url : r.url),
                                        .headers = bytes_of(r.headers),
                                        .meta = bytes_of(r.meta),
                                        .body = r.body,
                                    });
}

static struct seen *
fetch(uint32_t call, struct request r)
{
    open_call(call, r);
    RUN_UNTIL(calls[call].is_failed || (calls[call].is_replied && calls[call].is_ended));
    return &calls[call];
}

#define FETCH(call, ...) fetch(call, (struct request){ __VA_ARGS__ })

static const char *
text_of(struct buf *b)
{
    return buf_cstr(b);
}

UNUSED static void
assert_has(struct buf *b, const char *part)
{
    if (strstr(text_of(b), part) == NULL)
        fail_msg("'%s' is not in: %.500s", part, text_of(b));
}

UNUSED static void
assert_has_not(struct buf *b, const char *part)
{
    if (strstr(text_of(b), part) != NULL)
        fail_msg("'%s' is in: %.500s", part, text_of(b));
}

/* ---- the server ----------------------------------------------------------------------------------------------- */

static int
start_server(void **state)
{
    int in[2], out[2];
    char line[32] = "";
    ssize_t got;

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    server_pid = fork();
    assert_true(server_pid >= 0);
    if (server_pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execlp("node", "node", "tests/unit/egress_server.mjs", (char *)NULL);
        _exit(127);
    }
    sys_close(in[0]);
    sys_close(out[1]);
    server_stdin = in[1];
    got = sys_read(out[0], line, sizeof line - 1);
    sys_close(out[0]);
    port = got > 0 ? (int)strtol(line, NULL, 10) : 0;
    return port > 0 ? 0 : -1;
}

static int
stop_server(void **state)
{
    sys_close(server_stdin);
    return waitpid(server_pid, NULL, 0) == server_pid ? 0 : -1;
}

#define TEST(name)            cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_WITH(name, conf) cmocka_unit_test_prestate_setup_teardown(name, setup, teardown, (void *)(uintptr_t)(conf))

#endif
