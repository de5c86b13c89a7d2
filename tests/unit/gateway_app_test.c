/* gateway_app_test — routes: hosts, listeners, defaults, what is refused; slots: advice, round robin, absence;
 * configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/gateway/app.h"

#define T(s) BYTES_LIT(s)

static struct gateway *
gateway_make(void)
{
    struct gateway *gw = calloc(1, sizeof *gw);

    assert_non_null(gw);
    list_init(&gw->apps);
    gw->hosts = bmap_create();
    gw->listener_apps = bmap_create();
    gw->slots = calloc(SLOT_TABLE_SIZE, 1);
    return gw;
}

static void
gateway_free(struct gateway *gw)
{
    apps_destroy(gw);
    bmap_destroy(&gw->hosts);
    bmap_destroy(&gw->listener_apps);
    free(gw->slots);
    free(gw);
}

static const char *
route(struct gateway *gw, const char *listener, const char *host)
{
    struct app *app = app_route(gw, listener, bytes_of(host));

    return app != NULL ? app->name : "-";
}

static void
requests_find_their_app(void **state)
{
    struct gateway *gw = gateway_make();
    struct err err;

    assert_true(app_routes(
        gw, T("a"), T("{\"hosts\":[\"a.localhost\",\"*.a.example\"],\"listeners\":[\"main\"],\"workers\":2}"), &err));
    assert_string_equal(route(gw, "main", "b.localhost"), "-");
    assert_true(app_routes(
        gw, T("b"), T("{\"hosts\":[\"B.Localhost\"],\"listeners\":[\"main\",\"app:b\"],\"default\":true}"), &err));
    assert_string_equal(route(gw, "main", "a.localhost"), "a");
    assert_string_equal(route(gw, "main", "A.LOCALHOST:8787"), "a");
    assert_string_equal(route(gw, "main", "a.localhost."), "a");
    assert_string_equal(route(gw, "main", "b.localhost"), "b");
    assert_string_equal(route(gw, "main", "x.a.example"), "a");
    assert_string_equal(route(gw, "main", "x.y.a.example:1"), "a");
    assert_string_equal(route(gw, "main", "a.example"), "b");
    assert_string_equal(route(gw, "main", "127.0.0.1:8787"), "b");
    assert_string_equal(route(gw, "main", "[::1]:8787"), "b");
    assert_string_equal(route(gw, "app:b", "a.localhost"), "b");
    assert_true(app_routes(gw, T("b"), BYTES_NONE, &err));
    assert_string_equal(route(gw, "main", "b.localhost"), "-");
    assert_string_equal(route(gw, "app:b", "a.localhost"), "a");
    gateway_free(gw);
}

static void
routes_that_are_wrong_change_nothing(void **state)
{
    static const char *const bad[] = { "[]",
                                       "{",
                                       "{\"hosts\":\"a\"}",
                                       "{\"hosts\":[1]}",
                                       "{\"hosts\":[\"\"]}",
                                       "{\"workers\":-1}",
                                       "{\"workers\":100000}",
                                       "{\"workers\":\"2\"}",
                                       "{\"assets\":{}}",
                                       "{\"assets\":{\"dir\":\"/nowhere/at/all\"}}",
                                       "{\"assets\":{\"dir\":\"/tmp\",\"html_handling\":\"odd\"}}",
                                       "{\"listeners\":[2]}",
                                       "{\"assets\":{\"dir\":\"/tmp\",\"run_worker_first\":3}}" };
    struct gateway *gw = gateway_make();
    struct err err;

    assert_true(app_routes(gw, T("a"), T("{\"hosts\":[\"a\"]}"), &err));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err_clear(&err);
        if (app_routes(gw, T("a"), bytes_of(bad[i]), &err))
            print_message("taken: %s\n", bad[i]);
        assert_false(err.code == ERR_NONE);
        assert_true(strstr(err.message, "app 'a'") != NULL || err.code == ERR_MALFORMED);
        assert_string_equal(route(gw, "main", "a"), "a");
    }
    gateway_free(gw);
}

static void
requests_go_where_the_agent_lives(void **state)
{
    struct gateway *gw = gateway_make();
    struct link *some_link = (struct link *)(uintptr_t)8; /* never followed */
    struct err err;
    struct app *app;
    uint32_t key, other;
    unsigned seen[4] = { 0 };

    assert_true(app_routes(gw, T("a"), T("{\"workers\":4}"), &err));
    app = app_find(gw, T("a"));
    key = app_slot_key(gw, app, T("h"), T("/agents/x/1"));
    other = app_slot_key(gw, app, T("h"), T("/agents/x/2"));
    assert_int_not_equal(key, other);
    assert_null(app_pick(gw, app, key));
    for (uint16_t i = 0; i < 4; i++)
        app_worker(gw, T("a"), i)->link = some_link;
    for (int i = 0; i < 8; i++)
        seen[app_pick(gw, app, key)->slot]++;
    for (int i = 0; i < 4; i++)
        assert_int_equal(seen[i], 2);
    app_advise(gw, app, key, 3);
    app_advise(gw, app, other, 9); /* out of range: no advice */
    for (int i = 0; i < 8; i++)
        assert_int_equal(app_pick(gw, app, key)->slot, 3);
    app_worker(gw, T("a"), 3)->link = NULL;
    assert_int_not_equal(app_pick(gw, app, key)->slot, 3);
    assert_null(app_worker(gw, T("a"), WORKERS_PER_APP_MAX));
    gateway_free(gw);
}

static void
configuration_is_checked(void **state)
{
    struct gateway_conf c;
    struct err err;

    assert_true(gateway_conf_parse(&c, T("{\"data\":\"/x\",\"jail\":{}}"), &err));
    assert_int_equal(c.body_bytes_max, BODY_BYTES_MAX);
    assert_true(gateway_conf_parse(
        &c, T("{\"trust_proxy\":true,\"limits\":{\"body_bytes_max\":5,\"head_timeout_ms\":99}}"), &err));
    assert_int_equal(c.body_bytes_max, 5);
    assert_int_equal(c.deadline_ms[DEADLINE_HEAD], 99);
    assert_true(c.trusts_proxy);
    assert_false(gateway_conf_parse(&c, T("{\"limits\":{\"requests_max\":70000}}"), &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.message, "requests_max"));
    assert_false(gateway_conf_parse(&c, T("{\"limits\":3}"), &err));
    assert_false(gateway_conf_parse(&c, T("[]"), &err));
    assert_int_equal(c.body_bytes_max, 5);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_find_their_app),
        cmocka_unit_test(routes_that_are_wrong_change_nothing),
        cmocka_unit_test(requests_go_where_the_agent_lives),
        cmocka_unit_test(configuration_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
