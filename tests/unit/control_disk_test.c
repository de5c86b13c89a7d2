/* control: uploads are whole or absent; the listing pages through folders and names. On a temporary folder, with real files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lib/sys/sys.h"
#include "src/control/control_agents.h"
#include "src/control/control_disk.h"
#include "src/control/control_files.h"
#include "src/control/control_limits.h"

#define HASH_A    "0123456789abcdef0123456789abcdef"
#define HASH_B    "fedcba9876543210fedcba9876543210"
#define SHA_HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"   /* "hello" */
#define SHA_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA_OBJECT "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  /* "{}" */

struct rig {
    char        folder[64];
    struct disk disk;
};

static int
rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct err err = { 0 };

    (void)snprintf(rig->folder, sizeof rig->folder, "/tmp/dormouse-test-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    assert_true(disk_open(&rig->disk, rig->folder, &err));
    *state = rig;
    return 0;
}

static int
rig_teardown(void **state)
{
    struct rig *rig = *state;

    disk_close(&rig->disk);
    folder_remove(-100 /* AT_FDCWD */, rig->folder);
    assert_int_not_equal(access(rig->folder, F_OK), 0);
    free(rig);
    return 0;
}

static bool
exists(struct rig *rig, const char *path)
{
    struct stat info;

    return sys_fstatat(rig->disk.fd, path, &info, 0) == 0;
}

static json_t *
files_hello(void)
{
    json_t *files = json_pack("[{s:s,s:i,s:s}, {s:s,s:i,s:s,s:s}, {s:s,s:i,s:s}]", "path", "manifest.json", "bytes", 2, "sha256", SHA_OBJECT,
                              "path", "assets/a/b.txt", "bytes", 5, "sha256", SHA_HELLO, "source", "/secret/place", "path", "assets/empty",
                              "bytes", 0, "sha256", SHA_EMPTY);

    assert_non_null(files);
    return files;
}

static bool
upload_all(struct rig *rig, const char *hash, const char *base, const char *bytes, size_t *out_needed, struct err *err)
{
    json_t *files = files_hello(), *need = NULL;
    struct upload *up = NULL;
    uint64_t len = 0;
    bool ok = upload_begin(&up, &rig->disk, "app", hash, base, files, &need, &len, err);

    json_decref(files);
    if (!ok)
        return false;
    *out_needed = json_array_size(need);
    json_decref(need);
    for (const char *at = bytes; ok && *at != '\0'; at++)      /* one byte at a time: every boundary is met */
        ok = upload_bytes(up, bytes_from(at, 1), err);
    if (!ok || !(len == 0 || upload_is_complete(up))) {
        upload_abandon(&up);
        return false;
    }
    return upload_finish(&up, err);
}

static void
an_upload_appears_whole(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    size_t needed = 0;
    struct buf text = { 0 };

    assert_true(upload_all(rig, HASH_A, "", "{}hello", &needed, &err));
    assert_int_equal(needed, 3);
    assert_true(file_read(rig->disk.fd, "apps/app/deploys/" HASH_A "/assets/a/b.txt", 100, &text, &err));
    assert_true(bytes_equal_str(buf_view(&text), "hello"));
    buf_clear(&text);
    assert_true(file_read(rig->disk.fd, "apps/app/deploys/" HASH_A "/files.json", 4096, &text, &err));
    assert_null(strstr(buf_cstr(&text), "/secret/place"));
    buf_fini(&text);
    assert_true(exists(rig, "apps/app/deploys/" HASH_A "/assets/empty"));
    assert_false(exists(rig, "apps/app/deploys/" INCOMING_PREFIX HASH_A));

    assert_true(upload_all(rig, HASH_A, "", "", &needed, &err));               /* again: nothing to send */
    assert_int_equal(needed, 0);
    assert_true(upload_all(rig, HASH_B, HASH_A, "{}", &needed, &err));         /* unchanged assets are taken from there */
    assert_int_equal(needed, 1);
    assert_true(exists(rig, "apps/app/deploys/" HASH_B "/assets/a/b.txt"));
}

static void
wrong_bytes_leave_nothing(void **state)
{
    static const char *const wrong[] = { "{}hellO", "[]hello", "{}hello!" };
    struct rig *rig = *state;
    size_t needed = 0;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err err = { 0 };

        assert_false(upload_all(rig, HASH_A, "", wrong[i], &needed, &err));
        assert_int_equal(err.code, ERR_MALFORMED);
        assert_false(exists(rig, "apps/app/deploys/" HASH_A));
        assert_false(exists(rig, "apps/app/deploys/" INCOMING_PREFIX HASH_A));
    }
    assert_false(upload_all(rig, HASH_A, "", "{}hel", &needed, &(struct err){ 0 }));   /* the sender went away */
    assert_false(exists(rig, "apps/app/deploys/" HASH_A));
}

