/* gateway_attachment_test — what is kept comes back byte by byte, whatever its size, in no more memory than it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/ipc/ipc_limits.h"
#include "src/gateway/attachment.h"
#include "src/gateway/gateway_limits.h"

static uint8_t plain[WS_ATTACHMENT_MAX_BYTES], noise[WS_ATTACHMENT_MAX_BYTES];

static int
fill(void **state)
{
    uint32_t x = 7;

    for (size_t i = 0; i < sizeof plain; i++) {
        plain[i] = (uint8_t) "{\"user\":\"somebody\",\"room\":42} "[i % 30];
        x = x * 1664525u + 1013904223u;
        noise[i] = (uint8_t)(x >> 24);
    }
    return 0;
}

static void
every_size_comes_back(void **state)
{
    struct attachment a = { 0 };
    struct buf scratch = { 0 };

    for (size_t len = 0; len <= sizeof plain; len += len < 600 ? 1 : 1973) {
        attachment_set(&a, bytes_from(plain, len));
        assert_true(bytes_equal(attachment_get(&a, &scratch), bytes_from(plain, len)));
        assert_true(a.kept <= len);
        attachment_set(&a, bytes_from(noise, len));
        assert_true(bytes_equal(attachment_get(&a, &scratch), bytes_from(noise, len)));
        assert_true(a.kept <= len);
    }
    attachment_fini(&a);
    assert_null(a.data);
    buf_fini(&scratch);
}

static void
large_ones_are_small(void **state)
{
    struct attachment a = { 0 };

    attachment_set(&a, bytes_from(plain, sizeof plain));
    assert_int_equal(a.bytes, sizeof plain);
    assert_true(a.kept < 256);
    attachment_set(&a, bytes_from(plain, ATTACHMENT_PLAIN_BYTES_MAX));
    assert_int_equal(a.kept, ATTACHMENT_PLAIN_BYTES_MAX); /* not worth the time of every list */
    attachment_set(&a, BYTES_NONE);
    assert_null(a.data);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_comes_back),
        cmocka_unit_test(large_ones_are_small),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
