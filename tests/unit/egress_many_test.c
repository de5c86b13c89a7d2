/* egress_many_test — what many calls that wait cost the room, and how many it takes. */
#define CALLS_MAX 2048
#include "tests/unit/egress_rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define WAITING        1500 /* more than one worker was once allowed */
#define TLS_WAITING    40
#define TLS_BYTES_MAX  (12ull << 20) /* of all of them; each took 0.9 MB when each read the certificates */
#define ANSWERED       200
#define ANSWERED_BYTES 45000 /* of each, less than the body that it was asked with */

/* With AddressSanitizer the room's memory is mostly the sanitizer's. */
#ifdef __SANITIZE_ADDRESS__
#define ARE_BYTES_OURS false
#else
#define ARE_BYTES_OURS true
#endif

static size_t
room_bytes(void)
{
    char path[64], text[64] = "";
    unsigned long pages = 0;
    ssize_t got;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)child);
    fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    assert_true(fd >= 0);
    got = sys_read(fd, text, sizeof text - 1);
    assert_true(got > 0);
    sys_close(fd);
    assert_int_equal(sscanf(text, "%*u %lu", &pages), 1);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Everything that was sent to the room before is in its hands. */
static void
settle(void)
{
    struct seen *s = FETCH(1, .path = "/hello");

    assert_int_equal(s->status, 200);
    s->is_replied = s->is_ended = false;
}

static void
a_worker_has_thousands_of_calls_open(void **state)
{
    uint32_t extra = WAITING + 2;

    for (uint32_t call = 2; call < WAITING + 2; call++)
        open_call(call, (struct request){ .path = "/silent" });
    settle();
    for (uint32_t call = 2; call < WAITING + 2; call++)
        assert_false(calls[call].is_failed);
    open_call(extra, (struct request){ .method = "POST", .path = "/silent", .flags = CALL_HAS_BODY | CALL_BODY_MORE });
    settle();
    assert_false(calls[extra].is_failed);
}

/* Such bodies may take half a megabyte each. */
static void
fewer_with_bodies_that_come_in_pieces(void **state)
{
    for (uint32_t call = 2; call < EGRESS_UPLOADS_PER_LINK_MAX + 3; call++)
        open_call(call,
                  (struct request){ .method = "POST", .path = "/silent", .flags = CALL_HAS_BODY | CALL_BODY_MORE });
    settle();
    for (uint32_t call = 2; call < EGRESS_UPLOADS_PER_LINK_MAX + 2; call++)
        assert_false(calls[call].is_failed);
    assert_true(calls[EGRESS_UPLOADS_PER_LINK_MAX + 2].is_failed);
    assert_int_equal(calls[EGRESS_UPLOADS_PER_LINK_MAX + 2].code, ERR_OVERLOADED);
}

static int
listen_silently(int *out_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, TLS_WAITING), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *out_port = ntohs(at.sin_port);
    return fd;
}

/* A server that says nothing: each call sends its hello, and is ready to look at the server's certificate. */
static void
tls_connections_share_the_certificates(void **state)
{
    static int taken[TLS_WAITING];
    char url[64], byte;
    int silent_port, listener = listen_silently(&silent_port);
    size_t before, after;

    (void)snprintf(url, sizeof url, "https://127.0.0.1:%d/", silent_port);
    open_call(2, (struct request){ .url = url }); /* the first one reads them */
    settle();
    taken[0] = accept(listener, NULL, NULL);
    assert_int_equal(recv(taken[0], &byte, 1, MSG_WAITALL), 1);
    before = room_bytes();
    for (uint32_t i = 1; i < TLS_WAITING; i++) {
        open_call(i + 2, (struct request){ .url = url });
        settle();
        taken[i] = accept(listener, NULL, NULL);
        assert_int_equal(recv(taken[i], &byte, 1, MSG_WAITALL), 1);
    }
    settle();
    after = room_bytes();
    for (uint32_t i = 0; i < TLS_WAITING; i++) {
        assert_false(calls[i + 2].is_failed);
        sys_close(taken[i]);
    }
    sys_close(listener);
    if (after - before > TLS_BYTES_MAX && ARE_BYTES_OURS)
        fail_msg("%d connections took %zu bytes", TLS_WAITING, after - before);
}

static void
a_request_is_forgotten_when_its_answer_begins(void **state)
{
    static uint8_t body[CHUNK_MAX_BYTES];
    size_t before = 0, each;

    for (uint32_t i = 0; i < ANSWERED; i++) {
        uint32_t call = i + 2;

        if (i == ANSWERED / 2)
            before = room_bytes();
        open_call(call, (struct request){ .method = "POST",
                                          .path = "/stream",
                                          .flags = CALL_HAS_BODY,
                                          .body = bytes_from(body, sizeof body) });
        RUN_UNTIL(calls[call].is_replied);
        settle();
    }
    each = (room_bytes() - before) / (ANSWERED - ANSWERED / 2);
    if (each > ANSWERED_BYTES && ARE_BYTES_OURS)
        fail_msg("a call that is being answered takes %zu bytes", each);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_worker_has_thousands_of_calls_open),
        TEST(fewer_with_bodies_that_come_in_pieces),
        TEST(tls_connections_share_the_certificates),
        TEST(a_request_is_forgotten_when_its_answer_begins),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
