/* backup_list — see backup_list.h. */
#include "src/backup/backup_list.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "src/backup/backup_limits.h"

#define PERMISSIONS 0777u

void
list_push(struct list *list, struct entry *entry)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 64 : list->cap * 2;
        list->entries = realloc(list->entries, list->cap * sizeof list->entries[0]);
        assert(list->entries != NULL);
    }
    list->entries[list->count++] = *entry;
    *entry = (struct entry){ 0 };
}

static int
by_path(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

void
list_sort(struct list *list)
{
    if (list->count > 1)
        qsort(list->entries, list->count, sizeof list->entries[0], by_path);
}

void
list_cut(struct list *list, size_t count)
{
    while (list->count > count)
        entry_fini(&list->entries[--list->count]);
}

const struct entry *
list_find(const struct list *list, const char *path)
{
    const struct entry wanted = { .path = (char *)(uintptr_t)path };

    return list->count == 0 ? NULL : bsearch(&wanted, list->entries, list->count, sizeof list->entries[0], by_path);
}

void
entry_fini(struct entry *entry)
{
    free(entry->path);
    free(entry->refs);
    *entry = (struct entry){ 0 };
}

void
list_fini(struct list *list)
{
    list_cut(list, 0);
    free(list->entries);
    *list = (struct list){ 0 };
}

static void
refs_reserve(struct entry *entry, uint32_t count)
{
    entry->refs = realloc(entry->refs, count * sizeof entry->refs[0]);
    assert(entry->refs != NULL);
}

void
entry_ref(struct entry *entry, const struct ref *ref)
{
    if ((entry->refs_count & (entry->refs_count - 1)) == 0)      /* 0 or a power of two: full */
        refs_reserve(entry, entry->refs_count == 0 ? 1 : entry->refs_count * 2);
    entry->refs[entry->refs_count++] = *ref;
}

void
entry_reuse(struct entry *entry, const struct entry *from)
{
    entry->size = from->size;
    for (uint32_t i = 0; i < from->refs_count; i++)
        entry_ref(entry, &from->refs[i]);
}

bool
entry_is_usable(const struct entry *entry)
{
    for (uint32_t i = 0; i < entry->refs_count; i++)
        if (!packs_is_usable(&entry->refs[i]))
            return false;
    return true;
}

void
list_use(const struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        for (uint32_t j = 0; j < list->entries[i].refs_count; j++)
            packs_use(&list->entries[i].refs[j]);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------------- */

static json_t *
ref_json(const struct ref *ref)
{
    char hex[SUM_HEX_BYTES];

    hex_print(ref->sum, SUM_BYTES, hex);
    return json_pack("[s, I, I, s]", ref->pack->id, (json_int_t)ref->at, (json_int_t)ref->len, hex);
}

void
list_pack(const struct list *list, struct buf *out)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct entry *e = &list->entries[i];
        json_t *refs = json_array();
        json_t *line;
        char *text;

        for (uint32_t j = 0; j < e->refs_count; j++)
            (void)json_array_append_new(refs, ref_json(&e->refs[j]));
        line = json_pack("[s, I, i, I, I, I, b, o]", e->path, (json_int_t)e->size, (int)e->mode, (json_int_t)e->mtime_ns, (json_int_t)e->ctime_ns,
                         (json_int_t)e->inode, (int)e->is_fresh, refs);
        assert(line != NULL);              /* paths that are no UTF-8 were left out by the source */
        text = json_dumps(line, JSON_COMPACT);
        assert(text != NULL);
        buf_append_str(out, text);
        buf_append_byte(out, '\n');
        free(text);
        json_decref(line);
    }
}

bool
path_is_ours(const char *path)
{
    const bool is_placed = strncmp(path, "apps/", 5) == 0 || strncmp(path, "journal/", 8) == 0;

    if (strcmp(path, "control.json") == 0)
        return true;
    if (!is_placed || strlen(path) >= PATH_BYTES / 2)
        return false;
    for (const char *at = path; at != NULL; at = strchr(at, '/')) {
        size_t len;

        at += *at == '/';
        len = strcspn(at, "/");
        if (len == 0 || (len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.'))
            return false;
    }
    return true;
}

bool
ref_unpack(struct ref *ref, const json_t *json, struct packs *packs)
{
    const char *id = json_string_value(json_array_get(json, 0));
    const json_int_t at = json_integer_value(json_array_get(json, 1)), len = json_integer_value(json_array_get(json, 2));

    ref->pack = id == NULL ? NULL : packs_get(packs, id);
    ref->at = (uint32_t)at;
    ref->len = (uint32_t)len;
    return ref->pack != NULL && at >= 0 && at <= UINT32_MAX && len > 0 && len <= LIST_BYTES_MAX &&
           hex_parse(json_string_value(json_array_get(json, 3)), ref->sum, SUM_BYTES);
}

static bool
entry_unpack(struct entry *entry, const json_t *json, struct packs *packs)
{
    const char *path = json_string_value(json_array_get(json, 0));
    const json_t *refs = json_array_get(json, 7);
    const json_int_t size = json_integer_value(json_array_get(json, 1));
    json_int_t sum = 0;

    if (path == NULL || !path_is_ours(path) || size < 0 || !json_is_array(refs))
        return false;
    entry->path = bytes_dup(bytes_of(path));
    entry->size = (uint64_t)size;
    entry->mode = (uint32_t)json_integer_value(json_array_get(json, 2)) & PERMISSIONS;
    entry->mtime_ns = json_integer_value(json_array_get(json, 3));
    entry->ctime_ns = json_integer_value(json_array_get(json, 4));
    entry->inode = (uint64_t)json_integer_value(json_array_get(json, 5));
    entry->is_fresh = !json_is_false(json_array_get(json, 6));
    for (size_t i = 0; i < json_array_size(refs); i++) {
        struct ref ref;

        if (!ref_unpack(&ref, json_array_get(refs, i), packs))
            return false;
        entry_ref(entry, &ref);
        sum += ref.len;
    }
    return sum == size;
}

bool
list_unpack(struct list *out_list, struct bytes bytes, struct packs *packs, struct err *err)
{
    struct bytes rest = bytes;
    bool ok = true;

    while (ok && rest.len > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.len);
        const size_t len = end == NULL ? rest.len : (size_t)(end - rest.data);
        json_t *line = json_loadb((const char *)rest.data, len, 0, NULL);
        struct entry entry = { 0 };

        ok = end != NULL && json_is_array(line) && entry_unpack(&entry, line, packs);
        json_decref(line);
        if (!ok) {
            entry_fini(&entry);
            break;
        }
        list_push(out_list, &entry);
        rest = bytes_from(end + 1, rest.len - len - 1);
    }
    list_sort(out_list);                   /* ours is; who looks something up relies on it */
    if (ok)
        return true;
    list_fini(out_list);
    return err_set(err, ERR_CORRUPT, 0, "a list of files in the backup is not one that Dormouse writes");
}
