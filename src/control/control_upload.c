/*
 * control_upload — one deploy on its way to the disk; see control_disk.h.
 *
 * Files arrive in a folder of their own, deploys/.incoming-HASH, which takes the deploy's name by one rename at the end.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "lib/sys/sys.h"
#include "src/control/control_apps.h"
#include "src/control/control_disk.h"
#include "src/control/control_files.h"

enum { SHA256_HEX_BYTES = 64 };

struct upload {
    const struct disk *disk;       /* borrowed: lives as long as the room */
    char               app[APP_NAME_MAX_BYTES + 1];
    char               hash[HASH_BYTES_MAX + 1];
    json_t            *files;      /* the client's list, owned reference */
    json_t            *need;       /* indexes into files, owned reference */
    size_t             next;       /* in need: the file that the next byte belongs to */
    uint64_t           left_bytes; /* of that file */
    int                folder;     /* the incoming folder; -1 when the deploy is there already */
    int                fd;         /* the file being written, -1 between files */
    EVP_MD_CTX        *digest;
};

bool
path_is_valid(struct bytes path)
{
    size_t part = 0;

    if (path.len == 0 || path.len > DEPLOY_PATH_MAX_BYTES)
        return false;
    for (size_t i = 0; i <= path.len; i++) {
        if (i < path.len && path.data[i] != '/') {
            if (path.data[i] < 0x20 || path.data[i] == 0x7f)
                return false;
            continue;
        }
        if (i == part || i - part > DEPLOY_PART_MAX_BYTES)
            return false;
        if (path.data[part] == '.' && (i - part == 1 || (i - part == 2 && path.data[part + 1] == '.')))
            return false;
        part = i + 1;
    }
    return true;
}

static const json_t *
upload_file(const struct upload *up, size_t index)
{
    return json_array_get(up->files, index);
}

static const char *
file_path(const json_t *file)
{
    return json_string_value(json_object_get(file, "path"));
}

static uint64_t
file_bytes(const json_t *file)
{
    return (uint64_t)json_integer_value(json_object_get(file, "bytes"));
}

static bool
hex_is_sha256(const char *text)
{
    return text != NULL && strlen(text) == SHA256_HEX_BYTES && hash_is_valid(bytes_of(text));
}

/* Only what a deploy is made of: our three files, and assets. */
static bool
file_check(const json_t *file, struct err *err)
{
    static const char *const ours[] = { "bundle.js", "bundle.js.map", "manifest.json" };
    const char *path = file_path(file);
    json_int_t bytes = json_integer_value(json_object_get(file, "bytes"));
    bool known = false;

    if (path == NULL || !json_is_integer(json_object_get(file, "bytes")) ||
        !hex_is_sha256(json_string_value(json_object_get(file, "sha256"))))
        return err_set(err, ERR_MALFORMED, 0, "a file of a deploy needs 'path', 'bytes' and 'sha256'");
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        known = known || strcmp(path, ours[i]) == 0;
    if (!known && (strncmp(path, "assets/", 7) != 0 || !path_is_valid(bytes_of(path))))
        return err_set(err, ERR_MALFORMED, 0, "'%s' is no file of a deploy", path);
    if (bytes < 0 || (uint64_t)bytes > DEPLOY_FILE_MAX_BYTES)
        return err_set(err, ERR_LIMIT, 0, "'%s' has %lld bytes; at most %llu are taken", path, (long long)bytes, DEPLOY_FILE_MAX_BYTES);
    if (strcmp(path, "manifest.json") == 0 && bytes > (json_int_t)MANIFEST_MAX_BYTES)
        return err_set(err, ERR_LIMIT, 0, "the manifest has %lld bytes; at most %u are taken", (long long)bytes, MANIFEST_MAX_BYTES);
    return true;
}

static bool
files_check(const json_t *files, struct err *err)
{
    uint64_t total = 0;
    bool has_manifest = false;
    size_t i;
    json_t *file;

    if (!json_is_array(files) || json_array_size(files) > DEPLOY_FILES_MAX)
        return err_set(err, ERR_LIMIT, 0, "a deploy lists at most %d files", DEPLOY_FILES_MAX);
    json_array_foreach ((json_t *)files, i, file) {
        if (!file_check(file, err))
            return false;
        total += file_bytes(file);
        has_manifest = has_manifest || strcmp(file_path(file), "manifest.json") == 0;
    }
    if (total > DEPLOY_BYTES_MAX)
        return err_set(err, ERR_LIMIT, 0, "a deploy has at most %llu bytes, not %llu", DEPLOY_BYTES_MAX, (unsigned long long)total);
    return has_manifest || err_set(err, ERR_MALFORMED, 0, "the deploy lists no manifest.json");
}

