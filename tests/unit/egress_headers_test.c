/* egress_headers_test — header blobs to the wire and back; nothing can smuggle a second line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/egress/egress_headers.h"

static void
blobs_are_walked(void **state)
{
    struct bytes blob = BYTES_LIT("a\n1\nb\n\na\n2\n");
    struct bytes name, value;
    bool bad;

    assert_true(headers_next(&blob, &name, &value, &bad));
    assert_true(bytes_equal_str(name, "a") && bytes_equal_str(value, "1"));
    assert_true(headers_next(&blob, &name, &value, &bad));
    assert_true(bytes_equal_str(name, "b") && value.len == 0);
    assert_true(headers_next(&blob, &name, &value, &bad));
    assert_false(headers_next(&blob, &name, &value, &bad));
    assert_false(bad);
    blob = BYTES_LIT("a\n1\nb\n2");
    assert_true(headers_next(&blob, &name, &value, &bad));
    assert_false(headers_next(&blob, &name, &value, &bad));
    assert_true(bad);
    blob = BYTES_LIT("a");
    assert_false(headers_next(&blob, &name, &value, &bad));
    assert_true(bad);
    blob = BYTES_LIT("a\n");
    assert_false(headers_next(&blob, &name, &value, &bad));
    assert_true(bad);
}

static void
fields_are_found_and_removed(void **state)
{
    struct buf blob = { 0 };

    buf_append_str(&blob, "a\n1\nb\n2\na\n3\n");
    assert_true(bytes_equal_str(headers_find(buf_view(&blob), "a"), "1"));
    assert_null(headers_find(buf_view(&blob), "c").data);
    headers_remove(&blob, "a");
    assert_string_equal(buf_cstr(&blob), "b\n2\n");
    headers_remove(&blob, "none");
    assert_string_equal(buf_cstr(&blob), "b\n2\n");
    buf_fini(&blob);
    buf_append_str(&blob, "e\n\n");
    assert_non_null(headers_find(buf_view(&blob), "e").data);
    assert_int_equal(headers_find(buf_view(&blob), "e").len, 0);
    buf_fini(&blob);
}

static bool
line_is(const char *name, struct bytes value, const char *want)
{
    struct buf out = { 0 };
    struct err err = { 0 };
    bool ok = headers_line(&out, bytes_of(name), value, &err);

    if (ok != (want != NULL)) {
        buf_fini(&out);
        return false;
    }
    if (ok)
        assert_string_equal(buf_cstr(&out), want);
    else
        assert_int_equal(err.code, ERR_MALFORMED);
    buf_fini(&out);
    return true;
}

static void
lines_cannot_be_split(void **state)
{
    assert_true(line_is("x-a", BYTES_LIT("1 2"), "x-a: 1 2"));
    assert_true(line_is("x-a", BYTES_LIT("caf\xc3\xa9\xc2\x80\xc3\xbf"), "x-a: caf\xe9\x80\xff"));
    assert_true(line_is("x-a", BYTES_LIT("a\rb"), NULL));
    assert_true(line_is("x-a", BYTES_LIT("a\r\nb: c"), NULL));
    assert_true(line_is("x-a", BYTES_LIT("a\0b"), NULL));
    assert_true(line_is("x-a", BYTES_LIT("\xc4\x80"), NULL));  /* U+0100 */
    assert_true(line_is("x-a", BYTES_LIT("\xc3"), NULL));
    assert_true(line_is("x-a", BYTES_LIT("\xc3x"), NULL));
    assert_true(line_is("x-a", BYTES_LIT("\xe9"), NULL));
    assert_true(line_is("", BYTES_LIT("1"), NULL));
    assert_true(line_is("x a", BYTES_LIT("1"), NULL));
    assert_true(line_is("x:a", BYTES_LIT("1"), NULL));
    assert_true(line_is("x\r", BYTES_LIT("1"), NULL));
}

static void
the_wire_becomes_a_blob(void **state)
{
    struct buf blob = { 0 };

    assert_true(headers_add_wire(&blob, BYTES_LIT("Content-Type: text/plain ")));
    assert_true(headers_add_wire(&blob, BYTES_LIT("X-Empty:")));
    assert_true(headers_add_wire(&blob, BYTES_LIT("X-Latin:\tcaf\xe9")));
    assert_false(headers_add_wire(&blob, BYTES_LIT("no colon")));
    assert_false(headers_add_wire(&blob, BYTES_LIT(": no name")));
    assert_false(headers_add_wire(&blob, BYTES_LIT("bad name: x")));
    assert_false(headers_add_wire(&blob, BYTES_LIT("x: a\nb")));
    assert_false(headers_add_wire(&blob, BYTES_NONE));
    assert_string_equal(buf_cstr(&blob), "content-type\ntext/plain\nx-empty\n\nx-latin\ncaf\xc3\xa9\n");
    buf_fini(&blob);
}

static void
the_transport_owns_its_fields(void **state)
{
    assert_true(headers_is_transport(BYTES_LIT("host")));
    assert_true(headers_is_transport(BYTES_LIT("Transfer-Encoding")));
    assert_true(headers_is_transport(BYTES_LIT("content-length")));
    assert_false(headers_is_transport(BYTES_LIT("content-type")));
    assert_false(headers_is_transport(BYTES_LIT("authorization")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blobs_are_walked),
        cmocka_unit_test(fields_are_found_and_removed),
        cmocka_unit_test(lines_cannot_be_split),
        cmocka_unit_test(the_wire_becomes_a_blob),
        cmocka_unit_test(the_transport_owns_its_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
