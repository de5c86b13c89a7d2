/* wire_form_test — application/x-www-form-urlencoded: the sets, plus signs, broken input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/wire/form.h"

static void
pairs_are_encoded(void **state)
{
    struct buf out = { 0 };

    form_encode_pair(&out, BYTES_LIT("a b"), BYTES_LIT("1&2=3+4"));
    assert_string_equal(buf_cstr(&out), "a+b=1%262%3D3%2B4");
    form_encode_pair(&out, BYTES_LIT("\xc3\xa9"), BYTES_NONE);
    assert_string_equal(buf_cstr(&out), "a+b=1%262%3D3%2B4&%C3%A9=");
    buf_clear(&out);
    form_encode_pair(&out, BYTES_LIT("*-._09azAZ"), BYTES_LIT("!'()~%20\n"));
    assert_string_equal(buf_cstr(&out), "*-._09azAZ=%21%27%28%29%7E%2520%0A");
    buf_clear(&out);
    form_encode_pair(&out, BYTES_LIT("  "), BYTES_LIT(" x "));
    assert_string_equal(buf_cstr(&out), "++=+x+");
    buf_fini(&out);
}

struct pair {
    const char *name;
    const char *value;
};

static void
check_decode(const char *text, const struct pair *pairs, size_t count)
{
    struct bytes rest = bytes_of(text);
    struct buf name = { 0 };
    struct buf value = { 0 };

    for (size_t i = 0; i < count; i++) {
        assert_true(form_decode_pair(&rest, &name, &value));
        assert_string_equal(buf_cstr(&name), pairs[i].name);
        assert_string_equal(buf_cstr(&value), pairs[i].value);
    }
    assert_false(form_decode_pair(&rest, &name, &value));
    buf_fini(&name);
    buf_fini(&value);
}
#define DECODE(text, ...)                                                                                              \
    check_decode(text, (const struct pair[]){ __VA_ARGS__ }, ARRAY_LEN(((const struct pair[]){ __VA_ARGS__ })))

static void
pairs_are_decoded(void **state)
{
    check_decode("", NULL, 0);
    check_decode("&&&", NULL, 0);
    DECODE("a=1&b=2", { "a", "1" }, { "b", "2" });
    DECODE("a&=b&=&c==d", { "a", "" }, { "", "b" }, { "", "" }, { "c", "=d" });
    DECODE("a+b=c%20d%2B", { "a b", "c d+" });
    DECODE("%zz=%4&%41=%4", { "%zz", "%4" }, { "A", "%4" });
    DECODE("%C3%A9=\xc3\xa9", { "\xc3\xa9", "\xc3\xa9" });
}

static void
broken_utf8_becomes_replacement_characters(void **state)
{
#define R "\xef\xbf\xbd"
    DECODE("a=%ff", { "a", R });
    DECODE("a=%C3", { "a", R });
    DECODE("a=%C3x", { "a", R "x" });
    DECODE("a=%E2%82", { "a", R });               /* one maximal subpart, one replacement */
    DECODE("a=%E2%82x", { "a", R "x" });
    DECODE("a=%ED%A0%80", { "a", R R R });        /* a surrogate */
    DECODE("a=%C0%AF", { "a", R R });             /* overlong */
    DECODE("a=%F4%90%80%80", { "a", R R R R });   /* above U+10FFFF */
    DECODE("a=%F0%9F%98%80", { "a", "\xf0\x9f\x98\x80" });
    DECODE("a=%EF%BB%BFb", { "a", "\xef\xbb\xbf" "b" });
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_encoded),
        cmocka_unit_test(pairs_are_decoded),
        cmocka_unit_test(broken_utf8_becomes_replacement_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
