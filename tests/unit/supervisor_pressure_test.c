/* supervisor: pressure on memory, from files of a cgroup or /proc that the test makes up. */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/sys/sys.h"
#include "src/supervisor/supervisor_limits.h"
#include "src/supervisor/supervisor_pressure.h"
#include "src/supervisor/supervisor_use.h"

#define MB (1024ull * 1024)

/* ---- a kernel with few files ---- */

static struct {
    const char *path, *text;
} files[8];
static size_t at[8];
static unsigned reads;

static void
file(const char *path, const char *text)
{
    for (size_t i = 0; i < 8; i++)
        if (files[i].path == NULL || strcmp(files[i].path, path) == 0) {
            files[i].path = path;
            files[i].text = text;
            return;
        }
    fail();
}

static int
fake_openat(int dir, const char *path, int flags, mode_t mode)
{
    for (int i = 0; i < 8 && files[i].path != NULL; i++)
        if (strcmp(files[i].path, path) == 0) {
            at[i] = 0;
            return 1000 + i;
        }
    errno = ENOENT;
    return -1;
}

static ssize_t
fake_read(int fd, void *data, size_t len)
{
    const char *rest = files[fd - 1000].text + at[fd - 1000];
    size_t n = strlen(rest) < len ? strlen(rest) : len;

    reads++;
    n = n > 7 ? 7 : n;                 /* short reads are normal */
    memcpy(data, rest, n);
    at[fd - 1000] += n;
    return (ssize_t)n;
}

static int
fake_close(int fd)
{
    return 0;
}

static struct sys_table kernel;

static int
set_up(void **state)
{
    kernel = sys_table;
    sys_table.openat = fake_openat;
    sys_table.read = fake_read;
    sys_table.close = fake_close;
    memset(files, 0, sizeof files);
    return 0;
}

static int
tear_down(void **state)
{
    sys_table = kernel;
    return 0;
}

/* ---- reading ---- */

static void
a_group_of_v1_is_read_without_its_file_cache(void **state)
{
    struct memory_state s;

    file("/g/memory.usage_in_bytes", "200000000\n");
    file("/g/memory.limit_in_bytes", "209715200\n");
    file("/g/memory.stat", "cache 5\nactive_file 1\ninactive_file 1\ntotal_inactive_file 50000000\ntotal_active_file 30000000\n");
    assert_true(memory_state_of_group("/g", &s));
    assert_int_equal(s.used_bytes, 120000000);
    assert_int_equal(s.limit_bytes, 209715200);
    assert_int_equal(s.stalled_percent, 0);
    file("/g/memory.limit_in_bytes", "9223372036854771712\n");
    assert_false(memory_state_of_group("/g", &s));
    assert_false(memory_state_of_group("/nothing", &s));
}

