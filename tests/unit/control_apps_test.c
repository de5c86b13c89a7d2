/* control: what it remembers of apps, and what it tells other rooms about them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/control/control_apps.h"
#include "src/control/control_core.h"

#define HASH_A "0123456789abcdef0123456789abcdef"
#define HASH_B "fedcba9876543210fedcba9876543210"

static json_t *
manifest_of(const char *app, const char *hash)
{
    json_t *m = json_pack("{s:s, s:s, s:s, s:[s], s:[s], s:[{s:s, s:s}], s:{s:s}, s:{s:i}, s:[s]}", "app", app, "hash", hash, "main", "bundle.js",
                          "classes", "Counter", "hosts", "example.com", "namespaces", "binding", "C", "class", "Counter", "vars", "A", "1",
                          "limits", "cpu_ms", 50, "warnings", "w");

    assert_non_null(m);
    return m;
}

static void
names_of_apps_are_host_labels(void **state)
{
    static const char *const good[] = { "a", "counter", "a-b", "0x", "a_b", "abcdefghijklmnopqrstuvwxyz-0123456789-abcdefghijklmnopqrstuvwxy" };
    static const char *const bad[] = { "", "-a", "a-", "A", "a.b", "a/b", "..", "a b", "ä", "_a",
                                       "abcdefghijklmnopqrstuvwxyz-0123456789-abcdefghijklmnopqrstuvwxyz" };

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(app_name_is_valid(bytes_of(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(app_name_is_valid(bytes_of(bad[i])));
    assert_true(hash_is_valid(bytes_of(HASH_A)));
    assert_false(hash_is_valid(bytes_of("0123456789abcde")));
    assert_false(hash_is_valid(bytes_of("0123456789ABCDEF")));
    assert_false(hash_is_valid(bytes_of("../../../../etc/x")));
}

static void
the_state_survives_saving_and_loading(void **state)
{
    struct apps before, after;
    struct app *app;
    struct err err = { 0 };
    char *text;

    apps_init(&before);
    app = apps_add(&before, "one");
    app_take(app, HASH_A, 8, NULL);
    app->workers_wanted = 2;
    app = apps_add(&before, "two");
    app_take(app, HASH_B, 0, NULL);
    app->is_default_wanted = true;
    memcpy(app->listen, "127.0.0.1:9000", 15);
    (void)apps_add(&before, "unborn");         /* its first deploy is not done */
    text = apps_save(&before);
    apps_init(&after);
    assert_true(apps_load(&after, bytes_of(text), &err));
    assert_int_equal(after.count, 2);
    app = apps_find(&after, BYTES_LIT("one"));
    assert_non_null(app);
    assert_string_equal(app->hash, HASH_A);
    assert_int_equal(app->workers_wanted, 2);
    app = apps_find(&after, BYTES_LIT("two"));
    assert_int_equal(app->workers_wanted, 0);    /* the node's number, whatever it will be */
    assert_string_equal(app->listen, "127.0.0.1:9000");
    assert_ptr_equal(apps_default(&after), app);
    assert_null(apps_find(&after, BYTES_LIT("unborn")));
    free(text);
    apps_fini(&before);
    apps_fini(&after);
}

static void
a_damaged_state_is_refused(void **state)
{
    static const char *const texts[] = {
        "", "{", "[]", "{}", "{\"apps\":{}}", "{\"apps\":[1]}",
        "{\"apps\":[{\"app\":\"../x\",\"deploy\":\"" HASH_A "\",\"workers\":1,\"default\":false,\"listen\":\"\"}]}",
        "{\"apps\":[{\"app\":\"x\",\"deploy\":\"../../../../../../x\",\"workers\":1,\"default\":false,\"listen\":\"\"}]}",
        "{\"apps\":[{\"app\":\"x\",\"deploy\":\"" HASH_A "\",\"workers\":70000,\"default\":false,\"listen\":\"\"}]}",
        "{\"apps\":[{\"app\":\"x\",\"deploy\":\"" HASH_A "\",\"workers\":-1,\"default\":false,\"listen\":\"\"}]}",
        "{\"apps\":[{\"app\":\"x\",\"deploy\":\"" HASH_A "\",\"workers\":1,\"default\":false}]}",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct apps apps;
        struct err err = { 0 };

        apps_init(&apps);
        assert_false(apps_load(&apps, bytes_of(texts[i]), &err));
        assert_int_not_equal(err.code, ERR_NONE);
        apps_fini(&apps);
    }
}