/* The list as it is kept beside a deploy: without the client's own paths. */
static json_t *
files_plain(const json_t *files)
{
    json_t *out = json_array(), *file;
    size_t i;

    json_array_foreach ((json_t *)files, i, file)
        (void)json_array_append_new(out, json_pack("{s:O, s:O, s:O}", "path", json_object_get(file, "path"), "bytes",
                                                   json_object_get(file, "bytes"), "sha256", json_object_get(file, "sha256")));
    return out;
}

/* The list kept beside a deploy, or NULL. */
static json_t *
deploy_files(const struct disk *disk, const char *app, const char *hash)
{
    char path[PATH_BYTES];
    struct buf text = { 0 };
    struct err ignored = { 0 };
    json_t *list = NULL;

    path_print(path, "apps/%s/deploys/%s/files.json", app, hash);
    if (file_read(disk->fd, path, ADMIN_LINE_MAX_BYTES, &text, &ignored))
        list = json_loadb((const char *)text.data, text.len, 0, NULL);
    buf_fini(&text);
    return list;
}

/* Makes the folders that lead to PATH, beneath the incoming folder. */
static bool
folders_make(const struct upload *up, const char *path, struct err *err)
{
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        char folder[PATH_BYTES];

        path_print(folder, "%.*s", (int)(slash - path), path);
        if (!folder_make(up->folder, folder, err))
            return false;
    }
    return true;
}

/* Takes the file from the deploy before, when it is the same one there. A failure only means that it must be sent. */
static bool
file_link(const struct upload *up, const char *base, const json_t *known, const json_t *file)
{
    const char *path = file_path(file);
    json_t *old = json_object_get(known, path);
    char from[PATH_BYTES];

    if (old == NULL || strncmp(path, "assets/", 7) != 0 || !json_equal(old, json_object_get(file, "sha256")))
        return false;
    path_print(from, "apps/%s/deploys/%s/%s", up->app, base, path);
    return linkat(up->disk->fd, from, up->folder, path, 0) == 0;
}

static bool
files_place(struct upload *up, const char *base, uint64_t *out_bytes, struct err *err)
{
    json_t *list = base[0] != '\0' ? deploy_files(up->disk, up->app, base) : NULL, *known = json_object(), *file;
    bool ok = true;
    size_t i;

    json_array_foreach (list, i, file)
        if (file_path(file) != NULL)
            (void)json_object_set(known, file_path(file), json_object_get(file, "sha256"));
    json_array_foreach (up->files, i, file) {
        ok = ok && folders_make(up, file_path(file), err);
        if (!ok || file_link(up, base, known, file))
            continue;
        (void)json_array_append_new(up->need, json_integer((json_int_t)i));
        *out_bytes += file_bytes(file);
    }
    json_decref(known);
    json_decref(list);
    return ok;
}

bool
upload_begin(struct upload **out_upload, const struct disk *disk, const char *app, const char *hash, const char *base,
             const json_t *files, json_t **out_need, uint64_t *out_bytes, struct err *err)
{
    struct upload *up;
    json_t *there, *plain;
    char path[PATH_BYTES];
    bool ok;

    assert(app_name_is_valid(bytes_of(app)));
    assert(hash_is_valid(bytes_of(hash)));
    if (!files_check(files, err) || !disk_app_prepare(disk, app, err))
        return false;
    up = calloc(1, sizeof *up);
    assert(up != NULL);
    *up = (struct upload){ .disk = disk, .folder = -1, .fd = -1, .need = json_array(), .digest = EVP_MD_CTX_new() };
    (void)snprintf(up->app, sizeof up->app, "%s", app);
    (void)snprintf(up->hash, sizeof up->hash, "%s", hash);
    *out_bytes = 0;
    plain = files_plain(files);
    up->files = plain;
    there = deploy_files(disk, app, hash);
    if (there != NULL) {
        ok = json_equal(there, plain) || err_set(err, ERR_EXISTS, 0, "another deploy of '%s' has the hash %s", app, hash);
    } else {
        path_print(path, "apps/%s/deploys/" INCOMING_PREFIX "%s", app, hash);
        folder_remove(disk->fd, path);
        ok = folder_make(disk->fd, path, err);
        up->folder = ok ? sys_openat(disk->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0) : -1;
        ok = ok && (up->folder >= 0 || err_set(err, ERR_IO, errno, "open '%s'", path)) && files_place(up, base, out_bytes, err);
    }
    json_decref(there);
    if (!ok) {
        upload_abandon(&up);
        return false;
    }
    *out_need = json_incref(up->need);
    *out_upload = up;
    return true;
}