static int (*real_fsync)(int fd);
static int fail_at, calls;

static int
failing_fsync(int fd)
{
    if (++calls == fail_at) {
        errno = EIO;
        return -1;
    }
    return real_fsync(fd);
}

/* Whichever sync fails: either it is reported and there is no deploy, or the deploy is there and complete. */
static void
a_failing_disk_is_never_a_success(void **state)
{
    struct rig *rig = *state;
    bool ok = false;

    real_fsync = sys_table.fsync;
    sys_table.fsync = failing_fsync;
    for (fail_at = 1; !ok && fail_at < 100; fail_at++) {
        struct err err = { 0 };
        size_t needed = 0;

        calls = 0;
        ok = upload_all(rig, HASH_A, "", "{}hello", &needed, &err);
        assert_true(ok == (calls < fail_at));
        if (!ok)
            assert_int_equal(err.sys_errno, EIO);
        assert_true(ok == exists(rig, "apps/app/deploys/" HASH_A));
    }
    sys_table.fsync = real_fsync;
    assert_true(ok);
    assert_true(fail_at > 5);
}

static void
hostile_lists_are_refused(void **state)
{
    static const char *const paths[] = { "../x", "assets/../../x", "assets//x", "assets/", "/etc/passwd", "assets/./x", "built", "template",
                                         "files.json", "assets/\x01", "" };
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        json_t *files = files_hello(), *need = NULL;
        struct upload *up = NULL;
        struct err err = { 0 };
        uint64_t len;

        (void)json_object_set_new(json_array_get(files, 1), "path", json_string(paths[i]));
        assert_false(upload_begin(&up, &rig->disk, "app", HASH_A, "", files, &need, &len, &err));
        assert_int_equal(err.code, ERR_MALFORMED);
        json_decref(files);
    }
    for (int bytes = -1; bytes <= 1; bytes += 2) {
        json_t *files = files_hello(), *need = NULL;
        struct upload *up = NULL;
        struct err err = { 0 };
        uint64_t len;

        (void)json_object_set_new(json_array_get(files, 1), "bytes", json_integer(bytes < 0 ? -1 : (json_int_t)DEPLOY_FILE_MAX_BYTES + 1));
        assert_false(upload_begin(&up, &rig->disk, "app", HASH_A, "", files, &need, &len, &err));
        assert_int_equal(err.code, ERR_LIMIT);
        json_decref(files);
    }
}

static void
old_deploys_are_trimmed(void **state)
{
    struct rig *rig = *state;
    char hash[33], path[128];
    struct err err = { 0 };
    size_t needed, left = 0;

    for (int i = 0; i < 6; i++) {
        (void)snprintf(hash, sizeof hash, "%032x", i + 1);
        assert_true(upload_all(rig, hash, "", "{}hello", &needed, &err));
    }
    assert_true(folder_make(rig->disk.fd, "apps/app/deploys/" INCOMING_PREFIX HASH_A, &err));
    disk_deploys_trim(&rig->disk, "app", "00000000000000000000000000000001");
    for (int i = 0; i < 6; i++) {
        (void)snprintf(path, sizeof path, "apps/app/deploys/%032x", i + 1);
        left += exists(rig, path);
    }
    assert_int_equal(left, DEPLOYS_KEPT);
    assert_true(exists(rig, "apps/app/deploys/00000000000000000000000000000001"));     /* in use: never, however old */
    assert_false(exists(rig, "apps/app/deploys/" INCOMING_PREFIX HASH_A));
}

/* ---- the listing ------------------------------------------------------------------------------------------------ */

static struct agent_id
id_of(unsigned n)
{
    struct agent_id id = { 0 };

    id.bytes[0] = (uint8_t)(n * 37);           /* several hash folders */
    id.bytes[30] = (uint8_t)(n >> 8);
    id.bytes[31] = (uint8_t)n;
    return id;
}

static void
agent_make(struct rig *rig, struct births *births, const char *class_name, unsigned n, const char *name)
{
    char hex[65], path[PATH_BYTES];
    struct agent_id id = id_of(n);
    struct err err = { 0 };

    agent_id_to_hex(&id, hex);
    path_print(path, "apps/app/agents/%s", class_name);
    assert_true(folder_make(rig->disk.fd, path, &err));
    path_print(path, "apps/app/agents/%s/%.2s", class_name, hex);
    assert_true(folder_make(rig->disk.fd, path, &err));
    path_print(path, "apps/app/agents/%s/%.2s/%s", class_name, hex, hex);
    assert_true(folder_make(rig->disk.fd, path, &err));
    births_add(births, "app", &(struct msg_AGENT_BORN){ .agent = id, .class_name = bytes_of(class_name), .name = bytes_of(name) });
}