static void
a_group_of_v2_has_stalls(void **state)
{
    struct memory_state s;

    file("/g/memory.current", "200000000\n");
    file("/g/memory.max", "209715200\n");
    file("/g/memory.stat", "anon 1\ninactive_file 50000000\nactive_file 30000000\n");
    file("/g/memory.pressure", "some avg10=12.34 avg60=1.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
    assert_true(memory_state_of_group("/g", &s));
    assert_int_equal(s.used_bytes, 120000000);
    assert_int_equal(s.stalled_percent, 12);
    file("/g/memory.max", "max\n");
    assert_false(memory_state_of_group("/g", &s));
}

static void
where_much_is_left_only_two_files_are_read(void **state)
{
    struct memory_state s;

    file("/g/memory.current", "1000000\n");
    file("/g/memory.max", "4294967296\n");
    reads = 0;
    assert_true(memory_state_of_group("/g", &s));
    assert_true(pressure_is_far(&s));
    assert_true(reads <= 6);
}

static void
the_system_is_read(void **state)
{
    struct memory_state s;

    file("/proc/meminfo", "MemTotal:       10000 kB\nMemFree:         100 kB\nMemAvailable:    2500 kB\n");
    assert_true(memory_state_of_system(&s));
    assert_int_equal(s.limit_bytes, 10000 * 1024);
    assert_int_equal(s.used_bytes, 7500 * 1024);
    file("/proc/meminfo", "MemTotal:       10000 kB\n");
    assert_false(memory_state_of_system(&s));
}

static void
a_process_is_read(void **state)
{
    struct process_use use;

    file("/proc/7/stat", "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0\n");
    file("/proc/7/status", "Name:\tx\nRssAnon:\t    64 kB\nRssFile:\t 9999 kB\n");
    assert_true(process_use_read(7, &use));
    assert_int_equal(use.cpu_us, 2000000);
    assert_int_equal(use.memory_bytes, 65536);
    assert_false(process_use_read(8, &use));
}

/* ---- judging ---- */

static enum pressure
level(enum pressure now, uint64_t limit_mb, uint64_t left_mb)
{
    struct memory_state s = { .limit_bytes = limit_mb * MB, .used_bytes = (limit_mb - left_mb) * MB };

    return pressure_next(now, &s);
}

static void
large_limits_go_by_parts(void **state)
{
    assert_int_equal(level(PRESSURE_EASE, 10000, 1001), PRESSURE_EASE);
    assert_int_equal(level(PRESSURE_EASE, 10000, 999), PRESSURE_TIGHT);
    assert_int_equal(level(PRESSURE_EASE, 10000, 499), PRESSURE_STARVING);
    assert_int_equal(level(PRESSURE_EASE, 10000, 0), PRESSURE_STARVING);
}

static void
small_limits_keep_room_to_act(void **state)
{
    assert_int_equal(level(PRESSURE_EASE, 200, 49), PRESSURE_EASE);
    assert_int_equal(level(PRESSURE_EASE, 200, 47), PRESSURE_TIGHT);
    assert_int_equal(level(PRESSURE_EASE, 200, 23), PRESSURE_STARVING);
    assert_int_equal(level(PRESSURE_EASE, 40, 21), PRESSURE_EASE);
    assert_int_equal(level(PRESSURE_EASE, 40, 19), PRESSURE_TIGHT);
    assert_int_equal(level(PRESSURE_EASE, 40, 9), PRESSURE_STARVING);
}

static void
a_level_ends_later_than_it_began(void **state)
{
    assert_int_equal(level(PRESSURE_TIGHT, 10000, 1200), PRESSURE_TIGHT);
    assert_int_equal(level(PRESSURE_TIGHT, 10000, 1251), PRESSURE_EASE);
    assert_int_equal(level(PRESSURE_STARVING, 10000, 600), PRESSURE_STARVING);
    assert_int_equal(level(PRESSURE_STARVING, 10000, 626), PRESSURE_TIGHT);
    assert_int_equal(level(PRESSURE_STARVING, 10000, 1300), PRESSURE_EASE);
    assert_int_equal(level(PRESSURE_STARVING, 0, 0), PRESSURE_EASE);
}

static void
stalls_count_while_little_is_left(void **state)
{
    struct memory_state s = { .limit_bytes = 1000 * MB, .used_bytes = 800 * MB, .stalled_percent = STALLED_PERCENT };

    assert_int_equal(pressure_next(PRESSURE_EASE, &s), PRESSURE_TIGHT);
    s.stalled_percent = STALLED_PERCENT - 1;
    assert_int_equal(pressure_next(PRESSURE_EASE, &s), PRESSURE_EASE);
    assert_int_equal(pressure_next(PRESSURE_TIGHT, &s), PRESSURE_TIGHT);
    s.used_bytes = 100 * MB;
    s.stalled_percent = 90;
    assert_int_equal(pressure_next(PRESSURE_TIGHT, &s), PRESSURE_EASE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_group_of_v1_is_read_without_its_file_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_group_of_v2_has_stalls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(where_much_is_left_only_two_files_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_system_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_process_is_read, set_up, tear_down),
        cmocka_unit_test(large_limits_go_by_parts),
        cmocka_unit_test(small_limits_keep_room_to_act),
        cmocka_unit_test(a_level_ends_later_than_it_began),
        cmocka_unit_test(stalls_count_while_little_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
