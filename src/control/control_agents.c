/*
 * control_agents — see control_agents.h.
 *
 * The index: DATA/apps/APP/names/CLASS/ab holds one line per birth or death of an agent whose id begins with ab:
 * 64 hex digits, a space, the name as a JSON string, or "-" for a death, or nothing for an agent without a name. The last
 * line of an id counts.
 */
#include "src/control/control_agents.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/map.h"
#include "lib/sys/sys.h"
#include "src/control/control_apps.h"
#include "src/control/control_files.h"

enum { HEX_BYTES = 64 };

struct births {
    const struct disk *disk;
    struct bmap       *files;      /* path of an index file → struct buf of lines to append */
    size_t             count;
};

void
class_to_path(struct bytes class_name, char out[CLASS_PATH_BYTES])
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$-";
    size_t at = 0;

    assert(class_name.len <= NAME_MAX_BYTES);
    for (size_t i = 0; i < class_name.len; i++) {
        uint8_t c = class_name.data[i];

        if (c != '\0' && strchr(plain, c) != NULL)
            out[at++] = (char)c;
        else
            at += (size_t)snprintf(out + at, 4, "%%%02X", c);
    }
    out[at] = '\0';
}

struct births *
births_create(const struct disk *disk)
{
    struct births *b = calloc(1, sizeof *b);

    assert(b != NULL);
    b->disk = disk;
    b->files = bmap_create();
    return b;
}

void
births_destroy(struct births **births)
{
    struct births *b = *births;
    struct err ignored = { 0 };

    if (b == NULL)
        return;
    (void)births_write(b, &ignored);   /* names are hints */
    bmap_destroy(&b->files);
    free(STEAL(*births));
}

void
births_add(struct births *births, const char *app, const struct msg_AGENT_BORN *born)
{
    char path[PATH_BYTES], folder[CLASS_PATH_BYTES], hex[HEX_BYTES + 1];
    json_t *name = json_stringn((const char *)born->name.data, born->name.len);
    struct buf *lines;

    if (born->class_name.len == 0) {
        json_decref(name);
        return;
    }
    agent_id_to_hex(&born->agent, hex);
    class_to_path(born->class_name, folder);
    path_print(path, "apps/%s/names/%s/%.2s", app, folder, hex);
    lines = bmap_get(births->files, bytes_of(path));
    if (lines == NULL) {
        lines = calloc(1, sizeof *lines);
        assert(lines != NULL);
        (void)bmap_put(births->files, bytes_of(path), lines);
    }
    buf_append_str(lines, hex);
    if (born->deleted) {
        buf_append_str(lines, " -");
    } else if (name != NULL && born->name.len > 0) {
        char *quoted = json_dumps(name, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);   /* ASCII: no newline inside */

        assert(quoted != NULL);
        buf_append_byte(lines, ' ');
        buf_append_str(lines, quoted);
        free(quoted);
    }
    buf_append_byte(lines, '\n');
    json_decref(name);
    births->count++;
}

size_t
births_count(const struct births *births)
{
    return births->count;
}

