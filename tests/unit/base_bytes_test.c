/* base_bytes_test — views and buffers of lib/base/bytes.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/bytes.h"

static void
views_compare(void **state)
{
    assert_true(bytes_equal(BYTES_LIT("abc"), bytes_of("abc")));
    assert_false(bytes_equal(BYTES_LIT("abc"), bytes_of("abd")));
    assert_false(bytes_equal(BYTES_LIT("abc"), bytes_of("ab")));
    assert_true(bytes_equal(BYTES_NONE, bytes_of("")));
    assert_true(bytes_equal(bytes_of(NULL), BYTES_LIT("")));
    assert_true(bytes_equal_str(bytes_from("a\0b", 1), "a"));
    assert_false(bytes_equal_str(bytes_from("a\0b", 3), "a"));
    assert_true(bytes_has_prefix(BYTES_LIT("prefix"), BYTES_LIT("pre")));
    assert_true(bytes_has_prefix(BYTES_LIT("prefix"), BYTES_NONE));
    assert_false(bytes_has_prefix(BYTES_LIT("pre"), BYTES_LIT("prefix")));
}

static void
case_is_ignored_in_ascii_only(void **state)
{
    assert_true(bytes_equal_nocase(BYTES_LIT("Content-TYPE"), BYTES_LIT("content-type")));
    assert_false(bytes_equal_nocase(BYTES_LIT("content_type"), BYTES_LIT("content-type")));
    assert_false(bytes_equal_nocase(BYTES_LIT("["), BYTES_LIT("{")));
    assert_false(bytes_equal_nocase(BYTES_LIT("\xc4"), BYTES_LIT("\xe4")));
}

static void
a_copy_keeps_inner_zeros(void **state)
{
    char *copy = bytes_dup(bytes_from("a\0b", 3));

    assert_memory_equal(copy, "a\0b\0", 4);
    free(copy);
    copy = bytes_dup(BYTES_NONE);
    assert_string_equal(copy, "");
    free(copy);
}

static void
a_buffer_grows_and_shrinks(void **state)
{
    struct buf b = { 0 };

    for (int i = 0; i < 10000; i++)
        buf_append_byte(&b, (uint8_t)i);
    assert_int_equal(b.len, 10000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(b.data[i], (uint8_t)i);
    buf_consume(&b, 9999);
    assert_int_equal(b.len, 1);
    assert_int_equal(b.data[0], (uint8_t)9999);
    buf_consume(&b, 1);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
    assert_null(b.data);
    buf_append_str(&b, "usable again");
    assert_true(bytes_equal_str(buf_view(&b), "usable again"));
    buf_fini(&b);
}

static void
printf_appends_texts_of_any_length(void **state)
{
    struct buf b = { 0 };
    char longer[3000];

    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    buf_printf(&b, "%d-%s-", 42, "a");
    buf_printf(&b, "%s", longer);
    assert_int_equal(b.len, 5 + 2999);
    assert_true(bytes_has_prefix(buf_view(&b), BYTES_LIT("42-a-xxx")));
    assert_int_equal(strlen(buf_cstr(&b)), b.len);
    buf_clear(&b);
    assert_string_equal(buf_cstr(&b), "");
    buf_fini(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_compare),
        cmocka_unit_test(case_is_ignored_in_ascii_only),
        cmocka_unit_test(a_copy_keeps_inner_zeros),
        cmocka_unit_test(a_buffer_grows_and_shrinks),
        cmocka_unit_test(printf_appends_texts_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