static void
the_first_app_is_the_default_unless_another_is_named(void **state)
{
    struct apps apps;
    struct app *one, *two;

    apps_init(&apps);
    assert_null(apps_default(&apps));
    one = apps_add(&apps, "one");
    assert_null(apps_default(&apps));          /* not deployed yet */
    two = apps_add(&apps, "two");
    app_take(two, HASH_A, 1, NULL);
    assert_ptr_equal(apps_default(&apps), two);
    app_take(one, HASH_A, 1, NULL);
    assert_ptr_equal(apps_default(&apps), one);
    two->is_default_wanted = true;
    assert_ptr_equal(apps_default(&apps), two);
    apps_fini(&apps);
}

static void
a_manifest_is_checked_before_use(void **state)
{
    static const char *const broken[] = { "app", "hash", "main", "classes", "hosts", "namespaces", "vars" };
    json_t *good = manifest_of("counter", HASH_A);
    struct err err = { 0 };

    assert_true(manifest_check(good, "counter", HASH_A, &err));
    assert_false(manifest_check(good, "other", HASH_A, &err));
    assert_false(manifest_check(good, "counter", HASH_B, &err));
    assert_false(manifest_check(NULL, "counter", HASH_A, &err));
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        json_t *bad = json_deep_copy(good);

        (void)json_object_set_new(bad, broken[i], json_integer(7));
        err_clear(&err);
        assert_false(manifest_check(bad, "counter", HASH_A, &err));
        assert_int_equal(err.code, ERR_MALFORMED);
        json_decref(bad);
    }
    (void)json_object_set_new(good, "main", json_null());
    assert_false(manifest_check(good, "counter", HASH_A, &err));   /* neither code nor assets */
    (void)json_object_set_new(good, "assets", json_object());
    assert_true(manifest_check(good, "counter", HASH_A, &err));
    assert_false(manifest_has_code(good));
    json_decref(good);
}

static void
other_rooms_are_told_what_they_need(void **state)
{
    json_t *limits = json_pack("{s:i, s:i}", "cpu_ms", 30000, "heap_mb", 128);
    struct conf_facts facts = { .data = "/data", .limits = limits };
    struct apps apps;
    struct app *app;
    json_t *manifest = manifest_of("counter", HASH_A), *said;
    char *text;

    apps_init(&apps);
    app = apps_add(&apps, "counter");
    (void)json_object_set_new(manifest, "assets", json_pack("{s:s, s:b}", "html_handling", "none", "run_worker_first", 1));
    app_take(app, HASH_A, 2, json_incref(manifest));
    memcpy(app->listen, "127.0.0.1:9000", 15);

    text = conf_for_worker(&facts, "serve", "counter", HASH_A, manifest);
    said = json_loads(text, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(said, "dir")), "/data/apps/counter/deploys/" HASH_A);
    assert_string_equal(json_string_value(json_object_get(said, "data")), "/data/apps/counter");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(said, "limits"), "cpu_ms")), 50);      /* the app's */
    assert_int_equal(json_integer_value(json_object_get(json_object_get(said, "limits"), "heap_mb")), 128);    /* the node's */
    assert_true(json_equal(json_object_get(said, "manifest"), manifest));
    json_decref(said);
    free(text);

    text = routes_for_gateway(&facts, app, true);
    said = json_loads(text, 0, NULL);
    assert_string_equal(json_string_value(json_array_get(json_object_get(said, "hosts"), 0)), "counter.localhost");
    assert_string_equal(json_string_value(json_array_get(json_object_get(said, "hosts"), 1)), "example.com");
    assert_string_equal(json_string_value(json_array_get(json_object_get(said, "listeners"), 1)), "app:counter");
    assert_true(json_is_true(json_object_get(said, "default")));
    assert_int_equal(json_integer_value(json_object_get(said, "workers")), 2);
    assert_string_equal(json_string_value(json_object_get(json_object_get(said, "assets"), "dir")), "/data/apps/counter/deploys/" HASH_A "/assets");
    assert_true(json_is_true(json_object_get(json_object_get(said, "assets"), "run_worker_first")));
    json_decref(said);
    free(text);
    json_decref(manifest);
    json_decref(limits);
    apps_fini(&apps);
}