static bool
file_start(struct upload *up, struct err *err)
{
    const json_t *file = upload_file(up, (size_t)json_integer_value(json_array_get(up->need, up->next)));

    up->fd = sys_open_beneath(up->folder, file_path(file), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (up->fd < 0)
        return err_set(err, ERR_IO, errno, "create '%s'", file_path(file));
    up->left_bytes = file_bytes(file);
    return EVP_DigestInit_ex(up->digest, EVP_sha256(), NULL) == 1 || err_set(err, ERR_IO, 0, "SHA-256 is not available");
}

static bool
file_end(struct upload *up, struct err *err)
{
    const json_t *file = upload_file(up, (size_t)json_integer_value(json_array_get(up->need, up->next)));
    const char *expected = json_string_value(json_object_get(file, "sha256"));
    uint8_t sum[EVP_MAX_MD_SIZE];
    char hex[SHA256_HEX_BYTES + 1];
    unsigned int len = 0;
    int status = sys_fsync(up->fd);

    (void)sys_close(STEAL_FD(up->fd));
    if (status != 0)
        return err_set(err, errno == ENOSPC ? ERR_DISK_FULL : ERR_IO, errno, "sync '%s'", file_path(file));
    if (EVP_DigestFinal_ex(up->digest, sum, &len) != 1 || len != SHA256_HEX_BYTES / 2)
        return err_set(err, ERR_IO, 0, "SHA-256 failed");
    for (size_t i = 0; i < len; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    if (strcmp(hex, expected) != 0)
        return err_set(err, ERR_MALFORMED, 0, "'%s' changed while it was sent: deploy again", file_path(file));
    up->next++;
    return true;
}

/* Opens the next file, and finishes it at once when it is empty. */
static bool
files_advance(struct upload *up, struct err *err)
{
    while (up->next < json_array_size(up->need)) {
        if (up->fd < 0 && !file_start(up, err))
            return false;
        if (up->left_bytes > 0)
            return true;
        if (!file_end(up, err))
            return false;
    }
    return true;
}

bool
upload_bytes(struct upload *up, struct bytes data, struct err *err)
{
    while (data.len > 0) {
        size_t take;

        if (!files_advance(up, err))
            return false;
        if (up->fd < 0)
            return err_set(err, ERR_MALFORMED, 0, "more bytes than the deploy has");
        take = data.len < up->left_bytes ? data.len : (size_t)up->left_bytes;
        if (!sys_write_all(up->fd, data.data, take))
            return err_set(err, errno == ENOSPC ? ERR_DISK_FULL : ERR_IO, errno, "write a file of deploy %s", up->hash);
        (void)EVP_DigestUpdate(up->digest, data.data, take);
        up->left_bytes -= take;
        data = bytes_from(data.data + take, data.len - take);
    }
    return files_advance(up, err);
}

bool
upload_is_complete(const struct upload *up)
{
    return up->next == json_array_size(up->need);
}

bool
upload_finish(struct upload **upload, struct err *err)
{
    struct upload *up = *upload;
    char from[PATH_BYTES], to[PATH_BYTES];
    char *list;
    bool ok;

    if (up->folder < 0) {          /* it was there already */
        upload_abandon(upload);
        return true;
    }
    ok = files_advance(up, err);
    assert(!ok || upload_is_complete(up));
    list = json_dumps(up->files, JSON_COMPACT);
    assert(list != NULL);
    ok = ok && file_replace(up->folder, "files.json", bytes_of(list), err);
    free(list);
    path_print(from, "apps/%s/deploys/" INCOMING_PREFIX "%s", up->app, up->hash);
    path_print(to, "apps/%s/deploys/%s", up->app, up->hash);
    if (ok && sys_renameat(up->disk->fd, from, up->disk->fd, to) != 0)
        ok = err_set(err, ERR_IO, errno, "name the deploy '%s'", to);
    if (ok)
        (void)sys_close(STEAL_FD(up->folder));
    if (ok && !folder_sync_of(up->disk->fd, to)) {
        ok = err_set(err, ERR_IO, errno, "sync the folder of '%s'", to);
        folder_remove(up->disk->fd, to);   /* or the next try would take it for durable */
    }
    upload_abandon(upload);
    return ok;
}

void
upload_abandon(struct upload **upload)
{
    struct upload *up = STEAL(*upload);
    char path[PATH_BYTES];

    if (up == NULL)
        return;
    (void)sys_close(up->fd);
    if (up->folder >= 0) {
        (void)sys_close(up->folder);
        path_print(path, "apps/%s/deploys/" INCOMING_PREFIX "%s", up->app, up->hash);
        folder_remove(up->disk->fd, path);
    }
    EVP_MD_CTX_free(up->digest);
    json_decref(up->files);
    json_decref(up->need);
    free(up);
}
