/* ipc_message_test — messages.def in C: the wire form, and hostile payloads of every type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/ipc/message.h"

static void
the_wire_form_is_as_documented(void **state)
{
    static const uint8_t want[] = {
        17, 0, 0, 0, 1, 0, 0, 0,                  /* payload length, type, zero */
        4, 3, 2, 1, 2, 0xcd, 0xab, 8, 7, 6, 5,    /* version, role, index, pid */
        2, 0, 0, 0, 'a', 'p',                     /* app */
    };
    struct buf out = { 0 };

    msg_HELLO_pack(&out, &(struct msg_HELLO){ 0x01020304, 2, 0xabcd, 0x05060708, BYTES_LIT("ap") });
    assert_int_equal(out.len, sizeof want);
    assert_memory_equal(out.data, want, sizeof want);
    buf_fini(&out);
}

static void
a_call_survives_the_journey(void **state)
{
    struct msg_CALL call = {
        .call = 0xffffffff, .kind = CALL_FETCH, .flags = CALL_BODY_MORE, .n1 = -5, .n2 = 9,
        .class_name = BYTES_LIT("Chat"), .name = BYTES_LIT("ada"), .method = BYTES_LIT("POST"),
        .url = BYTES_LIT("http://x/"), .headers = BYTES_LIT("a\nb\n"), .body = BYTES_LIT("\0\1\2"),
    };
    struct msg_CALL back;
    struct buf out = { 0 };
    struct err err = { 0 };

    memset(call.agent.bytes, 0xee, sizeof call.agent.bytes);
    msg_CALL_pack(&out, &call);
    assert_true(msg_CALL_unpack(&back, bytes_from(out.data + FRAME_HEADER_BYTES, out.len - FRAME_HEADER_BYTES), &err));
    assert_int_equal(back.call, 0xffffffff);
    assert_int_equal(back.kind, CALL_FETCH);
    assert_int_equal(back.flags, CALL_BODY_MORE);
    assert_true(back.n1 == -5);
    assert_int_equal(back.n2, 9);
    assert_true(agent_id_equal(&back.agent, &call.agent));
    assert_true(bytes_equal(back.class_name, call.class_name));
    assert_true(bytes_equal(back.name, call.name));
    assert_true(bytes_equal(back.method, call.method));
    assert_true(bytes_equal(back.url, call.url));
    assert_true(bytes_equal(back.headers, call.headers));
    assert_true(bytes_equal(back.body, call.body));
    assert_int_equal(back.meta.len, 0);
    buf_fini(&out);
}

/*
 * One function per type. A sample payload has every number 0x5a… and every field "x"; then
 *   - each shorter payload is refused, - one byte more is refused, - each field with a wrong length is refused.
 */
struct sample {
    struct buf payload;
    size_t length_at[16]; /* where the length of each BYTES field lies */
    size_t max[16];
    size_t fields;
};

static void
sample_number(struct sample *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_append_byte(&s->payload, 0x5a);
}

static void
sample_bytes(struct sample *s, size_t max)
{
    assert_true(s->fields < 16);
    s->length_at[s->fields] = s->payload.len;
    s->max[s->fields++] = max;
    buf_append(&s->payload, "\1\0\0\0x", 5);
}

typedef bool unpack_fn(struct bytes payload);

static void
set_length(struct sample *s, size_t field, uint32_t len)
{
    for (int i = 0; i < 4; i++)
        s->payload.data[s->length_at[field] + i] = (uint8_t)(len >> (8 * i));
}

static void
attack(struct sample *s, unpack_fn *unpack)
{
    static const uint32_t lengths[] = { 0, 2, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 0xff };

    assert_true(unpack(buf_view(&s->payload)));
    for (size_t len = 0; len < s->payload.len; len++) {
        uint8_t *exact = malloc(len + 1); /* so that asan sees a read behind the end */
        memcpy(exact, s->payload.data, len);
        exact = realloc(exact, len == 0 ? 1 : len);
        assert_false(unpack(bytes_from(exact, len)));
        free(exact);
    }
    for (size_t field = 0; field < s->fields; field++) {
        for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
            set_length(s, field, lengths[i]);
            assert_false(unpack(buf_view(&s->payload)));
        }
        set_length(s, field, (uint32_t)s->max[field] + 1);
        assert_false(unpack(buf_view(&s->payload)));
        set_length(s, field, 1);
    }
    buf_append_byte(&s->payload, 0);
    assert_false(unpack(buf_view(&s->payload)));
    buf_fini(&s->payload);
}

