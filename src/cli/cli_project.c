/*
 * cli_project — see cli_project.h.
 */
#include "src/cli/cli_project.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/sys/sys.h"
#include "src/cli/cli_where.h"

static bool
has_file(const char *dir, const char *name)
{
    char path[CLI_PATH_BYTES];
    struct stat info;

    return snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path && sys_fstatat(AT_FDCWD, path, &info, 0) == 0 &&
           S_ISREG(info.st_mode);
}

bool
project_is_deploy(const char *dir)
{
    return has_file(dir, "manifest.json") && has_file(dir, "files.json");
}

bool
project_find(const char *dir, const char *config, char out[CLI_PATH_BYTES], struct err *err)
{
    static const char *const names[] = { "wrangler.json", "wrangler.jsonc", "wrangler.toml" };
    struct stat info;

    if (!where_absolute(dir != NULL ? dir : ".", out, err))
        return false;
    if (sys_fstatat(AT_FDCWD, out, &info, 0) != 0)
        return err_set(err, ERR_NOT_FOUND, 0, "There is no folder '%s'.", dir != NULL ? dir : out);
    if (!S_ISDIR(info.st_mode))
        return err_set(err, ERR_USAGE, 0, "'%s' is no folder. Name the folder that holds wrangler.jsonc.", dir);
    if (config != NULL)
        return true;               /* the bundler says so when it is missing */
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (has_file(out, names[i]))
            return true;
    return err_set(err, ERR_NOT_FOUND, 0, "No wrangler.jsonc, wrangler.json or wrangler.toml in '%s'. Is this the project's folder?", out);
}

bool
address_print(const char *host, long port, char out[CLI_PATH_BYTES], struct err *err)
{
    bool is_v6 = strchr(host, ':') != NULL && host[0] != '[';

    if (strlen(host) > 200)
        return err_set(err, ERR_USAGE, 0, "'%.40s…' is no host.", host);
    (void)snprintf(out, CLI_PATH_BYTES, "%s%s%s:%ld", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
    return true;
}

const char *
address_port(const char *address)
{
    const char *colon = strrchr(address, ':');

    return colon != NULL ? colon + 1 : "";
}

void
address_url(const char *address, char out[CLI_PATH_BYTES])
{
    bool is_any = strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0;

    if (is_any)
        (void)snprintf(out, CLI_PATH_BYTES, "http://127.0.0.1:%s", address_port(address));
    else
        (void)snprintf(out, CLI_PATH_BYTES, "http://%.200s", address);
}

const char *
pair_find(const struct text_list *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const char *equals = strchr(pairs->item[i], '=');

        if (equals != NULL && (size_t)(equals - pairs->item[i]) == strlen(name) && strncmp(pairs->item[i], name, strlen(name)) == 0)
            return equals + 1;
    }
    return NULL;
}

bool
pairs_check_ports(const struct text_list *pairs, struct err *err)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const char *equals = strchr(pairs->item[i], '=');
        char *end = NULL;
        long port = equals != NULL ? strtol(equals + 1, &end, 10) : -1;

        if (equals == NULL || equals == pairs->item[i] || end == equals + 1 || *end != '\0' || port < 0 || port > 65535)
            return err_set(err, ERR_USAGE, 0, "'--app-port' takes NAME=PORT, not '%s'.", pairs->item[i]);
    }
    return true;
}

bool
folder_temporary(char out[CLI_PATH_BYTES], struct err *err)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(out, CLI_PATH_BYTES, "%.3000s/dormouse-XXXXXX", tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    if (mkdtemp(out) == NULL)
        return err_set(err, ERR_IO, 0, "Cannot make a temporary folder '%s': %s.", out, strerror(errno));
    return true;
}

static int
discard_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)sys_unlinkat(AT_FDCWD, path, kind == FTW_DP ? AT_REMOVEDIR : 0);   /* what stays is in the temporary folder */
    return 0;
}

void
folder_discard(const char *path)
{
    (void)nftw(path, discard_one, 16, FTW_DEPTH | FTW_PHYS);
}
