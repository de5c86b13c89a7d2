/* backup_manifest_test — lists and manifests as bytes: what was written is read again, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/backup/backup_limits.h"
#include "src/backup/backup_list.h"
#include "src/backup/backup_manifest.h"

#define ID_ONE "00112233445566778899aabbccddeeff"
#define ID_TWO "ffeeddccbbaa99887766554433221100"

static struct packs *packs;

static int
setup(void **state)
{
    packs = packs_create(NULL, PACK_BYTES);
    return 0;
}

static int
teardown(void **state)
{
    packs_destroy(&packs);
    return 0;
}

static struct ref
ref_to(const char *id, uint32_t at, uint32_t len)
{
    struct ref ref = { packs_get(packs, id), at, len, { 0 } };

    assert_non_null(ref.pack);
    sum_of(bytes_from(&at, sizeof at), ref.sum);
    ref.pack->is_there = ref.pack->is_known = true;
    ref.pack->bytes = 5000;
    return ref;
}

static void
push(struct list *list, const char *path, uint64_t size)
{
    struct entry entry = { .path = bytes_dup(bytes_of(path)), .size = size, .mode = 0600, .mtime_ns = INT64_C(1795195638519000001), .ctime_ns = 7, .inode = 12 };
    struct ref ref = ref_to(ID_ONE, 100, (uint32_t)size);

    if (size > 0)
        entry_ref(&entry, &ref);
    list_push(list, &entry);
}

static void
a_list_comes_back(void **state)
{
    struct list list = { 0 }, again = { 0 };
    struct buf bytes = { 0 };
    struct err err = { 0 };
    const struct entry *found;

    push(&list, "journal/b.seg", 10);
    push(&list, "apps/shop/\xc3\xa4 \"quoted\".txt", 0);
    list_sort(&list);
    list_pack(&list, &bytes);
    assert_true(list_unpack(&again, buf_view(&bytes), packs, &err));
    assert_int_equal(again.count, 2);
    found = list_find(&again, "journal/b.seg");
    assert_non_null(found);
    assert_int_equal(found->size, 10);
    assert_true(found->mtime_ns == INT64_C(1795195638519000001));
    assert_int_equal(found->inode, 12);
    assert_false(found->is_fresh);
    assert_int_equal(found->refs_count, 1);
    assert_memory_equal(&found->refs[0], &list.entries[1].refs[0], sizeof found->refs[0]);
    assert_non_null(list_find(&again, "apps/shop/\xc3\xa4 \"quoted\".txt"));
    assert_null(list_find(&again, "apps/shop"));
    list_fini(&list);
    list_fini(&again);
    buf_fini(&bytes);
}

static void
paths_that_leave_the_folder_are_refused(void **state)
{
    static const char *const bad[] = { "", "/etc/passwd", "apps/../../x", "apps/./x", "apps//x", "apps/", "../x", "admin.sock", "supervisor.lock",
                                       "journal", "control.json/x", "apps/shop/.." };
    static const char *const good[] = { "control.json", "apps/a", "journal/history/1.seg", "apps/a/...", "apps/a/.hidden" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct list list = { 0 };
        struct buf line = { 0 };
        struct err err = { 0 };

        assert_false(path_is_ours(bad[i]));
        buf_printf(&line, "[\"%s\",0,384,1,1,1,false,[]]\n", bad[i]);
        assert_false(list_unpack(&list, buf_view(&line), packs, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_int_equal(list.count, 0);
        buf_fini(&line);
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(path_is_ours(good[i]));
}

static void
lists_that_we_do_not_write_are_refused(void **state)
{
    static const char *const bad[] = {
        "[\"apps/a\",0,384,1,1,1,false,[]]",                         /* its end is missing */
        "{}\n", "\n", "[\"apps/a\",-1,384,1,1,1,false,[]]\n", "[\"apps/a\",0,384,1,1,1,false]\n",
        "[\"apps/a\",5,384,1,1,1,false,[]]\n",                       /* a size that its chunks do not make */
        "[\"apps/a\",5,384,1,1,1,false,[[\"" ID_ONE "\",0,5,\"00\"]]]\n",
        "[\"apps/a\",5,384,1,1,1,false,[[\"../../../../x\",0,5,\"0000000000000000000000000000000000000000000000000000000000000000\"]]]\n",
        "[\"apps/a\",5,384,1,1,1,false,[[\"" ID_ONE "\",-1,5,\"0000000000000000000000000000000000000000000000000000000000000000\"]]]\n",
        "[\"apps/a\",0,384,1,1,1,false,[[\"" ID_ONE "\",0,0,\"0000000000000000000000000000000000000000000000000000000000000000\"]]]\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct list list = { 0 };
        struct err err = { 0 };

        assert_false(list_unpack(&list, bytes_of(bad[i]), packs, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

static void
manifest_make(struct manifest *manifest, struct buf *out)
{
    struct group group = { .name = bytes_dup(BYTES_LIT("apps/shop/agents/Cart/ab")), .files = 3, .bytes = 99, .list = ref_to(ID_TWO, 8, 4000) };
    const struct ref file = ref_to(ID_ONE, 0, 100);

    manifest_begin(manifest, "/data", 1795195638000);
    manifest_name(manifest, "00000041-20300101T000000Z");
    packs_use(&group.list);
    packs_use(&file);
    manifest_group(manifest, &group);
    manifest_recent(manifest, &file);
    manifest->cut_ms = 1795195639000;
    manifest_pack(manifest, packs, out);
}

static void
a_manifest_comes_back_with_its_packs(void **state)
{
    struct packs *fresh = packs_create(NULL, PACK_BYTES);
    struct manifest manifest, again;
    struct buf bytes = { 0 };
    struct err err = { 0 };
    const struct group *group;

    manifest_make(&manifest, &bytes);
    assert_true(manifest_unpack(&again, buf_view(&bytes), fresh, &err));
    assert_string_equal(again.id, "00000042-20261120T172718Z");   /* behind the newest, also when that is of a clock that ran ahead */
    assert_true(again.cut_ms == 1795195639000);
    assert_string_equal(again.data, "/data");
    group = manifest_find(&again, "apps/shop/agents/Cart/ab");
    assert_non_null(group);
    assert_int_equal(group->files, 3);
    assert_int_equal(group->list.at, 8);
    assert_string_equal(group->list.pack->id, ID_TWO);
    assert_int_equal(group->list.pack->bytes, 5000);
    assert_false(group->list.pack->is_thin);
    assert_true(packs_get(fresh, ID_ONE)->is_thin);              /* 100 of its 5,000 bytes are used */
    assert_int_equal(again.recent_count, 1);
    manifest_fini(&manifest);
    manifest_fini(&again);
    packs_destroy(&fresh);
    buf_fini(&bytes);
}

static void
any_flipped_bit_of_a_manifest_is_found(void **state)
{
    struct manifest manifest, again;
    struct buf bytes = { 0 };

    manifest_make(&manifest, &bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        struct err err = { 0 };

        bytes.data[i] ^= (uint8_t)(1u << i % 8);
        assert_false(manifest_unpack(&again, buf_view(&bytes), packs, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
        bytes.data[i] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t len = 0; len < bytes.len; len += 7) {
        struct err err = { 0 };

        assert_false(manifest_unpack(&again, bytes_from(bytes.data, len), packs, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
    manifest_fini(&manifest);
    buf_fini(&bytes);
}

static void
a_manifest_of_a_later_format_is_named_as_such(void **state)
{
    static const char text[] = "{\"format\":2}";
    struct manifest manifest;
    struct buf bytes = { 0 };
    struct err err = { 0 };
    uint8_t sum[SUM_BYTES];
    char hex[SUM_HEX_BYTES];

    sum_of(BYTES_LIT(text), sum);
    hex_print(sum, SUM_BYTES, hex);
    buf_printf(&bytes, "%s\n%s\n", text, hex);
    assert_false(manifest_unpack(&manifest, buf_view(&bytes), packs, &err));
    assert_int_equal(err.code, ERR_VERSION);
    buf_fini(&bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_list_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_that_leave_the_folder_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_that_we_do_not_write_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_manifest_comes_back_with_its_packs, setup, teardown),
        cmocka_unit_test_setup_teardown(any_flipped_bit_of_a_manifest_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_manifest_of_a_later_format_is_named_as_such, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
