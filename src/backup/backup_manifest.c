/* backup_manifest — see backup_manifest.h. */
#include "src/backup/backup_manifest.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/sys/sys.h"
#include "src/backup/backup_limits.h"
#include "src/backup/backup_list.h"
#include "src/backup/backup_target.h"

#define HOST_BYTES 256
#define NUMBERS    100000000ul             /* of eight digits */

void
manifest_name(struct manifest *manifest, const char *newest)
{
    const time_t seconds = (time_t)(manifest->started_ms / 1000);
    const unsigned long last = newest == NULL ? 0 : strtoul(newest, NULL, 10);
    struct tm utc;
    char when[24];

    (void)gmtime_r(&seconds, &utc);
    (void)strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &utc);
    (void)snprintf(manifest->id, sizeof manifest->id, "%08lu-%s", (last + 1) % NUMBERS, when);
}

void
manifest_begin(struct manifest *manifest, const char *data, int64_t now_ms)
{
    char host[HOST_BYTES] = "";

    (void)gethostname(host, sizeof host - 1);      /* a name for people */
    *manifest = (struct manifest){ .data = bytes_dup(bytes_of(data)), .host = bytes_dup(bytes_of(host)), .started_ms = now_ms, .touched_ms = now_ms };
}

void
manifest_fini(struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->groups_count; i++)
        free(manifest->groups[i].name);
    free(manifest->groups);
    free(manifest->recent);
    free(manifest->data);
    free(manifest->host);
    *manifest = (struct manifest){ 0 };
}

void
manifest_group(struct manifest *manifest, struct group *group)
{
    if (manifest->groups_count == manifest->groups_cap) {
        manifest->groups_cap = manifest->groups_cap == 0 ? 64 : manifest->groups_cap * 2;
        manifest->groups = realloc(manifest->groups, manifest->groups_cap * sizeof manifest->groups[0]);
        assert(manifest->groups != NULL);
    }
    manifest->files += group->files;
    manifest->bytes += group->bytes;
    manifest->groups[manifest->groups_count++] = *group;
    *group = (struct group){ 0 };
}

const struct group *
manifest_find(const struct manifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->groups_count; i++)
        if (strcmp(manifest->groups[i].name, name) == 0)
            return &manifest->groups[i];
    return NULL;
}

void
manifest_recent(struct manifest *manifest, const struct ref *ref)
{
    if (manifest->recent_count == manifest->recent_cap) {
        manifest->recent_cap = manifest->recent_cap == 0 ? 64 : manifest->recent_cap * 2;
        manifest->recent = realloc(manifest->recent, manifest->recent_cap * sizeof manifest->recent[0]);
        assert(manifest->recent != NULL);
    }
    manifest->recent[manifest->recent_count++] = *ref;
}

/* ---- bytes --------------------------------------------------------------------------------------------------------------- */

static json_t *
ref_json(const struct ref *ref)
{
    char hex[SUM_HEX_BYTES];

    if (ref->len == 0)
        return json_null();
    hex_print(ref->sum, SUM_BYTES, hex);
    return json_pack("[s, I, I, s]", ref->pack->id, (json_int_t)ref->at, (json_int_t)ref->len, hex);
}

static json_t *
packs_json(const struct packs *packs)
{
    json_t *out = json_array();
    struct pack *pack;
    size_t cursor = 0;

    while (packs_next(packs, &cursor, &pack)) {
        char hex[SUM_HEX_BYTES];

        if (!pack->is_there || !pack->is_known || (pack->used_bytes == 0 && !pack->is_new))
            continue;
        hex_print(pack->sum, SUM_BYTES, hex);
        (void)json_array_append_new(out, json_pack("[s, I, s, I]", pack->id, (json_int_t)pack->bytes, hex, (json_int_t)pack->used_bytes));
    }
    return out;
}

