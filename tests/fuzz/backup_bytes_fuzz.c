/*
 * What a target gives: lists of files, manifests behind a right sum, and pages of listings. What is taken as a list is written again and read again as
 * the same; none of its paths leaves the data folder.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/backup/backup_limits.h"
#include "src/backup/backup_list.h"
#include "src/backup/backup_manifest.h"
#include "src/backup/backup_s3.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
try_list(struct bytes bytes, struct packs *packs)
{
    struct list list = { 0 }, again = { 0 };
    struct buf packed = { 0 };
    struct err err = { 0 };
    bool ok;

    if (list_unpack(&list, bytes, packs, &err)) {
        for (size_t i = 0; i < list.count; i++) {
            const char *path = list.entries[i].path;

            assert(path[0] != '/');
            assert(strstr(path, "/../") == NULL && strncmp(path, "../", 3) != 0);
        }
        list_pack(&list, &packed);
        ok = list_unpack(&again, buf_view(&packed), packs, &err);
        assert(ok);
        assert(again.count == list.count);
    }
    list_fini(&list);
    list_fini(&again);
    buf_fini(&packed);
}

static void
try_manifest(struct bytes bytes, struct packs *packs)
{
    struct manifest manifest;
    struct buf whole = { 0 };
    struct err err = { 0 };
    uint8_t sum[SUM_BYTES];
    char hex[SUM_HEX_BYTES];

    if (manifest_unpack(&manifest, bytes, packs, &err))
        manifest_fini(&manifest);
    sum_of(bytes, sum);
    hex_print(sum, SUM_BYTES, hex);
    buf_append_bytes(&whole, bytes);
    buf_printf(&whole, "\n%s\n", hex);
    if (manifest_unpack(&manifest, buf_view(&whole), packs, &err)) {
        assert(strlen(manifest.id) < BACKUP_ID_BYTES);
        manifest_fini(&manifest);
    }
    buf_fini(&whole);
}

static void
on_object(void *owner, const char *key, uint64_t bytes)
{
    (*(size_t *)owner) += strlen(key) + 1;
}

static void
try_page(struct bytes bytes)
{
    struct err err = { 0 };
    char *next = NULL;
    size_t total = 0;

    if (!s3_page_read(bytes, on_object, &total, &next, &err))
        assert(err.code == ERR_MALFORMED);
    assert(total <= bytes.len);
    free(next);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct packs *packs = packs_create(NULL, PACK_BYTES);
    const struct bytes bytes = bytes_from(data, len);

    try_list(bytes, packs);
    try_manifest(bytes, packs);
    try_page(bytes);
    packs_destroy(&packs);
    return 0;
}
