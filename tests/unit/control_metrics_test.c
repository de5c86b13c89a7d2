/* control: counters as text for Prometheus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/control/control_metrics.h"

static struct buf text;

static const char *
print(const char *rooms_json)
{
    json_t *rooms = json_loads(rooms_json, 0, NULL);

    assert_non_null(rooms);
    buf_clear(&text);
    metrics_print(rooms, &text);
    json_decref(rooms);
    return buf_cstr(&text);
}

static size_t
times(const char *haystack, const char *needle)
{
    size_t count = 0;

    for (const char *at = haystack; (at = strstr(at, needle)) != NULL; at++)
        count++;
    return count;
}

static void
samples_have_the_labels_of_their_room(void **state)
{
    const char *said = print("[{\"role\":\"worker\",\"app\":\"shop\",\"index\":1,\"cpu_us\":2500001,\"memory_bytes\":4096,\"counters\":{\"awake\":3,\"warm\":5}},"
                             "{\"role\":\"gateway\",\"app\":\"\",\"index\":0,\"memory_bytes\":8192,\"counters\":{\"requests\":9,\"sockets\":2}}]");

    assert_non_null(strstr(said, "\ndormouse_agents{app=\"shop\",worker=\"1\",state=\"awake\"} 3\n"));
    assert_non_null(strstr(said, "\ndormouse_agents{app=\"shop\",worker=\"1\",state=\"warm\"} 5\n"));
    assert_non_null(strstr(said, "\ndormouse_http_requests_total 9\n"));
    assert_non_null(strstr(said, "\ndormouse_websockets{side=\"in\"} 2\n"));
    assert_non_null(strstr(said, "\ndormouse_room_cpu_seconds_total{room=\"worker\",app=\"shop\",worker=\"1\"} 2.500001\n"));
    assert_non_null(strstr(said, "\ndormouse_room_memory_bytes{room=\"gateway\"} 8192\n"));
    assert_null(strstr(said, "side=\"out\""));
    buf_fini(&text);
}

static void
a_metric_is_one_group(void **state)
{
    const char *said = print("[{\"role\":\"worker\",\"app\":\"a\",\"index\":0,\"counters\":{\"awake\":1,\"warm\":2}},"
                             "{\"role\":\"worker\",\"app\":\"b\",\"index\":0,\"counters\":{\"awake\":3,\"warm\":4}}]");
    const char *first = strstr(said, "\ndormouse_agents{"), *next = strstr(first, "# HELP");

    assert_int_equal(times(said, "# TYPE dormouse_agents gauge\n"), 1);
    assert_int_equal(times(said, "\ndormouse_agents{"), 4);
    for (const char *at = first; (at = strstr(at, "\ndormouse_agents{")) != NULL; at++)
        assert_true(at < next);
    buf_fini(&text);
}

static void
what_is_behind_a_dot_is_a_label_and_is_escaped(void **state)
{
    const char *said = print("[{\"role\":\"worker\",\"app\":\"a\",\"index\":0,\"counters\":{\"images_refused.of \\\"b\\\\c\\nd\":1,\"images_refused.damaged\":2}}]");

    assert_non_null(strstr(said, "dormouse_images_refused_total{app=\"a\",worker=\"0\",reason=\"of \\\"b\\\\c\\nd\"} 1\n"));
    assert_non_null(strstr(said, "reason=\"damaged\"} 2\n"));
    buf_fini(&text);
}

static void
strange_answers_do_no_harm(void **state)
{
    assert_int_equal(times(print("[7,{},{\"role\":3},{\"role\":\"worker\",\"counters\":[1]},{\"role\":\"worker\",\"app\":5,\"counters\":{\"awake\":\"x\"}}]"), "\ndormouse_"), 0);
    buf_fini(&text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_have_the_labels_of_their_room),
        cmocka_unit_test(a_metric_is_one_group),
        cmocka_unit_test(what_is_behind_a_dot_is_a_label_and_is_escaped),
        cmocka_unit_test(strange_answers_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
