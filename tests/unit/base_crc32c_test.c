/* crc32c: RFC 3720's examples, and the instruction against the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/crc32c.h"

static void
test_known_values(void **state)
{
    uint8_t bytes[32];

    assert_int_equal(crc32c(0, "", 0), 0);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283u);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x8a9136aau);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x62a8ab43u);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x46dd794eu);
}

static void
test_both_ways_agree_at_every_length_offset_and_cut(void **state)
{
    uint8_t bytes[80];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 167 + 13);
    for (size_t at = 0; at < 8; at++) {
        for (size_t len = 0; len <= 64; len++) {
            uint32_t whole = crc32c(0, bytes + at, len);

            assert_int_equal(whole, crc32c_portable(0, bytes + at, len));
            for (size_t cut = 0; cut <= len; cut++)
                assert_int_equal(whole, crc32c(crc32c(0, bytes + at, cut), bytes + at + cut, len - cut));
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_both_ways_agree_at_every_length_offset_and_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
