/*
 * supervisor_config — see supervisor_config.h.
 */
#include "src/supervisor/supervisor_config.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/conf/conf.h"

static const char *const known_fields[] = {
    "data", "listen", "admin", "workers", "sandbox", "allow_private", "allow", "log_level", "limits",
    "worker_memory_mb", "worker_cpu_percent", "history_days", "history_mb", NULL,
};
/* Passed on to every room as they are; each room's room.md says what it makes of them. */
static const char *const shared_fields[] = { "allow", "log_level", "limits", NULL };

static char *
path_absolute(const char *path)
{
    char folder[PATH_MAX];
    char *out = NULL;
    size_t len;

    if (path[0] == '/')
        out = strdup(path);
    else if (getcwd(folder, sizeof folder) == NULL || asprintf(&out, "%s/%s", folder, path) < 0)
        return NULL;
    assert(out != NULL);
    len = strlen(out);
    while (len > 1 && out[len - 1] == '/')
        out[--len] = '\0';
    return out;
}

/* The rooms' programs lie beside ours. */
static char *
folder_of_program(struct err *err)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash;

    if (len <= 0) {
        (void)err_set(err, ERR_IO, errno, "read /proc/self/exe; is /proc mounted?");
        return NULL;
    }
    path[len] = '\0';
    slash = strrchr(path, '/');
    assert(slash != NULL);
    *slash = '\0';
    return strdup(path);
}

/* Installed beside bin/, or in the build tree two folders up. When there is none, the build worker says so. */
static char *
runtime_find(const char *bin)
{
    static const char *const places[] = { "../js/runtime.js", "../../js/runtime.js" };
    char path[PATH_MAX + 32];

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        char *real;

        (void)snprintf(path, sizeof path, "%s/%s", bin, places[i]);
        real = realpath(path, NULL);
        if (real != NULL)
            return real;
    }
    return strdup("");
}

static uint16_t
cores_count(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    return (uint16_t)(count < 1 ? 1 : count > WORKERS_PER_APP_MAX ? WORKERS_PER_APP_MAX : count);
}

static bool
read_listen(struct supervisor_config *config, const struct conf *conf, struct err *err)
{
    if (!conf_count(conf, "listen", LISTENERS_MAX, &config->listen_count, err))
        return false;
    for (size_t i = 0; i < config->listen_count; i++) {
        config->listen[i] = strdup(conf_text_at(conf, "listen", i));
        assert(config->listen[i] != NULL);
    }
    if (config->listen_count > 0)
        return true;
    config->listen[0] = strdup("127.0.0.1:8787");
    assert(config->listen[0] != NULL);
    config->listen_count = 1;
    return true;
}

static bool
read_numbers(struct supervisor_config *config, const struct conf *conf, struct err *err)
{
    int64_t workers = cores_count();
    int64_t memory_mb = 0;
    int64_t cpu_percent = 0;
    int64_t history_days = HISTORY_DAYS_DEFAULT;
    int64_t history_mb = HISTORY_MB_DEFAULT;

    if (!conf_get_number(conf, "workers", 1, WORKERS_PER_APP_MAX, &workers, err) ||
        !conf_get_number(conf, "worker_memory_mb", 0, INT32_MAX, &memory_mb, err) ||
        !conf_get_number(conf, "worker_cpu_percent", 0, 100 * 1024, &cpu_percent, err) ||
        !conf_get_number(conf, "history_days", 0, INT16_MAX, &history_days, err) ||
        !conf_get_number(conf, "history_mb", 0, INT32_MAX, &history_mb, err))
        return false;
    config->workers = (uint16_t)workers;
    config->worker_memory_bytes_max = (uint64_t)memory_mb << 20;
    config->worker_cpu_percent_max = (uint32_t)cpu_percent;
    config->history_days = (uint32_t)history_days;
    config->history_mb = (uint32_t)history_mb;
    return true;
}

static bool
read_texts(struct supervisor_config *config, const struct conf *conf, struct err *err)
{
    const char *data = NULL;
    const char *admin = NULL;
    const char *sandbox = "best";

    if (!conf_get_text(conf, "data", &data, err) || !conf_get_text(conf, "admin", &admin, err) ||
        !conf_get_text(conf, "sandbox", &sandbox, err) || !jail_mode_parse(&config->sandbox, sandbox, err))
        return false;
    if (data == NULL || data[0] == '\0')
        return err_set(err, ERR_CONFIG, 0, "field 'data' is missing: the folder where everything is kept");
    config->data = path_absolute(data);
    if (config->data == NULL)
        return err_set(err, ERR_CONFIG, errno, "field 'data': cannot find the current folder");
    if (admin != NULL)
        config->admin = path_absolute(admin);
    else if (asprintf(&config->admin, "%s/admin.sock", config->data) < 0)
        config->admin = NULL;
    if (config->admin == NULL)
        return err_set(err, ERR_CONFIG, errno, "field 'admin': cannot find the current folder");
    return true;
}

static void
read_shared(struct supervisor_config *config, const struct conf *conf)
{
    for (size_t i = 0; shared_fields[i] != NULL; i++) {
        struct buf value = { 0 };

        if (conf_copy_json(conf, shared_fields[i], &value))
            buf_printf(&config->shared_json, ",\"%s\":%s", shared_fields[i], buf_cstr(&value));
        buf_fini(&value);
    }
    buf_printf(&config->shared_json, ",\"allow_private\":%s,\"history_days\":%u,\"history_mb\":%u", config->allow_private ? "true" : "false",
               (unsigned)config->history_days, (unsigned)config->history_mb);
}

bool
supervisor_config_load(struct supervisor_config **out_config, const char *path, struct err *err)
{
    struct supervisor_config *config = calloc(1, sizeof *config);
    struct conf *conf = NULL;
    bool ok;

    assert(config != NULL);
    ok = conf_load(&conf, path, err) && conf_check(conf, known_fields, err) && read_texts(config, conf, err) &&
         read_listen(config, conf, err) && read_numbers(config, conf, err) &&
         conf_get_flag(conf, "allow_private", &config->allow_private, err) &&
         (config->bin = folder_of_program(err)) != NULL;
    if (ok)
        read_shared(config, conf);
    if (ok)
        config->runtime = runtime_find(config->bin);
    conf_destroy(&conf);
    if (!ok)
        supervisor_config_destroy(&config);
    else
        *out_config = config;
    return ok;
}

void
supervisor_config_destroy(struct supervisor_config **config)
{
    if (*config == NULL)
        return;
    for (size_t i = 0; i < (*config)->listen_count; i++)
        free((*config)->listen[i]);
    free((*config)->data);
    free((*config)->admin);
    free((*config)->bin);
    free((*config)->runtime);
    buf_fini(&(*config)->shared_json);
    free(*config);
    *config = NULL;
}
