/*
 * jail_user — who a room is: an unprivileged user without capabilities, and no way back.
 */
#include <errno.h>
#include <grp.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/jail/jail_internal.h"

bool
jail_is_root(void)
{
    return geteuid() == 0;
}

void
jail_user(uid_t *out_uid, gid_t *out_gid)
{
    const struct passwd *entry;

    *out_uid = geteuid();
    *out_gid = getegid();
    if (!jail_is_root())
        return;
    entry = getpwnam(JAIL_USER_NAME);
    *out_uid = entry != NULL && entry->pw_uid != 0 ? entry->pw_uid : JAIL_FALLBACK_ID;
    *out_gid = entry != NULL && entry->pw_gid != 0 ? entry->pw_gid : JAIL_FALLBACK_ID;
}

/* The bounding set and the securebits need CAP_SETPCAP, which the change of user takes away. Without it both are refused,
 * and then there is nothing to drop: no_new_privs bars the way back. */
void
jail_close_doors(void)
{
    const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                               SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

    (void)prctl(PR_SET_SECUREBITS, bits, 0, 0, 0);
    for (cap_value_t cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

bool
jail_drop_user(const struct jail_spec *spec, struct jail_report *report, struct err *err)
{
    if (!jail_is_root()) {
        report_set(report, LAYER_USER, LAYER_ON, "uid %u, as started", (unsigned)geteuid());
        return true;
    }
    if (spec->uid == 0) {
        report_set(report, LAYER_USER, LAYER_ABSENT, "told to stay root");
        return true;
    }
    if (setgroups(0, NULL) != 0 && errno != EPERM)
        return err_set(err, ERR_DENIED, errno, "drop the supplementary groups");
    if (setresgid(spec->gid, spec->gid, spec->gid) != 0)
        return err_set(err, ERR_DENIED, errno, "become gid %u", (unsigned)spec->gid);
    if (setresuid(spec->uid, spec->uid, spec->uid) != 0)
        return err_set(err, ERR_DENIED, errno, "become uid %u", (unsigned)spec->uid);
    if (setuid(0) == 0)
        return err_set(err, ERR_DENIED, 0, "uid %u can become root again", (unsigned)spec->uid);
    report_set(report, LAYER_USER, LAYER_ON, "uid %u, gid %u", (unsigned)spec->uid, (unsigned)spec->gid);
    return true;
}

bool
jail_drop_capabilities(struct jail_report *report, struct err *err)
{
    cap_t none = cap_init();
    int rc;

    if (none == NULL)
        return err_set(err, ERR_LIMIT, errno, "allocate a capability set");
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    rc = cap_set_proc(none);
    (void)cap_free(none);
    if (rc != 0)
        return err_set(err, ERR_DENIED, errno, "drop all capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set(err, ERR_DENIED, errno, "set no_new_privs");
    report_set(report, LAYER_CAPABILITIES, LAYER_ON, "none, no_new_privs");
    return true;
}
