/* asset_files — see the header. */
#include "src/gateway/asset_files.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/map.h"
#include "lib/sys/sys.h"
#include "lib/wire/http_reader.h"
#include "lib/wire/http_writer.h"
#include "lib/wire/mime.h"

/* ---- the index --------------------------------------------------------------------------------------------------- */
struct folders { /* still to be read */
    char **paths;
    size_t count;
};

static void
folder_push(struct folders *f, char *path)
{
    f->paths = realloc(f->paths, (f->count + 1) * sizeof *f->paths);
    assert(f->paths != NULL);
    f->paths[f->count++] = path;
}

static char *
join(const char *folder, const char *name)
{
    struct buf b = { 0 };
    char *path;

    if (folder[0] != 0)
        buf_printf(&b, "%s/", folder);
    buf_append_str(&b, name);
    path = bytes_dup(buf_view(&b));
    buf_fini(&b);
    return path;
}

static bool
entry_add(struct asset_config *c, struct folders *folders, const char *folder, int fd, const char *name,
          struct err *err)
{
    struct stat st;
    char *path;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || sys_fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return true;
    path = join(folder, name);
    if (S_ISDIR(st.st_mode)) {
        if (folders->count >= ASSET_FILES_MAX) {
            free(path);
            return err_set(err, ERR_LIMIT, 0, "more than %d folders of assets", ASSET_FILES_MAX);
        }
        folder_push(folders, path);
        return true;
    }
    if (S_ISREG(st.st_mode) && strlen(path) < ASSET_PATH_BYTES_MAX)
        (void)bmap_put(c->files, bytes_of(path), c); /* a set: any value but NULL */
    free(path);
    return bmap_count(c->files) <= ASSET_FILES_MAX ||
           err_set(err, ERR_LIMIT, 0, "more than %d assets in '%s'", ASSET_FILES_MAX, c->dir);
}

static bool
folder_read(struct asset_config *c, struct folders *folders, const char *folder, struct err *err)
{
    int fd = folder[0] == 0 ? sys_openat(c->dir_fd, ".", O_RDONLY | O_DIRECTORY, 0)
                            : sys_open_beneath(c->dir_fd, folder, O_RDONLY | O_DIRECTORY, 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    bool ok = true;

    if (dir == NULL) {
        (void)sys_close(fd);
        return err_set(err, ERR_IO, errno, "cannot read the assets folder '%s/%s'", c->dir, folder);
    }
    while (ok && (entry = readdir(dir)) != NULL)
        ok = entry_add(c, folders, folder, fd, entry->d_name, err);
    closedir(dir);
    return ok;
}

bool
asset_files_index(struct asset_config *c, struct err *err)
{
    struct folders folders = { 0 };
    bool ok = true;

    assert(c->files == NULL);
    c->files = bmap_create();
    folder_push(&folders, bytes_dup(BYTES_NONE));
    while (folders.count > 0) {
        char *folder = folders.paths[--folders.count];
        ok = ok && folder_read(c, &folders, folder, err);
        free(folder);
    }
    free(folders.paths);
    return ok;
}

void
asset_files_free(struct asset_config *c)
{
    bmap_destroy(&c->files);
}

/* ---- one request ------------------------------------------------------------------------------------------------- */
static bool
exists(void *files, const char *file)
{
    return bmap_get(files, bytes_of(file)) != NULL;
}

static void
add(struct buf *headers, const char *name, const char *value)
{
    buf_printf(headers, "%s\n%s\n", name, value);
}

/* Takes the header NAME out of the flat list. */
static void
header_drop(struct buf *headers, const char *name)
{
    struct bytes rest = buf_view(headers), found, value;
    struct buf kept = { 0 };

    while (http_header_next(&rest, &found, &value))
        if (!bytes_equal_str(found, name))
            buf_printf(&kept, "%.*s\n%.*s\n", (int)found.len, (const char *)found.data, (int)value.len,
                       (const char *)value.data);
    buf_fini(headers);
    *headers = kept;
}

/* _headers: the first rule for a name replaces ours; later ones are added with a comma. */
static void
header_rules_apply(const struct asset_config *c, struct bytes path, struct buf *headers)
{
    for (size_t i = 0; i < c->header_rule_count; i++) {
        const struct asset_headers_rule *rule = &c->header_rules[i];
        bool is_first = true;
        if (!asset_pattern_match(rule->pattern, path, NULL, NULL))
            continue;
        for (size_t k = 0; k < i && is_first; k++)
            is_first = strcmp(c->header_rules[k].name, rule->name) != 0 ||
                       !asset_pattern_match(c->header_rules[k].pattern, path, NULL, NULL);
        if (is_first || rule->value == NULL)
            header_drop(headers, rule->name);
        if (rule->value != NULL)
            add(headers, rule->name, rule->value); /* two lines mean the same as one with a comma */
    }
}

/* One range of bytes (RFC 9110 section 14.1.2). -1: not satisfiable, 0: to be ignored, 1: yes. */
static int
range_parse(struct bytes value, uint64_t size, uint64_t *out_from, uint64_t *out_length)
{
    struct bytes first, last;
    const uint8_t *dash;
    uint64_t from = 0, to;

    if (!bytes_has_prefix(value, BYTES_LIT("bytes=")) || memchr(value.data, ',', value.len) != NULL)
        return 0;
    value = bytes_from(value.data + 6, value.len - 6);
    dash = memchr(value.data, '-', value.len);
    if (dash == NULL)
        return 0;
    first = bytes_from(value.data, (size_t)(dash - value.data));
    last = bytes_from(dash + 1, value.len - first.len - 1);
    if (first.len == 0) {
        if (!http_number(last, &to))
            return 0;
        if (to == 0 || size == 0)
            return -1;
        *out_length = to < size ? to : size;
        *out_from = size - *out_length;
        return 1;
    }
    if (!http_number(first, &from) || (last.len > 0 && !http_number(last, &to)) || (last.len > 0 && to < from))
        return 0;
    if (from >= size)
        return -1;
    *out_from = from;
    *out_length = last.len > 0 && to < size ? to - from + 1 : size - from;
    return 1;
}

static bool
etag_matches(struct bytes list, const char *etag)
{
    char weak[64];

    snprintf(weak, sizeof weak, "W/%s", etag);
    return bytes_equal_str(list, "*") || http_list_has(list, etag) || http_list_has(list, weak);
}

/* Conditions and ranges; the file is complete otherwise. */
static void
conditions_apply(const struct asset_request *q, const char *etag, struct asset_result *a)
{
    struct bytes value, if_range;
    uint64_t from, length, size = a->length;
    char text[80];

    if (a->status != 200)
        return;
    if (http_header_find(q->headers, "if-none-match", &value) && etag_matches(value, etag)) {
        a->status = 304;
        a->length = 0;
        return;
    }
    if (!http_header_find(q->headers, "range", &value) || !bytes_equal_str(q->method, "GET") ||
        (http_header_find(q->headers, "if-range", &if_range) && !bytes_equal_str(if_range, etag)))
        return;
    switch (range_parse(value, size, &from, &length)) {
    case 1:
        a->status = 206;
        a->at = from;
        a->length = length;
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)from,
                 (unsigned long long)(from + length - 1), (unsigned long long)size);
        add(&a->headers, "content-range", text);
        break;
    case -1:
        a->status = 416;
        a->length = 0;
        snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
        add(&a->headers, "content-range", text);
        break;
    default:
        break;
    }
}

