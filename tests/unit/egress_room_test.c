/*
 * egress_room_test — the whole room, against a server on loopback (egress_server.mjs): this program is its supervisor, a
 * worker and control; the room is a forked child.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/ipc/link.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/egress/egress.h"
#include "src/egress/egress_headers.h"
#include "src/egress/egress_limits.h"

#define WAIT_MS   20000 /* a hang fails the test, never a slow machine */
#define CALLS_MAX 8

static struct loop *loop;
static struct loop_timer *hang;
static bool is_hung;
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
    uint32_t credit;         /* granted to us for our body */
    int pieces;              /* DATA messages */
    bool grants;             /* give credit for what arrives */
};

struct ws_seen {
    struct buf data;         /* of the last whole message */
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
static pid_t room_pid;

#define RUN_UNTIL(condition)                                                                                           \
    while (!(condition)) {                                                                                             \
        assert_false(is_hung);                                                                                         \
        loop_run_once(loop);                                                                                           \
    }

/* ---- the sides of the links ----------------------------------------------------------------------------------------- */

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
    buf_fini(&ws.data);
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
on_hang(void *owner)
{
    is_hung = true;
}

static struct link *
open_side(struct link **place, int fd, enum role role)
{
    const struct msg_HELLO hello = { IPC_VERSION, (uint8_t)role, 0, 1, role == ROLE_WORKER ? BYTES_LIT("app") : BYTES_NONE };

    *place = link_open(loop, fd, &hello, &events, place);
    return *place;
}

static void
introduce(struct link **place, enum role role, const char *app)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    msg_LINK_pack(link_out(supervisor), &(struct msg_LINK){ (uint8_t)role, 0, 1, bytes_of(app) });
    link_send_fd(supervisor, fds[1]);
    open_side(place, fds[0], role);
}

static void
start_room(const char *conf)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    room_pid = fork();
    assert_true(room_pid >= 0);
    if (room_pid == 0) {
        static char name[] = "dormouse-egress";
        char *argv[] = { name, NULL };
        if (fds[1] != 3)
            dup2(fds[1], 3);
        for (int fd = 4; fd < 64; fd++)
            close(fd);
        exit(room_main(1, argv, &egress_room));
    }
    sys_close(fds[1]);
    open_side(&supervisor, fds[0], ROLE_SUPERVISOR);
    msg_CONF_pack(link_out(supervisor), &(struct msg_CONF){ bytes_of(conf) });
    introduce(&worker, ROLE_WORKER, "app");
    introduce(&control, ROLE_CONTROL, "");
    RUN_UNTIL(is_ready);
}

static int
setup(void **state)
{
    const char *conf = *state;

    loop = loop_create();
    is_hung = is_ready = is_worker_closed = false;
    hang = loop_timer_create(loop, on_hang, NULL);
    loop_timer_arm(hang, WAIT_MS);
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
        kill(room_pid, SIGKILL);
    waitpid(room_pid, &status, 0);
    for (int i = 0; i < CALLS_MAX; i++) {
        buf_fini(&calls[i].headers);
        buf_fini(&calls[i].text);
        buf_fini(&calls[i].body);
        buf_fini(&calls[i].message);
    }
    buf_fini(&ws.data);
    buf_fini(&ws.partial);
    buf_fini(&ws.reason);
    loop_timer_destroy(&hang);
    loop_destroy(&loop);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1; /* a leak or fault in the room fails the test */
}

/* ---- calls ---------------------------------------------------------------------------------------------------------- */

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
        .call = call, .kind = CALL_OUT, .flags = r.flags, .class_name = BYTES_LIT("Chat"), .name = BYTES_LIT("ada"),
        .method = bytes_of(r.method == NULL ? "GET" : r.method), .url = bytes_of(r.url == NULL ? url : r.url),
        .headers = bytes_of(r.headers), .meta = bytes_of(r.meta), .body = r.body,
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

static void
assert_has(struct buf *b, const char *part)
{
    if (strstr(text_of(b), part) == NULL)
        fail_msg("'%s' is not in: %.500s", part, text_of(b));
}

