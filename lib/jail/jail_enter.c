/*
 * jail_enter — the room's own step: what CONF says, the inner path rules, then the syscall list. No way back.
 */
#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "lib/jail/jail_internal.h"
#include "lib/sys/sys.h"

bool
jail_enter_spec(const struct jail_spec *spec, struct jail_report *report, struct err *err)
{
    assert(spec->role > 0 && spec->role < ROLES);

    if (spec->mode == JAIL_OFF)
        return true;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)         /* others of the same user cannot read our memory by /proc */
        return err_set(err, ERR_DENIED, errno, "become undumpable");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set(err, ERR_DENIED, errno, "set no_new_privs");
    if (!jail_landlock(spec, LANDLOCK_ENTER, report, err))
        return false;
#ifdef __SANITIZE_ADDRESS__
    /* The sanitizer's runtime needs more of the kernel than any list of ours; such a build is for tests only. */
    report_set(report, LAYER_SECCOMP, LAYER_ABSENT, "this is a build with sanitizers");
    return true;
#else
    return jail_seccomp(spec, report, err);
#endif
}

/* Copies the strings of the JSON array LIST into OUT; they stay the JSON's. */
static bool
paths_read(const json_t *list, const char **out_paths, struct err *err)
{
    size_t count = json_array_size(list);              /* 0 when absent */

    if (count > JAIL_PATHS_MAX)
        return err_set(err, ERR_CONFIG, 0, "field 'jail' names %zu paths, more than %d", count, JAIL_PATHS_MAX);
    for (size_t i = 0; i < count; i++) {
        out_paths[i] = json_string_value(json_array_get(list, i));
        if (out_paths[i] == NULL || out_paths[i][0] != '/')
            return err_set(err, ERR_CONFIG, 0, "field 'jail' needs absolute paths");
    }
    out_paths[count] = NULL;
    return true;
}

static bool
spec_read(struct jail_spec *spec, const json_t *conf, struct err *err)
{
    const json_t *jail = json_object_get(conf, "jail");
    const char *mode = json_string_value(json_object_get(conf, "sandbox"));

    if (!jail_mode_parse(&spec->mode, mode != NULL ? mode : "off", err))
        return false;
    return paths_read(json_object_get(jail, "write"), spec->write, err) &&
           paths_read(json_object_get(jail, "read"), spec->read, err);
}

bool
jail_enter(enum role role, struct bytes conf_json, struct err *err)
{
    struct jail_spec spec = { .role = role };
    struct jail_report report = { 0 };
    json_error_t where;
    json_t *conf = json_loadb((const char *)conf_json.data, conf_json.len, 0, &where);
    bool ok;

    if (conf == NULL)
        return err_set(err, ERR_CONFIG, 0, "CONF of %s: %s", role_name(role), where.text);
    ok = spec_read(&spec, conf, err) && jail_enter_spec(&spec, &report, err);
    json_decref(conf);
    return ok ? true : err_add(err, "sandbox of %s", role_name(role));
}
