/*
 * cli_where — see cli_where.h.
 */
#include "src/cli/cli_where.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/bytes.h"
#include "lib/sys/sys.h"

enum { TREE_DEPTH_MAX = 6 };       /* from build/FLAVOUR/bin up to the source tree */

static bool
path_join(char out[CLI_PATH_BYTES], const char *a, const char *b, struct err *err)
{
    int len = snprintf(out, CLI_PATH_BYTES, "%s%s%s", a, b[0] != '\0' ? "/" : "", b);

    return (len >= 0 && len < CLI_PATH_BYTES) || err_set(err, ERR_LIMIT, 0, "The path '%.80s…' is too long.", a);
}

static bool
is_there(const char *path)
{
    struct stat info;

    return sys_fstatat(AT_FDCWD, path, &info, 0) == 0;
}

static bool
our_folder(char out[CLI_PATH_BYTES], struct err *err)
{
    ssize_t len = readlink("/proc/self/exe", out, CLI_PATH_BYTES - 1);

    if (len <= 0)
        return err_set(err, ERR_IO, 0, "Cannot find our own program: is /proc mounted?");
    out[len] = '\0';
    *strrchr(out, '/') = '\0';
    return true;
}

bool
where_supervisor(char out[CLI_PATH_BYTES], struct err *err)
{
    return where_program("dormouse-supervisor", out, err);
}

bool
where_program(const char *name, char out[CLI_PATH_BYTES], struct err *err)
{
    char folder[CLI_PATH_BYTES];

    if (!our_folder(folder, err) || !path_join(out, folder, name, err))
        return false;
    return is_there(out) || err_set(err, ERR_NOT_FOUND, 0, "'%s' is missing: the installation is not complete.", out);
}

bool
where_bundler(char out[CLI_PATH_BYTES], struct err *err)
{
    static const char *const places[] = { "js/build/bundle.mjs", "lib/dormouse/js/build/bundle.mjs" };
    const char *given = getenv("DORMOUSE_BUNDLER");
    char folder[CLI_PATH_BYTES];

    if (given != NULL && given[0] != '\0')
        return path_join(out, given, "", err);
    if (!our_folder(folder, err))
        return false;
    for (int depth = 0; depth < TREE_DEPTH_MAX; depth++) {
        char *slash = strrchr(folder, '/');

        for (size_t i = 0; i < ARRAY_LEN(places); i++)
            if (path_join(out, folder, places[i], err) && is_there(out))
                return true;
        if (slash == NULL)
            break;
        *slash = '\0';
    }
    return err_set(err, ERR_NOT_FOUND, 0, "js/build/bundle.mjs is missing: the installation is not complete.");
}

bool
where_absolute(const char *path, char out[CLI_PATH_BYTES], struct err *err)
{
    char *real = realpath(path, NULL);
    char here[CLI_PATH_BYTES];
    bool ok;

    if (real != NULL) {
        ok = path_join(out, real, "", err);
        free(real);
        return ok;
    }
    if (path[0] == '/')
        return path_join(out, path, "", err);
    if (getcwd(here, sizeof here) == NULL)
        return err_set(err, ERR_IO, 0, "The current folder is gone.");
    return path_join(out, here, path, err);
}

bool
where_make(const char *path, struct err *err)
{
    char part[CLI_PATH_BYTES];

    for (const char *at = path; *at != '\0'; at++) {
        const char *slash = strchr(at + 1, '/');
        size_t len = slash != NULL ? (size_t)(slash - path) : strlen(path);

        if (len >= sizeof part)
            return err_set(err, ERR_LIMIT, 0, "The path '%.80s…' is too long.", path);
        memcpy(part, path, len);
        part[len] = '\0';
        if (sys_mkdirat(AT_FDCWD, part, 0755) != 0 && errno != EEXIST)
            return err_set(err, ERR_IO, 0, "Cannot make the folder '%s': %s.", part, strerror(errno));
        at = path + len - 1;
    }
    return true;
}

bool
where_data(const char *given, char out[CLI_PATH_BYTES], struct err *err)
{
    const char *env = getenv("DORMOUSE_DATA"), *home = getenv("HOME");

    if (given != NULL)
        return where_absolute(given, out, err);
    if (env != NULL && env[0] != '\0')
        return where_absolute(env, out, err);
    if (access("/var/lib/dormouse", W_OK) == 0)
        return path_join(out, "/var/lib/dormouse", "", err);
    if (home == NULL || home[0] != '/')
        return err_set(err, ERR_USAGE, 0, "Where is the data to be kept? Give --data DIR.");
    return path_join(out, home, ".local/share/dormouse", err);
}

bool
where_source(const char *given, char out[CLI_PATH_BYTES], struct err *err)
{
    const char *env = getenv("DORMOUSE_DATA");

    if (given == NULL && (env == NULL || env[0] == '\0') && is_there(".dormouse"))
        return where_absolute(".dormouse", out, err);
    return where_data(given, out, err);
}

/* A folder of this user's for sockets whose data folder has too long a path. */
static bool
socket_folder(char out[CLI_PATH_BYTES], struct err *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat info;

    if (runtime != NULL && runtime[0] == '/' && strlen(runtime) < 40)
        return path_join(out, runtime, "", err);
    (void)snprintf(out, CLI_PATH_BYTES, "/tmp/dormouse-%u", (unsigned)getuid());
    (void)sys_mkdirat(AT_FDCWD, out, 0711);        /* it may be there; what matters is whose it is */
    if (sys_fstatat(AT_FDCWD, out, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != getuid() ||
        (info.st_mode & 0022) != 0)
        return err_set(err, ERR_DENIED, 0, "'%s' is not a private folder of yours; remove it, or use a shorter --data path.", out);
    return true;
}

/* FNV-1a: a short name for a path, the same in every process. */
static uint64_t
path_number(const char *path)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; *path != '\0'; path++)
        h = (h ^ (uint8_t)*path) * 0x100000001b3u;
    return h;
}

bool
where_socket(const char *data, char out[CLI_PATH_BYTES], struct err *err)
{
    char folder[CLI_PATH_BYTES], name[48];

    if (strlen(data) + strlen("/admin.sock") < SOCKET_PATH_BYTES_MAX)
        return path_join(out, data, "admin.sock", err);
    (void)snprintf(name, sizeof name, "%016llx.sock", (unsigned long long)path_number(data));
    return socket_folder(folder, err) && path_join(out, folder, name, err);
}

bool
where_running(const char *socket, const char *data, char out[CLI_PATH_BYTES], struct err *err)
{
    const char *env = getenv("DORMOUSE_DATA");
    char folder[CLI_PATH_BYTES];

    if (socket != NULL)
        return where_absolute(socket, out, err);
    if (data == NULL && (env == NULL || env[0] == '\0') && is_there(".dormouse") && where_absolute(".dormouse", folder, err) &&
        where_socket(folder, out, err) && is_there(out))
        return true;
    return where_data(data, folder, err) && where_socket(folder, out, err);
}