void
manifest_pack(const struct manifest *m, const struct packs *packs, struct buf *out)
{
    json_t *groups = json_array(), *recent = json_array(), *whole;
    uint8_t sum[SUM_BYTES];
    char hex[SUM_HEX_BYTES];
    char *text;

    for (size_t i = 0; i < m->groups_count; i++) {
        const struct group *g = &m->groups[i];

        (void)json_array_append_new(groups, json_pack("[s, I, I, o]", g->name, (json_int_t)g->files, (json_int_t)g->bytes, ref_json(&g->list)));
    }
    for (size_t i = 0; i < m->recent_count; i++)
        (void)json_array_append_new(recent, ref_json(&m->recent[i]));
    whole = json_pack("{s:i, s:s, s:s, s:s?, s:s?, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:o, s:o, s:o}", "format", BACKUP_FORMAT, "id", m->id,
                      "version", DORMOUSE_VERSION, "data", m->data, "host", m->host, "started_ms", (json_int_t)m->started_ms, "cut_ms",
                      (json_int_t)m->cut_ms, "touched_ms", (json_int_t)m->touched_ms, "live", (int)m->is_live, "files", (json_int_t)m->files,
                      "bytes", (json_int_t)m->bytes, "written_bytes", (json_int_t)m->written_bytes, "groups", groups, "recent", recent,
                      "packs", packs_json(packs));
    assert(whole != NULL);
    text = json_dumps(whole, JSON_COMPACT);
    assert(text != NULL);
    sum_of(bytes_of(text), sum);
    hex_print(sum, SUM_BYTES, hex);
    buf_printf(out, "%s\n%s\n", text, hex);
    free(text);
    json_decref(whole);
}

/* The JSON text of BYTES, when its sum is right. */
static bool
sum_holds(struct bytes bytes, struct bytes *out_text)
{
    const uint8_t *end = bytes.len == 0 ? NULL : memchr(bytes.data, '\n', bytes.len);
    uint8_t sum[SUM_BYTES];
    char hex[SUM_HEX_BYTES];

    if (end == NULL || bytes.len != (size_t)(end - bytes.data) + 1 + SUM_HEX_BYTES || bytes.data[bytes.len - 1] != '\n')
        return false;
    *out_text = bytes_from(bytes.data, (size_t)(end - bytes.data));
    sum_of(*out_text, sum);
    hex_print(sum, SUM_BYTES, hex);
    return memcmp(hex, end + 1, SUM_HEX_BYTES - 1) == 0;
}

static bool
ref_take(struct ref *ref, const json_t *json, struct packs *packs)
{
    *ref = (struct ref){ 0 };
    return json_is_null(json) || ref_unpack(ref, json, packs);
}

static bool
packs_take(const json_t *list, struct packs *packs)
{
    const json_t *row;
    size_t i;

    json_array_foreach ((json_t *)(uintptr_t)list, i, row) {
        const char *id = json_string_value(json_array_get(row, 0));
        struct pack *pack = id == NULL ? NULL : packs_get(packs, id);
        const json_int_t bytes = json_integer_value(json_array_get(row, 1)), used = json_integer_value(json_array_get(row, 3));

        if (pack == NULL || bytes <= 0 || used < 0 || !hex_parse(json_string_value(json_array_get(row, 2)), pack->sum, SUM_BYTES))
            return false;
        pack->bytes = (uint64_t)bytes;
        pack->is_known = true;
        pack->is_thin = (uint64_t)used < (uint64_t)bytes / THIN_DIVISOR;
    }
    return true;
}

static bool
groups_take(struct manifest *m, const json_t *list, struct packs *packs)
{
    const json_t *row;
    size_t i;

    json_array_foreach ((json_t *)(uintptr_t)list, i, row) {
        const char *name = json_string_value(json_array_get(row, 0));
        struct group group = { 0 };

        if (name == NULL || !ref_take(&group.list, json_array_get(row, 3), packs))
            return false;
        group.name = bytes_dup(bytes_of(name));
        group.files = (uint64_t)json_integer_value(json_array_get(row, 1));
        group.bytes = (uint64_t)json_integer_value(json_array_get(row, 2));
        manifest_group(m, &group);
    }
    return true;
}

static bool
fields_take(struct manifest *m, const json_t *json, struct packs *packs)
{
    const char *id = json_string_value(json_object_get(json, "id"));
    const char *data = json_string_value(json_object_get(json, "data")), *host = json_string_value(json_object_get(json, "host"));
    const json_t *recent = json_object_get(json, "recent"), *row;
    size_t i;

    if (id == NULL || strlen(id) >= sizeof m->id || !packs_take(json_object_get(json, "packs"), packs) ||
        !groups_take(m, json_object_get(json, "groups"), packs))
        return false;
    (void)snprintf(m->id, sizeof m->id, "%s", id);
    m->data = bytes_dup(bytes_of(data));
    m->host = bytes_dup(bytes_of(host));
    m->started_ms = json_integer_value(json_object_get(json, "started_ms"));
    m->cut_ms = json_integer_value(json_object_get(json, "cut_ms"));
    m->touched_ms = json_integer_value(json_object_get(json, "touched_ms"));
    m->is_live = json_is_true(json_object_get(json, "live"));
    m->written_bytes = (uint64_t)json_integer_value(json_object_get(json, "written_bytes"));
    json_array_foreach ((json_t *)(uintptr_t)recent, i, row) {
        struct ref ref;

        if (!ref_take(&ref, row, packs) || ref.len == 0)
            return false;
        manifest_recent(m, &ref);
    }
    return true;
}

