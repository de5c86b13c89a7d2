/* base_err_test — lib/base/err.h: texts, context, cutting, the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"

static void
the_first_failure_names_the_cause(void **state)
{
    struct err err = { 0 };

    assert_false(err_set(&err, ERR_IO, ENOSPC, "write '%s'", "journal"));
    assert_int_equal(err.code, ERR_IO);
    assert_int_equal(err.sys_errno, ENOSPC);
    assert_string_equal(err.message, "write 'journal': No space left on device");
    assert_false(err_add(&err, "commit %d", 7));
    assert_string_equal(err.message, "commit 7: write 'journal': No space left on device");
    assert_int_equal(err.code, ERR_IO);
    err_clear(&err);
    assert_int_equal(err.code, ERR_NONE);
    assert_string_equal(err.message, "");
}

static void
a_null_err_is_allowed(void **state)
{
    assert_false(err_set(NULL, ERR_LIMIT, 0, "nobody listens"));
    assert_false(err_add(NULL, "nobody listens"));
}

static void
long_texts_are_cut_with_a_mark(void **state)
{
    struct err err = { 0 };
    char text[2000];

    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(err_set(&err, ERR_LIMIT, 0, "%s", text));
    assert_true(strlen(err.message) < ERR_MESSAGE_MAX);
    assert_string_equal(err.message + strlen(err.message) - 3, "…");
    assert_false(err_add(&err, "%s", text));
    assert_true(strlen(err.message) < ERR_MESSAGE_MAX);
    assert_string_equal(err.message + strlen(err.message) - 3, "…");
}

static void
a_cut_does_not_split_a_character(void **state)
{
    /* Wherever the cut falls within 2- and 3-byte characters, what stays must be whole characters. */
    for (size_t lead = 0; lead < 4; lead++) {
        struct err err = { 0 };
        char text[1600] = "";
        size_t len = lead;
        memset(text, '.', lead);
        for (int i = 0; i < 400; i++, len += 3)
            memcpy(text + len, "€", 4);
        assert_false(err_set(&err, ERR_LIMIT, 0, "%s", text));
        len = strlen(err.message);
        assert_string_equal(err.message + len - 3, "…");
        assert_int_equal((len - 3 - lead) % 3, 0);
    }
}

static void
the_table_has_every_row(void **state)
{
    assert_string_equal(err_info(ERR_LIMIT)->name, "ERR_LIMIT");
    assert_int_equal(err_info(ERR_LIMIT)->http_status, 413);
    assert_int_equal(err_info(ERR_UNAVAILABLE)->close_code, 1012);
    assert_true(err_info(ERR_UNAVAILABLE)->may_retry);
    assert_false(err_info(ERR_APP)->may_retry);
    for (int code = ERR_NONE; code < ERR_CODES; code++) {
        const struct err_info *info = err_info((enum err_code)code);
        assert_non_null(info->name);
        assert_non_null(info->sentence);
        assert_in_range(info->http_status, 200, 599);
        assert_in_range(info->close_code, 1000, 4999);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_failure_names_the_cause),
        cmocka_unit_test(a_null_err_is_allowed),
        cmocka_unit_test(long_texts_are_cut_with_a_mark),
        cmocka_unit_test(a_cut_does_not_split_a_character),
        cmocka_unit_test(the_table_has_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