static void
pages_hold_every_agent_once(void **state)
{
    enum { AGENTS = 300, LIMIT = 7 };
    struct rig *rig = *state;
    struct births *births = births_create(&rig->disk);
    struct err err = { 0 };
    json_t *seen = json_object(), *page, *agent;
    char after[512] = "", key[512];
    size_t i, pages = 0;

    assert_true(disk_app_prepare(&rig->disk, "app", &err));
    for (unsigned n = 0; n < AGENTS; n++) {
        char name[32];

        (void)snprintf(name, sizeof name, "name \"%u\"\n", n);
        agent_make(rig, births, n % 3 == 0 ? "Room" : "Counter", n, name);
    }
    assert_int_equal(births_count(births), AGENTS);
    assert_true(births_write(births, &err));
    do {
        struct agents_query query = { .app = "app", .after = after[0] != '\0' ? after : NULL, .limit = LIMIT };

        page = agents_page(&rig->disk, &query, &err);
        assert_non_null(page);
        json_array_foreach (json_object_get(page, "agents"), i, agent) {
            (void)snprintf(key, sizeof key, "%s/%s", json_string_value(json_object_get(agent, "class")), json_string_value(json_object_get(agent, "id")));
            assert_null(json_object_get(seen, key));
            assert_int_equal(strncmp(json_string_value(json_object_get(agent, "name")), "name \"", 6), 0);
            (void)json_object_set_new(seen, key, json_true());
        }
        (void)snprintf(after, sizeof after, "%s", json_object_get(page, "after") != NULL ? json_string_value(json_object_get(page, "after")) : "");
        json_decref(page);
        pages++;
    } while (after[0] != '\0');
    assert_int_equal(json_object_size(seen), AGENTS);
    assert_int_equal(pages, (AGENTS + LIMIT - 1) / LIMIT);
    json_decref(seen);
    births_destroy(&births);
}

static void
an_agent_is_listed_by_its_folder_or_by_its_birth(void **state)
{
    struct rig *rig = *state;
    struct births *births = births_create(&rig->disk);
    struct agents_query query = { .app = "app", .class_name = "Counter", .limit = 10 };
    struct agent_id gone = id_of(2);
    struct err err = { 0 };
    json_t *page, *list;

    assert_true(disk_app_prepare(&rig->disk, "app", &err));
    agent_make(rig, births, "Counter", 1, "ada");
    agent_make(rig, births, "Room", 3, "other class");
    births_add(births, "app", &(struct msg_AGENT_BORN){ .agent = gone, .class_name = BYTES_LIT("Counter"), .name = BYTES_LIT("no folder yet") });
    births_add(births, "app", &(struct msg_AGENT_BORN){ .agent = id_of(1), .class_name = BYTES_LIT("../../x"), .name = BYTES_LIT("hostile") });
    assert_true(births_write(births, &err));
    page = agents_page(&rig->disk, &query, &err);
    list = json_object_get(page, "agents");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "name")), "ada");
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "name")), "no folder yet");
    json_decref(page);
    births_add(births, "app", &(struct msg_AGENT_BORN){ .agent = gone, .deleted = 1, .class_name = BYTES_LIT("Counter") });
    births_add(births, "app", &(struct msg_AGENT_BORN){ .agent = id_of(1), .deleted = 1, .class_name = BYTES_LIT("Counter") });
    assert_true(births_write(births, &err));
    page = agents_page(&rig->disk, &query, &err);
    assert_int_equal(json_array_size(json_object_get(page, "agents")), 1);
    assert_null(json_object_get(json_array_get(json_object_get(page, "agents"), 0), "name"));   /* born, and deleted, and made again unnamed */
    json_decref(page);
    query.after = "nonsense";
    assert_null(agents_page(&rig->disk, &query, &err));
    assert_int_equal(err.code, ERR_MALFORMED);
    births_destroy(&births);
}

static void
class_names_make_safe_paths(void **state)
{
    static const struct { const char *name, *path; } rows[] = {
        { "Counter", "Counter" }, { "$a_1", "$a_1" }, { "..", "%2E%2E" }, { "a/b", "a%2Fb" }, { "é", "%C3%A9" },
    };
    char path[CLASS_PATH_BYTES];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        class_to_path(bytes_of(rows[i].name), path);
        assert_string_equal(path, rows[i].path);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_upload_appears_whole, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(wrong_bytes_leave_nothing, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_failing_disk_is_never_a_success, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(hostile_lists_are_refused, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(old_deploys_are_trimmed, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(pages_hold_every_agent_once, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(an_agent_is_listed_by_its_folder_or_by_its_birth, rig_setup, rig_teardown),
        cmocka_unit_test(class_names_make_safe_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