bool
manifest_unpack(struct manifest *out_manifest, struct bytes bytes, struct packs *packs, struct err *err)
{
    struct bytes text;
    json_t *json;
    bool ok;

    *out_manifest = (struct manifest){ 0 };
    if (!sum_holds(bytes, &text))
        return err_set(err, ERR_CORRUPT, 0, "it is damaged: its bytes are not those that were written");
    json = json_loadb((const char *)text.data, text.len, 0, NULL);
    if (json_integer_value(json_object_get(json, "format")) > BACKUP_FORMAT) {
        json_decref(json);
        return err_set(err, ERR_VERSION, 0, "it was written by a later Dormouse; use that one");
    }
    ok = json_is_object(json) && fields_take(out_manifest, json, packs);
    json_decref(json);
    if (ok)
        return true;
    manifest_fini(out_manifest);
    return err_set(err, ERR_CORRUPT, 0, "it is no manifest that Dormouse writes");
}

/* ---- in the target --------------------------------------------------------------------------------------------------------- */

void
backup_name(const char *id, char out[BACKUP_ID_BYTES + 16])
{
    (void)snprintf(out, BACKUP_ID_BYTES + 16, "backups/%.*s", BACKUP_ID_BYTES - 1, id);
}

bool
manifest_write(const struct manifest *manifest, const struct packs *packs, struct target *target, const char *name, struct err *err)
{
    struct buf text = { 0 };
    bool ok;

    manifest_pack(manifest, packs, &text);
    ok = text.len > MANIFEST_BYTES_MAX ? err_set(err, ERR_LIMIT, 0, "The manifest has more than %u bytes.", MANIFEST_BYTES_MAX)
                                       : target_put(target, name, buf_view(&text), err);
    buf_fini(&text);
    return ok;
}

bool
manifest_read(struct manifest *out_manifest, struct packs *packs, struct target *target, const char *name, struct err *err)
{
    struct buf text = { 0 };
    bool ok = target_get(target, name, (struct span){ 0, 0 }, MANIFEST_BYTES_MAX, &text, err);

    if (ok && !manifest_unpack(out_manifest, buf_view(&text), packs, err))
        ok = err_add(err, "'%s/%s'", target_place(target), name);
    buf_fini(&text);
    return ok;
}

struct ids { char **id; size_t count, cap; };

static void
on_backup(void *owner, const char *name, uint64_t bytes)
{
    struct ids *ids = owner;
    const char *slash = strrchr(name, '/');

    if (slash == NULL || strlen(slash + 1) >= BACKUP_ID_BYTES || strspn(slash + 1, "0123456789abcdefTZ-") != strlen(slash + 1))
        return;
    if (ids->count == ids->cap) {
        ids->cap = ids->cap == 0 ? 64 : ids->cap * 2;
        ids->id = realloc(ids->id, ids->cap * sizeof ids->id[0]);
        assert(ids->id != NULL);
    }
    ids->id[ids->count++] = bytes_dup(bytes_of(slash + 1));
}

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool
backups_list(struct target *target, char ***out_ids, size_t *out_count, struct err *err)
{
    struct ids ids = { 0 };
    const bool ok = target_list(target, "backups/", on_backup, &ids, err);

    if (!ok)
        backups_free(&ids.id, ids.count);
    else if (ids.count > 1)
        qsort(ids.id, ids.count, sizeof ids.id[0], by_text);
    *out_ids = ids.id;
    *out_count = ok ? ids.count : 0;
    return ok;
}

void
backups_free(char ***ids, size_t count)
{
    char **it = STEAL(*ids);

    for (size_t i = 0; i < count; i++)
        free(it[i]);
    free(it);
}
