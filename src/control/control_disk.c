/*
 * control_disk — see control_disk.h. Uploads are in control_upload.c.
 */
#include "src/control/control_disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ipc/ipc_limits.h"
#include "lib/sys/sys.h"
#include "src/control/control_apps.h"
#include "src/control/control_files.h"
#include "src/control/control_limits.h"

#define STATE_FILE "control.json"
#define BUILT_FILE "built"

bool
disk_open(struct disk *disk, const char *data, struct err *err)
{
    disk->fd = sys_open(data, O_RDONLY | O_DIRECTORY, 0);
    if (disk->fd < 0)
        return err_set(err, ERR_IO, errno, "open the data folder '%s'", data);
    disk->data = strdup(data);
    assert(disk->data != NULL);
    if (!folder_make(disk->fd, "apps", err))
        return err_add(err, "data folder '%s'", data);
    return true;
}

void
disk_close(struct disk *disk)
{
    (void)sys_close(STEAL_FD(disk->fd));
    free(STEAL(disk->data));
}

bool
disk_state_read(const struct disk *disk, struct buf *out, struct err *err)
{
    struct err problem = { 0 };

    if (file_read(disk->fd, STATE_FILE, JSON_MAX_BYTES, out, &problem))
        return true;
    if (problem.sys_errno == ENOENT)
        return true;
    *err = problem;
    return false;
}

bool
disk_state_write(const struct disk *disk, const char *text, struct err *err)
{
    return file_replace(disk->fd, STATE_FILE, bytes_of(text), err);
}

bool
disk_app_prepare(const struct disk *disk, const char *app, struct err *err)
{
    static const char *const folders[] = { "", "/deploys", "/agents", "/names" };

    assert(app_name_is_valid(bytes_of(app)));
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        char path[PATH_BYTES];

        path_print(path, "apps/%s%s", app, folders[i]);
        if (!folder_make(disk->fd, path, err))
            return err_add(err, "app '%s'", app);
    }
    return true;
}

bool
disk_manifest_read(const struct disk *disk, const char *app, const char *hash, json_t **out, struct err *err)
{
    char path[PATH_BYTES];
    struct buf text = { 0 };
    json_error_t problem;
    bool ok;

    path_print(path, "apps/%s/deploys/%s/manifest.json", app, hash);
    ok = file_read(disk->fd, path, MANIFEST_MAX_BYTES, &text, err);
    if (ok) {
        *out = json_loadb((const char *)text.data, text.len, 0, &problem);
        ok = *out != NULL || err_set(err, ERR_MALFORMED, 0, "manifest: line %d: %s", problem.line, problem.text);
    }
    buf_fini(&text);
    return ok || err_add(err, "deploy '%s' of app '%s'", hash, app);
}

bool
disk_is_built(const struct disk *disk, const char *app, const char *hash, const char *engine)
{
    char path[PATH_BYTES];
    struct buf text = { 0 };
    struct err ignored = { 0 };
    bool same;

    path_print(path, "apps/%s/deploys/%s/" BUILT_FILE, app, hash);
    same = file_read(disk->fd, path, TEXT_MAX_BYTES, &text, &ignored) && bytes_equal_str(buf_view(&text), engine);
    buf_fini(&text);
    return same;
}

bool
disk_set_built(const struct disk *disk, const char *app, const char *hash, const char *engine, struct err *err)
{
    char path[PATH_BYTES];

    path_print(path, "apps/%s/deploys/%s/" BUILT_FILE, app, hash);
    return file_replace(disk->fd, path, bytes_of(engine), err);
}

void
disk_deploy_remove(const struct disk *disk, const char *app, const char *hash)
{
    char path[PATH_BYTES];

    path_print(path, "apps/%s/deploys/%s", app, hash);
    folder_remove(disk->fd, path);
}

struct found {
    char    name[HASH_BYTES_MAX + 1];
    int64_t changed_ns;
};

static int
by_age(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    return x->changed_ns < y->changed_ns ? 1 : x->changed_ns > y->changed_ns ? -1 : 0;
}

void
disk_deploys_trim(const struct disk *disk, const char *app, const char *keep)
{
    enum { FOUND_MAX = 256 };      /* more than ever accumulate; the rest goes next time */
    struct found found[FOUND_MAX];
    char path[PATH_BYTES];
    size_t count = 0, kept = 0;
    DIR *dir;
    int fd;

    path_print(path, "apps/%s/deploys", app);
    dir = folder_list(disk->fd, path);
    if (dir == NULL)
        return;                    /* nothing to trim, or a disk that will say so elsewhere */
    fd = dirfd(dir);
    for (struct dirent *e = readdir(dir); e != NULL && count < FOUND_MAX; e = readdir(dir)) {
        struct stat info;

        if (strncmp(e->d_name, INCOMING_PREFIX, strlen(INCOMING_PREFIX)) == 0) {
            folder_remove(fd, e->d_name);
            continue;
        }
        if (!hash_is_valid(bytes_of(e->d_name)) || strcmp(e->d_name, keep) == 0 ||
            sys_fstatat(fd, e->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        memcpy(found[count].name, e->d_name, strlen(e->d_name) + 1);   /* hash_is_valid bounds it */
        found[count++].changed_ns = info.st_mtim.tv_sec * 1000000000ll + info.st_mtim.tv_nsec;
    }
    qsort(found, count, sizeof found[0], by_age);
    for (size_t i = 0; i < count; i++)
        if (++kept > DEPLOYS_KEPT - 1)
            folder_remove(fd, found[i].name);
    (void)closedir(dir);
}