static void
assert_has_not(struct buf *b, const char *part)
{
    if (strstr(text_of(b), part) != NULL)
        fail_msg("'%s' is in: %.500s", part, text_of(b));
}

static void
a_small_response_is_one_message(void **state)
{
    struct seen *s = FETCH(1, .path = "/hello");

    assert_true(s->is_replied);
    assert_int_equal(s->status, 200);
    assert_string_equal(text_of(&s->text), "Fine");
    assert_string_equal(text_of(&s->body), "hello");
    assert_int_equal(s->flags, CALL_HAS_BODY);
    assert_int_equal(s->pieces, 0);
    assert_has(&s->headers, "x-one\n1\nset-cookie\na=1\nset-cookie\nb=2\nx-latin\ncaf\xc3\xa9\ncontent-type\ntext/plain\n");
}

static void
the_request_arrives_as_it_was_asked_for(void **state)
{
    struct seen *s = FETCH(1, .method = "PATCH", .path = "/echo?q=%20", .flags = CALL_HAS_BODY, .body = BYTES_LIT("abc"),
                           .headers = "x-a\n1\nx-latin\nf\xc3\xbcr\nx-empty\n\nhost\nevil.example\nconnection\nclose\ncontent-length\n9\n"
                                      "transfer-encoding\nchunked\ncontent-type\ntext/plain\n");

    assert_has(&s->body, "\"method\":\"PATCH\",\"url\":\"/echo?q=%20\"");
    assert_has(&s->body, "\"x-a\",\"1\"");
    assert_has(&s->body, "\"x-latin\",\"f\xc3\xbcr\"");
    assert_has(&s->body, "\"x-empty\",\"\"");
    assert_has(&s->body, "\"content-type\",\"text/plain\"");
    assert_has(&s->body, "\"Content-Length\",\"3\"");
    assert_has(&s->body, "\"Host\",\"127.0.0.1:");
    assert_has(&s->body, "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_has_not(&s->body, "evil");
    assert_has_not(&s->body, "xpect");
    assert_has_not(&s->body, "ser-Agent");
    assert_has_not(&s->body, "hunked");
    assert_has_not(&s->body, "*/*");
}

static void
bodiless_methods_and_statuses(void **state)
{
    struct seen *s = FETCH(1, .method = "POST", .path = "/echo");

    assert_has(&s->body, "\"Content-Length\",\"0\"");
    s = FETCH(2, .path = "/echo");
    assert_has_not(&s->body, "Content-Length");
    s = FETCH(3, .method = "HEAD", .path = "/hello");
    assert_int_equal(s->status, 200);
    assert_int_equal(s->flags, 0);
    assert_int_equal(s->body.len, 0);
    s = FETCH(4, .path = "/empty");
    assert_int_equal(s->status, 204);
    assert_int_equal(s->flags, 0);
    s = FETCH(5, .path = "/status/500");
    assert_int_equal(s->status, 500);
    assert_string_equal(text_of(&s->body), "oops");
    s = FETCH(6, .method = "DELETE", .path = "/echo");
    assert_has(&s->body, "\"method\":\"DELETE\"");
}

static void
connections_are_reused(void **state)
{
    struct seen *first = FETCH(1, .path = "/echo");
    struct seen *second = FETCH(2, .path = "/echo");
    const char *a = strstr(text_of(&first->body), "\"port\":");
    const char *b = strstr(text_of(&second->body), "\"port\":");

    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(a, b);
}

static void
bodies_are_decoded(void **state)
{
    static const char *const paths[] = { "/gzip", "/deflate", "/br" };
    struct seen *s;

    for (uint32_t i = 0; i < 3; i++) {
        s = FETCH(i + 1, .path = paths[i]);
        assert_int_equal(s->body.len, 11000);
        assert_memory_equal(s->body.data, "compressed compressed ", 22);
        assert_has_not(&s->headers, "content-encoding");
        assert_has_not(&s->headers, "content-length");
        assert_has(&s->headers, "gzip");
    }
    s = FETCH(4, .path = "/gzip", .headers = "accept-encoding\nidentity\n");
    assert_has(&s->headers, "x-asked\nidentity\n");
}

static void
a_large_response_waits_for_credit(void **state)
{
    struct seen *s = &calls[1];
    size_t have;

    open_call(1, (struct request){ .path = "/large" });
    s->grants = false;
    RUN_UNTIL(s->is_replied && s->body.len + EGRESS_BUFFER_BYTES > STREAM_WINDOW_BYTES);
    FETCH(2, .path = "/hello"); /* meanwhile nothing more of it comes */
    FETCH(3, .path = "/hello");
    have = s->body.len;
    assert_in_range(have, 1, STREAM_WINDOW_BYTES + CHUNK_MAX_BYTES);
    assert_false(s->is_ended);
    s->grants = true;
    msg_CREDIT_pack(link_out(worker), &(struct msg_CREDIT){ 1, 1, STREAM_WINDOW_BYTES });
    RUN_UNTIL(s->is_ended);
    assert_false(s->is_broken);
    assert_int_equal(s->body.len, 48 * 65536);
    for (size_t i = 0; i < s->body.len; i += 4096)
        assert_int_equal(s->body.data[i], i / 65536);
}

static void
a_streamed_response_comes_in_time(void **state)
{
    struct seen *s = &calls[1];

    open_call(1, (struct request){ .path = "/stream" });
    RUN_UNTIL(s->is_replied && s->body.len == 5);
    assert_string_equal(text_of(&s->body), "first");
    assert_false(s->is_ended);
    FETCH(2, .path = "/stream/go");
    RUN_UNTIL(s->is_ended);
    assert_string_equal(text_of(&s->body), "firstsecond");
    assert_int_equal(s->message.len, 0);
}

static void
a_streamed_request_body_is_sent_under_credit(void **state)
{
    static uint8_t bytes[CHUNK_MAX_BYTES];
    struct seen *s = &calls[1];
    uint32_t window = STREAM_WINDOW_BYTES;
    uint32_t granted = 0;

    open_call(1, (struct request){ .method = "POST", .path = "/echo", .flags = CALL_HAS_BODY | CALL_BODY_MORE, .body = BYTES_LIT("start") });
    for (int sent = 0; sent < 20; sent++) {
        if (window < sizeof bytes) {
            RUN_UNTIL(s->credit > granted + sizeof bytes);
            window += s->credit - granted;
            granted = s->credit;
        }
        msg_DATA_pack(link_out(worker), &(struct msg_DATA){ 1, 1, bytes_from(bytes, sizeof bytes) });
        window -= sizeof bytes;
    }
    assert_false(s->is_replied);
    msg_END_pack(link_out(worker), &(struct msg_END){ .call = 1, .from_opener = 1 });
    RUN_UNTIL(s->is_replied && s->is_ended);
    assert_has(&s->body, "\"length\":1310725");
    assert_has(&s->body, "\"chunked\"");
}

static void
a_request_body_with_a_length_is_not_chunked(void **state)
{
    struct seen *s = &calls[1];

    open_call(1, (struct request){ .method = "PUT", .path = "/echo", .flags = CALL_HAS_BODY | CALL_BODY_MORE, .headers = "content-length\n6\n" });
    msg_DATA_pack(link_out(worker), &(struct msg_DATA){ 1, 1, BYTES_LIT("abcdef") });
    msg_END_pack(link_out(worker), &(struct msg_END){ .call = 1, .from_opener = 1 });
    RUN_UNTIL(s->is_replied && s->is_ended);
    assert_has(&s->body, "\"Content-Length\",\"6\"");
    assert_has(&s->body, "\"length\":6");
}

static void
a_body_that_breaks_off_breaks_the_request(void **state)
{
    struct seen *s = &calls[1];

    open_call(1, (struct request){ .method = "POST", .path = "/broken", .flags = CALL_HAS_BODY | CALL_BODY_MORE, .body = BYTES_LIT("some") });
    msg_END_pack(link_out(worker), &(struct msg_END){ .call = 1, .from_opener = 1, .message = BYTES_LIT("the reader threw") });
    RUN_UNTIL(s->is_failed);
    FETCH(2, .path = "/brokens");
    assert_string_equal(text_of(&calls[2].body), "1");
}

static void
an_early_answer_drains_the_rest_of_the_request(void **state)
{
    static uint8_t bytes[CHUNK_MAX_BYTES];
    struct seen *s = &calls[1];

    open_call(1, (struct request){ .method = "POST", .path = "/early", .flags = CALL_HAS_BODY | CALL_BODY_MORE });
    RUN_UNTIL(s->is_replied && s->is_ended);
    assert_int_equal(s->status, 413);
    for (int i = 0; i < 4; i++)
        msg_DATA_pack(link_out(worker), &(struct msg_DATA){ 1, 1, bytes_from(bytes, sizeof bytes) });
    RUN_UNTIL(s->credit >= 4 * sizeof bytes); /* or the sender would wait for ever */
    msg_END_pack(link_out(worker), &(struct msg_END){ .call = 1, .from_opener = 1 });
    FETCH(2, .path = "/hello");
    assert_false(is_worker_closed);
}

static void
lost_connections_say_so(void **state)
{
    struct seen *s = FETCH(1, .path = "/drop");

    assert_true(s->is_failed);
    assert_string_equal(text_of(&s->message), "Network connection lost.");
    assert_int_equal(s->flags, FAIL_RETRYABLE);
    assert_int_equal(s->code, ERR_NETWORK);
    s = FETCH(2, .path = "/break");
    assert_true(s->is_replied);
    assert_true(s->is_broken);
    assert_string_equal(text_of(&s->body), "some");
    assert_string_equal(text_of(&s->message), "Network connection lost.");
    s = FETCH(3, .url = "http://127.0.0.1:1/");
    assert_string_equal(text_of(&s->message), "Network connection lost.");
    RUN_UNTIL(strstr(log_text, "127.0.0.1:1") != NULL); /* the reason is in the agent's log */
    s = FETCH(4, .path = "/many-headers");
    assert_true(s->is_failed);
}

static void
a_cancelled_call_ends_the_connection(void **state)
{
    open_call(1, (struct request){ .path = "/hang" });
    FETCH(2, .path = "/hello");
    msg_CANCEL_pack(link_out(worker), &(struct msg_CANCEL){ .call = 1, .from_opener = 1 });
    FETCH(3, .path = "/hung");
    assert_string_equal(text_of(&calls[3].body), "1");
    assert_false(calls[1].is_replied || calls[1].is_failed);
    FETCH(1, .path = "/hello"); /* the number is free again */
}

static void
redirects_are_the_callers_choice(void **state)
{
    struct seen *s = FETCH(1, .path = "/redirect");

    assert_int_equal(s->status, 302);
    assert_has(&s->headers, "location\n/echo?from=redirect\n");
    assert_string_equal(text_of(&s->body), "elsewhere");
    s = FETCH(2, .method = "POST", .path = "/redirect", .meta = "{\"redirect\":\"follow\"}", .flags = CALL_HAS_BODY,
              .body = BYTES_LIT("body"), .headers = "content-type\ntext/plain\nx-keep\n1\n");
    assert_int_equal(s->status, 200);
    assert_has(&s->body, "\"method\":\"GET\",\"url\":\"/echo?from=redirect\"");
    assert_has(&s->body, "\"length\":0");
    assert_has(&s->body, "x-keep");
    assert_has_not(&s->body, "content-type");
    s = FETCH(3, .method = "POST", .path = "/redirect307", .meta = "{\"redirect\":\"follow\"}", .flags = CALL_HAS_BODY, .body = BYTES_LIT("body"));
    assert_has(&s->body, "\"method\":\"POST\",\"url\":\"/echo?from=307\"");
    assert_has(&s->body, "\"length\":4");
    s = FETCH(4, .path = "/redirect", .meta = "{\"redirect\":\"error\"}");
    assert_true(s->is_failed);
    s = FETCH(5, .path = "/loop", .meta = "{\"redirect\":\"follow\"}");
    assert_string_equal(text_of(&s->message), "Too many redirects.");
    s = FETCH(6, .path = "/hello", .meta = "{\"redirect\":\"sideways\"}");
    assert_int_equal(s->code, ERR_MALFORMED);
}

static void
requests_that_are_none_are_refused(void **state)
{
    static const struct request bad[] = {
        { .method = "GET", .url = "http://a b/" },
        { .method = "GET", .url = "ftp://127.0.0.1/" },
        { .method = "GET", .url = "file:///etc/passwd" },
        { .method = "G T", .path = "/hello" },
        { .method = "connect", .path = "/hello" },
        { .method = "GET", .path = "/hello", .headers = "x-a\n1\r\nx-b: 2\n" },
        { .method = "GET", .path = "/hello", .headers = "x a\n1\n" },
    };

    for (uint32_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct seen *s = fetch(i + 1, bad[i]);
        assert_true(s->is_failed);
        assert_int_equal(s->code, ERR_MALFORMED);
        assert_int_equal(s->flags, 0);
    }
}

static void
a_worker_that_breaks_the_rules_is_cut_off(void **state)
{
    static uint8_t bytes[CHUNK_MAX_BYTES];

    open_call(1, (struct request){ .method = "POST", .path = "/hang", .flags = CALL_HAS_BODY | CALL_BODY_MORE });
    for (int i = 0; i < 64; i++)
        msg_DATA_pack(link_out(worker), &(struct msg_DATA){ 1, 1, bytes_from(bytes, sizeof bytes) }); /* without waiting for credit */
    open_call(1, (struct request){ .path = "/hello" });                                               /* a number in use */
    RUN_UNTIL(is_worker_closed);
    assert_null(worker);
}

/* ---- policy ----------------------------------------------------------------------------------------------------------- */

static void
private_addresses_are_closed_by_default(void **state)
{
    static const char *const urls[] = {
        "http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/", "http://[::ffff:127.0.0.1]/",
    };

    for (uint32_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct seen *s = FETCH(i + 1, .url = urls[i]);
        assert_true(s->is_failed);
        assert_int_equal(s->code, ERR_DENIED);
        assert_int_equal(s->flags, 0);
        assert_has(&s->message, "is not allowed");
    }
}

static void
the_allow_list_opens_what_it_names(void **state)
{
    struct seen *s = FETCH(1, .path = "/hello");

    assert_int_equal(s->status, 200);
    s = FETCH(2, .path = "/private", .meta = "{\"redirect\":\"follow\"}"); /* each hop is asked about */
    assert_true(s->is_failed);
    assert_int_equal(s->code, ERR_DENIED);
    assert_has(&s->message, "127.0.0.2 (loopback)");
    s = FETCH(3, .url = "ws://127.0.0.2:1/", .flags = CALL_UPGRADE);
    assert_int_equal(s->code, ERR_DENIED);
}

/* ---- WebSockets --------------------------------------------------------------------------------------------------------- */

static uint64_t
open_socket(uint32_t call, const char *path, const char *headers)
{
    struct seen *s;

    memset(&calls[call], 0, sizeof calls[call]);
    s = FETCH(call, .path = path, .headers = headers, .flags = CALL_UPGRADE);
    assert_int_equal(s->status, 101);
    assert_true((s->socket & 1ull << 51) != 0);
    assert_true(s->socket < 1ull << 53);
    msg_WS_JOIN_pack(link_out(worker), &(struct msg_WS_JOIN){ s->socket, s->socket });
    return s->socket;
}

static void
send_piece(uint64_t socket, struct bytes data, uint8_t flags)
{
    msg_WS_MESSAGE_pack(link_out(worker), &(struct msg_WS_MESSAGE){ .socket = socket, .flags = flags, .data = data });
}

static void
ask(uint64_t socket, const char *text)
{
    int before = ws.messages;

    send_piece(socket, bytes_of(text), WS_TEXT | WS_FIN);
    RUN_UNTIL(ws.messages > before);
}

static void
sockets_echo(void **state)
{
    uint64_t socket = open_socket(1, "/ws", "x-a\n1\n");

    ask(socket, "hello");
    assert_string_equal(text_of(&ws.data), "hello");
    assert_true(ws.is_text);
    send_piece(socket, BYTES_LIT("bin\0ary"), WS_FIN);
    RUN_UNTIL(ws.messages == 2);
    assert_int_equal(ws.data.len, 7);
    assert_false(ws.is_text);
    ask(socket, "");
    assert_int_equal(ws.data.len, 0);
    ask(socket, "pieces");
    assert_string_equal(text_of(&ws.data), "one two three");
    RUN_UNTIL(ws.messages == 5);
    assert_string_equal(text_of(&ws.data), "pong between");
    ask(socket, "ping me"); /* the server says so when the pong arrives */
    assert_string_equal(text_of(&ws.data), "pong are you there");
    ask(socket, "large");
    assert_int_equal(ws.data.len, 200000);
    assert_int_equal(ws.data.data[199999], 7);
}

static void
fragments_of_the_worker_are_one_message(void **state)
{
    static uint8_t bytes[CHUNK_MAX_BYTES];
    uint64_t socket = open_socket(1, "/ws", "");

    memset(bytes, 'z', sizeof bytes);
    for (int i = 0; i < 9; i++)
        send_piece(socket, bytes_from(bytes, sizeof bytes), WS_TEXT);
    send_piece(socket, BYTES_LIT("end"), WS_TEXT | WS_FIN);
    RUN_UNTIL(ws.messages == 1);
    assert_int_equal(ws.data.len, 9 * sizeof bytes + 3);
    assert_memory_equal(ws.data.data + 9 * sizeof bytes, "end", 3);
}

static void
the_handshake_carries_headers_and_protocols(void **state)
{
    uint64_t socket = open_socket(1, "/ws/greet", "upgrade\nwebsocket\nsec-websocket-protocol\nmcp, other\nx-who\nada\n");

    assert_has(&calls[1].headers, "sec-websocket-protocol\nmcp\n");
    RUN_UNTIL(ws.messages == 1);
    assert_string_equal(text_of(&ws.data), "hello ada at 127.0.0.1");
    ask(socket, "and back");
}

static void
frames_before_the_join_wait(void **state)
{
    struct seen *s = FETCH(1, .path = "/ws/greet", .headers = "x-who\nada\n", .flags = CALL_UPGRADE);

    FETCH(2, .path = "/hello");
    assert_int_equal(ws.messages, 0);
    msg_WS_JOIN_pack(link_out(worker), &(struct msg_WS_JOIN){ s->socket, s->socket });
    RUN_UNTIL(ws.messages == 1);
}

static void
closing_from_either_side(void **state)
{
    uint64_t socket = open_socket(1, "/ws", "");

    send_piece(socket, BYTES_LIT("close me"), WS_TEXT | WS_FIN);
    RUN_UNTIL(ws.is_closed);
    assert_int_equal(ws.code, 4001);
    assert_true(ws.was_clean);
    assert_string_equal(text_of(&ws.reason), "as you wish");

    ws.is_closed = false;
    socket = open_socket(2, "/ws", "");
    msg_WS_CLOSE_pack(link_out(worker), &(struct msg_WS_CLOSE){ .socket = socket, .code = 4002, .reason = BYTES_LIT("bye") });
    RUN_UNTIL(ws.is_closed);
    assert_int_equal(ws.code, 4002);
    assert_true(ws.was_clean);
    assert_string_equal(text_of(&ws.reason), "bye");

    ws.is_closed = false;
    socket = open_socket(3, "/ws", "");
    msg_WS_CLOSE_pack(link_out(worker), &(struct msg_WS_CLOSE){ .socket = socket, .code = 1005 });
    RUN_UNTIL(ws.is_closed);
    assert_int_equal(ws.code, 1005);
    assert_true(ws.was_clean);
}

static void
broken_servers_end_the_socket(void **state)
{
    static const char *const ways[] = { "drop me", "bad frame", "bad text" };

    for (uint32_t i = 0; i < ARRAY_LEN(ways); i++) {
        uint64_t socket = open_socket(i + 1, "/ws", "");
        send_piece(socket, bytes_of(ways[i]), WS_TEXT | WS_FIN);
        RUN_UNTIL(ws.is_closed);
        assert_int_equal(ws.code, 1006);
        assert_false(ws.was_clean);
        ws.is_closed = false;
    }
}

static void
a_refused_handshake_is_a_response(void **state)
{
    struct seen *s = FETCH(1, .path = "/ws/refuse", .flags = CALL_UPGRADE);

    assert_int_equal(s->status, 403);
    assert_int_equal(s->socket, 0);
    assert_string_equal(text_of(&s->text), "Forbidden");
    assert_string_equal(text_of(&s->body), "no");
    assert_has(&s->headers, "x-why\ntired\n");
    s = FETCH(2, .path = "/ws/wrong", .flags = CALL_UPGRADE);
    assert_true(s->is_failed);
    s = FETCH(3, .url = "ws://127.0.0.1:1/", .flags = CALL_UPGRADE);
    assert_string_equal(text_of(&s->message), "Network connection lost.");
    s = FETCH(4, .path = "/hello", .flags = CALL_UPGRADE); /* a server that does not know WebSockets */
    assert_int_equal(s->status, 200);
    assert_string_equal(text_of(&s->body), "hello");
}

static void
unhandled_messages_stop_the_reading(void **state)
{
    uint64_t socket = open_socket(1, "/ws", "");
    uint64_t had;

    send_piece(socket, BYTES_LIT("flood"), WS_TEXT | WS_FIN);
    RUN_UNTIL(ws.bytes >= EGRESS_WS_WINDOW_BYTES);
    FETCH(2, .path = "/hello");
    FETCH(3, .path = "/hello");
    had = ws.bytes;
    assert_in_range(had, EGRESS_WS_WINDOW_BYTES, EGRESS_WS_WINDOW_BYTES + 2 * 60000);
    while (ws.messages < 100) {
        int before = ws.messages;
        msg_WS_CREDIT_pack(link_out(worker), &(struct msg_WS_CREDIT){ socket, 600000 });
        RUN_UNTIL(ws.messages > before);
    }
    assert_int_equal(ws.bytes, 6000000);
}

static void
anothers_socket_is_out_of_reach(void **state)
{
    uint64_t socket = open_socket(1, "/ws", "");

    send_piece(socket + 1, BYTES_LIT("x"), WS_TEXT | WS_FIN);
    msg_WS_CLOSE_pack(link_out(worker), &(struct msg_WS_CLOSE){ .socket = socket ^ 3, .code = 1000 });
    ask(socket, "still here");
    assert_false(is_worker_closed);
}

/* ---- the server ----------------------------------------------------------------------------------------------------------- */

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

int
main(void)
{
#define TEST(name)            cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_WITH(name, conf) cmocka_unit_test_prestate_setup_teardown(name, setup, teardown, (void *)(uintptr_t)(conf))
    const struct CMUnitTest tests[] = {
        TEST(a_small_response_is_one_message),
        TEST(the_request_arrives_as_it_was_asked_for),
        TEST(bodiless_methods_and_statuses),
        TEST(connections_are_reused),
        TEST(bodies_are_decoded),
        TEST(a_large_response_waits_for_credit),
        TEST(a_streamed_response_comes_in_time),
        TEST(a_streamed_request_body_is_sent_under_credit),
        TEST(a_request_body_with_a_length_is_not_chunked),
        TEST(a_body_that_breaks_off_breaks_the_request),
        TEST(an_early_answer_drains_the_rest_of_the_request),
        TEST(lost_connections_say_so),
        TEST(a_cancelled_call_ends_the_connection),
        TEST(redirects_are_the_callers_choice),
        TEST(requests_that_are_none_are_refused),
        TEST(a_worker_that_breaks_the_rules_is_cut_off),
        TEST_WITH(private_addresses_are_closed_by_default, "{}"),
        TEST_WITH(the_allow_list_opens_what_it_names, "{\"allow\":[\"127.0.0.1\",\"nothing.example:80\"]}"),
        TEST(sockets_echo),
        TEST(fragments_of_the_worker_are_one_message),
        TEST(the_handshake_carries_headers_and_protocols),
        TEST(frames_before_the_join_wait),
        TEST(closing_from_either_side),
        TEST(broken_servers_end_the_socket),
        TEST(a_refused_handshake_is_a_response),
        TEST(unhandled_messages_stop_the_reading),
        TEST(anothers_socket_is_out_of_reach),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