static void
a_deploy_is_taken_when_every_worker_said_so(void **state)
{
    struct apps apps;
    struct app *app;

    apps_init(&apps);
    app = apps_add(&apps, "x");
    assert_true(app_all_took(app, 0, HASH_A));
    assert_false(app_all_took(app, 2, HASH_A));
    memcpy(app->taken[0], HASH_A, sizeof HASH_A);
    assert_false(app_all_took(app, 2, HASH_A));
    memcpy(app->taken[1], HASH_B, sizeof HASH_B);
    assert_false(app_all_took(app, 2, HASH_A));
    memcpy(app->taken[1], HASH_A, sizeof HASH_A);
    assert_true(app_all_took(app, 2, HASH_A));
    apps_fini(&apps);
}

/* Every way through the table that the room can take, with the effect of each step. */
static void
a_deployment_goes_its_way(void **state)
{
    static const struct {
        enum deploy_event  event;
        enum deploy_effect effect;
        enum deploy_state  next;
    } good[] = {
        { DEPLOY_FILES_CAME, DEPLOY_BUILD, DEPLOY_BUILDING }, { DEPLOY_BUILT, DEPLOY_OFFER, DEPLOY_TAKING },
        { DEPLOY_BUILT, DEPLOY_NOTHING, DEPLOY_TAKING },      { DEPLOY_ALL_TOOK, DEPLOY_COMMIT, DEPLOY_DONE },
        { DEPLOY_WENT_WRONG, DEPLOY_NOTHING, DEPLOY_DONE },   { DEPLOY_ALL_TOOK, DEPLOY_NOTHING, DEPLOY_DONE },
    };
    enum deploy_state s = DEPLOY_RECEIVING;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(deploy_step(&s, good[i].event), good[i].effect);
        assert_int_equal(s, good[i].next);
    }
    s = DEPLOY_RECEIVING;
    assert_int_equal(deploy_step(&s, DEPLOY_FILES_CAME_BUILT), DEPLOY_OFFER);
    assert_int_equal(deploy_step(&s, DEPLOY_WENT_WRONG), DEPLOY_ROLL_BACK);     /* workers may have it: they must go back */
    assert_int_equal(deploy_step(&s, DEPLOY_ALL_TOOK), DEPLOY_NOTHING);
    assert_int_equal(s, DEPLOY_FAILED);
    s = DEPLOY_BUILDING;
    assert_int_equal(deploy_step(&s, DEPLOY_WENT_WRONG), DEPLOY_REPORT);        /* nobody has it yet */
    assert_int_equal(deploy_step(&s, DEPLOY_BUILT), DEPLOY_NOTHING);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_apps_are_host_labels),
        cmocka_unit_test(the_state_survives_saving_and_loading),
        cmocka_unit_test(a_damaged_state_is_refused),
        cmocka_unit_test(the_first_app_is_the_default_unless_another_is_named),
        cmocka_unit_test(a_manifest_is_checked_before_use),
        cmocka_unit_test(other_rooms_are_told_what_they_need),
        cmocka_unit_test(a_deploy_is_taken_when_every_worker_said_so),
        cmocka_unit_test(a_deployment_goes_its_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