static bool
file_answer(const struct asset_config *c, const struct asset_request *q, const struct asset_answer *found,
            struct asset_result *a)
{
    const char *type = mime_of(bytes_of(found->file));
    char etag[48];
    struct stat st;
    int fd;

    fd = sys_open_beneath(c->dir_fd, found->file, O_RDONLY, 0);
    if (fd < 0 || sys_fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)sys_close(fd);
        return false; /* taken away since the index was made */
    }
    snprintf(etag, sizeof etag, "\"%llx-%llx\"",
             (unsigned long long)((int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec),
             (unsigned long long)st.st_size);
    memset(a, 0, sizeof *a);
    a->fd = fd;
    a->status = found->status;
    a->length = (uint64_t)st.st_size;
    if (type != NULL)
        add(&a->headers, "content-type", type);
    add(&a->headers, "etag", etag);
    add(&a->headers, "cache-control", "public, max-age=0, must-revalidate");
    add(&a->headers, "accept-ranges", "bytes");
    conditions_apply(q, etag, a);
    header_rules_apply(c, q->path, &a->headers);
    if (a->length == 0 || bytes_equal_str(q->method, "HEAD")) {
        (void)sys_close(a->fd);
        a->fd = -1;
    }
    return true;
}

bool
asset_find(const struct asset_config *c, const struct asset_request *q, struct asset_result *a)
{
    struct asset_answer found = { 0 };
    enum asset_verdict verdict = asset_decide(c, q->path, q->with_not_found, exists, c->files, &found);
    bool ok = false;

    if (verdict == ASSET_FILE) {
        ok = file_answer(c, q, &found, a);
    } else if (verdict == ASSET_REDIRECT) {
        memset(a, 0, sizeof *a);
        a->fd = -1;
        a->status = found.status;
        buf_append_str(&a->headers, "location\n");
        buf_append_bytes(&a->headers, buf_view(&found.location));
        if (memchr(found.location.data, '?', found.location.len) == NULL)
            buf_append_bytes(&a->headers, q->query);
        buf_append_byte(&a->headers, '\n');
        ok = true;
    }
    buf_fini(&found.location);
    return ok;
}