static bool
index_append(const struct disk *disk, const char *path, struct bytes lines, struct err *err)
{
    char folder[PATH_BYTES];
    struct err problem = { 0 };
    struct stat info;

    if (sys_fstatat(disk->fd, path, &info, AT_SYMLINK_NOFOLLOW) == 0 && (uint64_t)info.st_size > NAMES_FILE_MAX_BYTES)
        return err_set(err, ERR_LIMIT, 0, "the index of names '%s' is full", path);
    if (file_append(disk->fd, path, lines, &problem))
        return true;
    path_print(folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    return folder_make(disk->fd, folder, err) && file_append(disk->fd, path, lines, err);
}

bool
births_write(struct births *births, struct err *err)
{
    struct bytes path;
    void *value;
    size_t cursor = 0;
    bool ok = true;

    while (bmap_next(births->files, &cursor, &path, &value)) {
        struct buf *lines = value;
        char *text = bytes_dup(path);

        ok = index_append(births->disk, text, buf_view(lines), ok ? err : NULL) && ok;
        free(text);
        (void)bmap_take(births->files, path);
        buf_fini(lines);
        free(lines);
    }
    births->count = 0;
    return ok;
}

/* ---- pages ------------------------------------------------------------------------------------------------------ */

/* Adds the entries of a folder that pass the test to NAMES, an object with a null for each. */
static void
folder_names(json_t *names, const struct disk *disk, const char *path, bool (*is_wanted)(const char *name))
{
    DIR *dir = folder_list(disk->fd, path);

    for (struct dirent *e = dir != NULL ? readdir(dir) : NULL; e != NULL; e = readdir(dir))
        if (is_wanted(e->d_name) && json_object_get(names, e->d_name) == NULL)
            (void)json_object_set_new(names, e->d_name, json_null());
    if (dir != NULL)
        (void)closedir(dir);
}

/* What either tree has below PATH: an agent's folder appears when it first rests, its line of the index with its first commit. */
static json_t *
tree_names(const struct disk *disk, const char *app, const char *below, bool (*is_wanted)(const char *name))
{
    json_t *names = json_object();
    char path[PATH_BYTES];

    path_print(path, "apps/%s/agents%s", app, below);
    folder_names(names, disk, path, is_wanted);
    path_print(path, "apps/%s/names%s", app, below);
    folder_names(names, disk, path, is_wanted);
    return names;
}

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of NAMES in order; borrowed from it. The caller frees the array. */
static const char **
names_sorted(json_t *names)
{
    size_t count = json_object_size(names), i = 0;
    const char **out = calloc(count + 1, sizeof *out);
    const char *key;
    json_t *value;

    assert(out != NULL);
    json_object_foreach(names, key, value)
        out[i++] = key;
    qsort(out, count, sizeof *out, by_text);
    return out;
}

static bool
is_class_folder(const char *name)
{
    return name[0] != '.' && strlen(name) < CLASS_PATH_BYTES;
}

static bool
is_hex_pair(const char *name)
{
    return strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2;
}

static bool
is_agent_folder(const char *name)
{
    return strlen(name) == HEX_BYTES && strspn(name, "0123456789abcdef") == HEX_BYTES;
}

/* The agents in one index file: {HEX: "name", or null}. */
static json_t *
index_read(const struct disk *disk, const char *app, const char *folder, const char *pair)
{
    json_t *names = json_object();
    char path[PATH_BYTES];
    struct buf text = { 0 };
    struct err ignored = { 0 };
    size_t at = 0;

    path_print(path, "apps/%s/names/%s/%s", app, folder, pair);
    if (!file_read(disk->fd, path, NAMES_FILE_MAX_BYTES, &text, &ignored))
        text.len = 0;
    while (at + HEX_BYTES < text.len) {
        const uint8_t *line = text.data + at, *end = memchr(line, '\n', text.len - at);
        size_t len = end != NULL ? (size_t)(end - line) : text.len - at;
        char hex[HEX_BYTES + 1];

        at += len + 1;
        if (len < HEX_BYTES)
            continue;              /* torn by a crash */
        memcpy(hex, line, HEX_BYTES);
        hex[HEX_BYTES] = '\0';
        if (len == HEX_BYTES + 2 && line[HEX_BYTES + 1] == '-')
            (void)json_object_del(names, hex);
        else if (len > HEX_BYTES + 1)
            (void)json_object_set_new(names, hex, json_loadb((const char *)line + HEX_BYTES + 1, len - HEX_BYTES - 1, JSON_DECODE_ANY, NULL));
        else if (json_object_get(names, hex) == NULL)
            (void)json_object_set_new(names, hex, json_null());
    }
    buf_fini(&text);
    return names;
}

struct page {
    const struct disk *disk;
    const char        *app;
    json_t            *agents;
    size_t             limit;
    bool               is_full;
};

/* Adds the agents of one hash folder whose ids come after AFTER ("" for all). */
static void
page_add_pair(struct page *page, const char *folder, const char *pair, const char *after)
{
    json_t *names = index_read(page->disk, page->app, folder, pair);
    char path[PATH_BYTES];
    const char **ids;

    path_print(path, "apps/%s/agents/%s/%s", page->app, folder, pair);
    folder_names(names, page->disk, path, is_agent_folder);
    ids = names_sorted(names);
    for (size_t i = 0; ids[i] != NULL && !page->is_full; i++) {
        json_t *row, *name;

        if (strcmp(ids[i], after) <= 0)
            continue;
        if (json_array_size(page->agents) == page->limit) {
            page->is_full = true;
            break;
        }
        row = json_pack("{s:s, s:s}", "class", folder, "id", ids[i]);
        name = json_object_get(names, ids[i]);
        if (json_is_string(name))
            (void)json_object_set(row, "name", name);
        (void)json_array_append_new(page->agents, row);
    }
    free(ids);
    json_decref(names);
}

static void
page_add_class(struct page *page, const char *folder, const char *after)
{
    char below[PATH_BYTES];
    json_t *list;
    const char **pairs;

    path_print(below, "/%s", folder);
    list = tree_names(page->disk, page->app, below, is_hex_pair);
    pairs = names_sorted(list);
    for (size_t i = 0; pairs[i] != NULL && !page->is_full; i++)
        if (strncmp(pairs[i], after, strlen(after) < 2 ? strlen(after) : 2) >= 0)
            page_add_pair(page, folder, pairs[i], after);
    free(pairs);
    json_decref(list);
}

/* "CLASS/HEX" → its parts. */
static bool
cursor_parse(const char *text, char folder[CLASS_PATH_BYTES], char hex[HEX_BYTES + 1], struct err *err)
{
    const char *slash = text != NULL ? strrchr(text, '/') : NULL;

    folder[0] = hex[0] = '\0';
    if (text == NULL)
        return true;
    if (slash == NULL || (size_t)(slash - text) >= CLASS_PATH_BYTES || !is_agent_folder(slash + 1))
        return err_set(err, ERR_MALFORMED, 0, "'after' must be a cursor of an earlier answer");
    memcpy(folder, text, (size_t)(slash - text));
    folder[slash - text] = '\0';
    memcpy(hex, slash + 1, HEX_BYTES + 1);
    return true;
}

json_t *
agents_page(const struct disk *disk, const struct agents_query *query, struct err *err)
{
    struct page page = { .disk = disk, .app = query->app, .limit = query->limit };
    char folder[CLASS_PATH_BYTES], hex[HEX_BYTES + 1];
    json_t *list, *last, *out;
    const char **classes;

    assert(app_name_is_valid(bytes_of(query->app)));
    assert(query->limit >= 1);
    assert(query->limit <= LISTING_PAGE_MAX);
    if (!cursor_parse(query->after, folder, hex, err))
        return NULL;
    page.agents = json_array();
    list = tree_names(disk, query->app, "", is_class_folder);
    classes = names_sorted(list);
    for (size_t i = 0; classes[i] != NULL && !page.is_full; i++) {
        int order = strcmp(classes[i], folder);

        if ((query->class_name != NULL && strcmp(classes[i], query->class_name) != 0) || order < 0)
            continue;
        page_add_class(&page, classes[i], order == 0 ? hex : "");
    }
    last = json_array_get(page.agents, json_array_size(page.agents) - 1);
    out = json_pack("{s:o}", "agents", page.agents);
    if (page.is_full)
        (void)json_object_set_new(out, "after", json_sprintf("%s/%s", json_string_value(json_object_get(last, "class")),
                                                             json_string_value(json_object_get(last, "id"))));
    free(classes);
    json_decref(list);
    return out;
}
