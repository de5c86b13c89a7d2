/*
 * jail — the order of the layers, and the report.
 */
#include "lib/jail/jail.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/jail/jail_internal.h"
#include "lib/sys/sys.h"

const char *const jail_system_paths[] = {
    "/usr", "/lib", "/lib64", "/etc/ld.so.cache", NULL,
};

/* OpenSSL reads its configuration at first use; egress resolves names and checks certificates. */
static const char *const paths_common[] = { "/etc/ssl/openssl.cnf", "/usr/lib/ssl", NULL };
static const char *const paths_egress[] = {
    "/etc/ssl/openssl.cnf", "/usr/lib/ssl",  "/etc/ssl/certs",       "/usr/share/ca-certificates", "/etc/resolv.conf",
    "/etc/hosts",           "/etc/host.conf", "/etc/nsswitch.conf",  "/etc/gai.conf",              "/etc/services",
    "/etc/protocols",       "/dev/urandom",  "/usr/local/share/ca-certificates", NULL,
};

const char *const *
jail_role_paths(enum role role)
{
    return role == ROLE_EGRESS ? paths_egress : paths_common;
}

static const char *const mode_names[] = { [JAIL_OFF] = "off", [JAIL_BEST] = "best", [JAIL_REQUIRED] = "required" };

bool
jail_mode_parse(enum jail_mode *out_mode, const char *text, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(mode_names); i++) {
        if (strcmp(text, mode_names[i]) == 0) {
            *out_mode = (enum jail_mode)i;
            return true;
        }
    }
    return err_set(err, ERR_CONFIG, 0, "sandbox is '%s'; it can be required, best or off", text);
}

const char *
jail_mode_name(enum jail_mode mode)
{
    assert(mode <= JAIL_REQUIRED);
    return mode_names[mode];
}

const char *
jail_layer_name(enum jail_layer layer)
{
    static const char *const names[LAYERS] = {
        [LAYER_USER] = "user",         [LAYER_CAPABILITIES] = "capabilities", [LAYER_MOUNTS] = "mounts",
        [LAYER_NETWORK] = "network",   [LAYER_NAMESPACES] = "namespaces",     [LAYER_LANDLOCK] = "landlock",
        [LAYER_RLIMITS] = "rlimits",   [LAYER_CGROUP] = "cgroup",             [LAYER_SECCOMP] = "seccomp",
    };

    assert(layer < LAYERS);
    return names[layer];
}

void
report_set(struct jail_report *report, enum jail_layer layer, enum layer_state state, const char *fmt, ...)
{
    va_list args;

    assert(layer < LAYERS);
    report->layer[layer].state = (uint8_t)state;
    va_start(args, fmt);
    (void)vsnprintf(report->layer[layer].reason, sizeof report->layer[layer].reason, fmt, args);
    va_end(args);
}

bool
jail_file_write(const char *path, const char *text)
{
    int fd = sys_open(path, O_WRONLY, 0);
    bool ok;

    if (fd < 0)
        return false;
    ok = sys_write_all(fd, text, strlen(text));
    sys_close(fd);
    return ok;
}

static void
json_text(struct buf *out, const char *text)
{
    buf_append_byte(out, '"');
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            buf_append_byte(out, '\\');
        buf_append_byte(out, (unsigned char)*c < 0x20 ? ' ' : (uint8_t)*c);
    }
    buf_append_byte(out, '"');
}

void
jail_report_json(const struct jail_report *report, struct buf *out)
{
    static const char *const states[] = {
        [LAYER_ABSENT] = "absent", [LAYER_ON] = "on", [LAYER_NOT_NEEDED] = "not needed"
    };

    buf_append_byte(out, '{');
    for (int i = 0; i < LAYERS; i++) {
        uint8_t state = report->layer[i].state;

        buf_printf(out, "%s\"%s\":{\"state\":\"%s\",\"reason\":", i == 0 ? "" : ",", jail_layer_name((enum jail_layer)i),
                   states[state <= LAYER_NOT_NEEDED ? state : LAYER_ABSENT]);
        json_text(out, report->layer[i].reason);
        buf_append_byte(out, '}');
    }
    buf_append_byte(out, '}');
}

static void
limit_set(int resource, rlim_t most)
{
    struct rlimit limit;

    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0)
        return;
    if (limit.rlim_max > most)
        limit.rlim_max = most;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit((__rlimit_resource_t)resource, &limit);   /* lowering never fails */
}