#define U8(x)         sample_number(&s, 1);
#define U16(x)        sample_number(&s, 2);
#define U32(x)        sample_number(&s, 4);
#define U64(x)        sample_number(&s, 8);
#define I64(x)        sample_number(&s, 8);
#define ID(x)         sample_number(&s, 32);
#define BYTES(x, max) sample_bytes(&s, (max));
#define MESSAGE(name, number, fields)                                                                                  \
    static bool unpack_##name(struct bytes payload)                                                                    \
    {                                                                                                                  \
        struct msg_##name msg;                                                                                         \
        struct err err = { 0 };                                                                                        \
        struct buf again = { 0 };                                                                                      \
        bool same;                                                                                                     \
                                                                                                                       \
        if (!msg_##name##_unpack(&msg, payload, &err)) {                                                               \
            assert_int_equal(err.code, ERR_MALFORMED);                                                                 \
            assert_non_null(strstr(err.message, #name));                                                               \
            return false;                                                                                              \
        }                                                                                                              \
        msg_##name##_pack(&again, &msg);                                                                               \
        assert_true(again.len >= FRAME_HEADER_BYTES);                                                                  \
        same = bytes_equal(bytes_from(again.data + FRAME_HEADER_BYTES, again.len - FRAME_HEADER_BYTES), payload);      \
        buf_fini(&again);                                                                                              \
        assert_true(same);                                                                                             \
        return true;                                                                                                   \
    }                                                                                                                  \
    static void attack_##name(void **state)                                                                            \
    {                                                                                                                  \
        struct sample s = { 0 };                                                                                       \
        fields;                                                                                                        \
        attack(&s, unpack_##name);                                                                                     \
    }
#include "lib/ipc/messages.def"

static void
a_field_at_its_maximum_is_accepted(void **state)
{
    static uint8_t data[JSON_MAX_BYTES];
    struct msg_CONF conf;
    struct buf out = { 0 };
    struct err err = { 0 };

    msg_CONF_pack(&out, &(struct msg_CONF){ bytes_from(data, sizeof data) });
    assert_true(msg_CONF_unpack(&conf, bytes_from(out.data + FRAME_HEADER_BYTES, out.len - FRAME_HEADER_BYTES), &err));
    assert_int_equal(conf.json.len, JSON_MAX_BYTES);
    buf_fini(&out);
}

static void
names_are_known_or_null(void **state)
{
    assert_string_equal(message_name(MSG_CALL), "CALL");
    assert_string_equal(message_name(MSG_WS_CLOSE), "WS_CLOSE");
    assert_null(message_name(0));
    assert_null(message_name(0xffff));
    assert_string_equal(role_name(ROLE_EGRESS), "egress");
    assert_string_equal(role_name((enum role)0), "unknown");
    assert_string_equal(role_name(ROLES), "unknown");
    for (int role = 1; role < ROLES; role++)
        assert_string_not_equal(role_name((enum role)role), "unknown");
}

static void
ids_have_a_text_form_and_a_slot(void **state)
{
    static const char hex[] = "00000000000000ff0123456789abcdef0123456789ABCDEFfedcba9876543210";
    struct agent_id id;
    struct agent_id other;
    char text[65];

    assert_true(agent_id_from_hex(&id, bytes_of(hex)));
    agent_id_to_hex(&id, text);
    assert_string_equal(text, "00000000000000ff0123456789abcdef0123456789abcdeffedcba9876543210");
    assert_int_equal(agent_id_slot(&id, 16), 15);
    assert_int_equal(agent_id_slot(&id, 1), 0);
    assert_int_equal(agent_id_slot(&id, 1000), 255);
    assert_false(agent_id_is_none(&id));
    memset(&other, 0, sizeof other);
    assert_true(agent_id_is_none(&other));
    assert_false(agent_id_equal(&id, &other));
    assert_false(agent_id_from_hex(&other, bytes_from(hex, 63)));
    assert_false(agent_id_from_hex(&other, BYTES_LIT("0000000000000000000000000000000000000000000000000000000000000000f")));
    assert_false(agent_id_from_hex(&other, BYTES_LIT("000000000000000000000000000000000000000000000000000000000000000g")));
    assert_true(agent_id_is_none(&other));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wire_form_is_as_documented),
        cmocka_unit_test(a_call_survives_the_journey),
        cmocka_unit_test(a_field_at_its_maximum_is_accepted),
        cmocka_unit_test(names_are_known_or_null),
        cmocka_unit_test(ids_have_a_text_form_and_a_slot),
#define MESSAGE(name, number, fields) cmocka_unit_test(attack_##name),
#include "lib/ipc/messages.def"
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
