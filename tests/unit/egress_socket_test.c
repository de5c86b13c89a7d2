/* egress_socket_test — WebSockets through the room: frames, closing, refusals, back-pressure. */
#include "tests/unit/egress_rig.h"

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
    RUN_UNTIL(ws.messages == 5);           /* both may come at once */
    assert_string_equal(text_of(&ws.before), "one two three");
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
    uint64_t socket =
        open_socket(1, "/ws/greet", "upgrade\nwebsocket\nsec-websocket-protocol\nmcp, other\nx-who\nada\n");

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
    msg_WS_CLOSE_pack(link_out(worker),
                      &(struct msg_WS_CLOSE){ .socket = socket, .code = 4002, .reason = BYTES_LIT("bye") });
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
a_message_without_an_end_ends_the_socket(void **state)
{
    uint64_t socket = open_socket(1, "/ws", "");

    send_piece(socket, BYTES_LIT("endless"), WS_TEXT | WS_FIN);
    RUN_UNTIL(ws.is_closed);
    assert_int_equal(ws.code, 1006);
    assert_int_equal(ws.messages, 0);
    assert_true(ws.bytes <= EGRESS_WS_MESSAGE_MAX_BYTES);
    FETCH(2, .path = "/hello"); /* the link has survived it */
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sockets_echo),
        TEST(fragments_of_the_worker_are_one_message),
        TEST(the_handshake_carries_headers_and_protocols),
        TEST(frames_before_the_join_wait),
        TEST(closing_from_either_side),
        TEST(broken_servers_end_the_socket),
        TEST(a_refused_handshake_is_a_response),
        TEST(unhandled_messages_stop_the_reading),
        TEST(a_message_without_an_end_ends_the_socket),
        TEST(anothers_socket_is_out_of_reach),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