/* All room programs need many descriptors: the soft limit rises to the hard one, which root may raise. */
static void
rlimits_set(struct jail_report *report)
{
    struct rlimit files = { JAIL_FILES_MAX, JAIL_FILES_MAX };

    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        limit_set(RLIMIT_NOFILE, JAIL_FILES_MAX);
    limit_set(RLIMIT_CORE, 0);
    limit_set(RLIMIT_FSIZE, JAIL_FILE_BYTES_MAX);
    limit_set(RLIMIT_MSGQUEUE, 0);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    report_set(report, LAYER_RLIMITS, LAYER_ON, "%llu descriptors, no core files", (unsigned long long)files.rlim_cur);
}

static bool
floor_check(const struct jail_spec *spec, const struct jail_report *report, struct err *err)
{
    const bool has_walls = report->layer[LAYER_MOUNTS].state == LAYER_ON || report->layer[LAYER_LANDLOCK].state == LAYER_ON;

    if (spec->mode != JAIL_REQUIRED)
        return true;
    if (!has_walls)
        return err_set(err, ERR_DENIED, 0, "sandbox is required, but folders cannot be confined: %s; %s",
                       report->layer[LAYER_MOUNTS].reason, report->layer[LAYER_LANDLOCK].reason);
    if (report->layer[LAYER_USER].state != LAYER_ON)
        return err_set(err, ERR_DENIED, 0, "sandbox is required, but the room would run as root");
    return true;
}

bool
jail_prepare(const struct jail_spec *spec, struct jail_report *report, struct err *err)
{
    assert(spec->role > 0 && spec->role < ROLES);

    if (spec->mode == JAIL_OFF) {
        for (int i = 0; i < LAYERS; i++)
            report_set(report, (enum jail_layer)i, LAYER_ABSENT, "sandbox is off");
        return true;
    }
    (void)jail_cgroup_join(spec, report);                /* a missing cgroup is reported, not fatal */
    rlimits_set(report);
    if (!jail_enter_namespaces(spec, report, err))
        return err_add(err, "sandbox of %s", role_name(spec->role));
    jail_close_doors();
    if (!jail_drop_user(spec, report, err) || !jail_drop_capabilities(report, err))
        return err_add(err, "sandbox of %s", role_name(spec->role));
    if (!jail_landlock(spec, LANDLOCK_PREPARE, report, err))
        return err_add(err, "sandbox of %s", role_name(spec->role));
    return floor_check(spec, report, err);
}

struct probe_result {
    struct jail_report report;
    struct err         err;
    bool               is_ok;
};

static NORETURN void
probe_child(const struct jail_spec *spec, const struct jail_report *start, int pipe_fd)
{
    struct probe_result result = { .report = *start };

    result.is_ok = jail_prepare(spec, &result.report, &result.err) && jail_enter_spec(spec, &result.report, &result.err);
    (void)sys_write_all(pipe_fd, &result, sizeof result);
    _exit(0);
}

static bool
probe_once(const struct jail_spec *spec, struct jail_report *report, struct err *err)
{
    struct probe_result result = { 0 };
    size_t got = 0;
    ssize_t n;
    int pipe_fds[2];
    pid_t pid;

    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return err_set(err, ERR_IO, errno, "make a pipe for the sandbox probe");
    pid = fork();
    if (pid == 0)
        probe_child(spec, report, pipe_fds[1]);
    sys_close(pipe_fds[1]);
    if (pid < 0) {
        sys_close(pipe_fds[0]);
        return err_set(err, ERR_LIMIT, errno, "fork for the sandbox probe");
    }
    while (got < sizeof result && (n = sys_read(pipe_fds[0], (char *)&result + got, sizeof result - got)) > 0)
        got += (size_t)n;
    sys_close(pipe_fds[0]);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (got != sizeof result)
        return err_set(err, ERR_DENIED, 0, "the sandbox probe of %s died", role_name(spec->role));
    *report = result.report;
    if (!result.is_ok)
        *err = result.err;
    return result.is_ok;
}

bool
jail_probe(const struct jail_spec *spec, struct jail_report *out_report, struct err *err)
{
    struct err first = { 0 };

    memset(out_report, 0, sizeof *out_report);
    if (probe_once(spec, out_report, &first))
        return true;
    /* Mounts are the layer that many containers refuse halfway; its reason stays in the report, so the second try skips it. */
    if (out_report->layer[LAYER_MOUNTS].state == LAYER_ABSENT && out_report->layer[LAYER_MOUNTS].reason[0] != '\0')
        return probe_once(spec, out_report, err);
    *err = first;
    return false;
}
