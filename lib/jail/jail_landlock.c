/*
 * jail_landlock — path rules of the kernel: a wall that needs no privilege and cannot be taken down again.
 *
 * Two layers: the first survives exec and lets the dynamic linker read its libraries, the second leaves the role's own
 * folders only. Debian 12's headers know ABI 2; the numbers of later ABIs are the kernel's (Documentation/userspace-api/landlock.rst).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/jail/jail_internal.h"
#include "lib/sys/sys.h"

#define ACCESS_TRUNCATE  (1ull << 14)   /* ABI 3 */
#define ACCESS_IOCTL_DEV (1ull << 15)   /* ABI 5 */
#define NET_BIND_TCP     (1ull << 0)    /* ABI 4 */
#define NET_CONNECT_TCP  (1ull << 1)    /* ABI 4 */
#define SCOPE_ABSTRACT   (1ull << 0)    /* ABI 6: abstract Unix sockets of others */
#define SCOPE_SIGNAL     (1ull << 1)    /* ABI 6: signals to others */

#define ACCESS_READ  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_RUN   (ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define ACCESS_WRITE                                                                                                   \
    (ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |    \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER | ACCESS_TRUNCATE)
#define ACCESS_OF_FILES                                                                                                \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE | ACCESS_TRUNCATE |      \
     ACCESS_IOCTL_DEV)

struct ruleset_attr {              /* the kernel's, ABI 6; trailing zeroes are fine for older kernels */
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

struct ruleset {
    int      fd;
    uint64_t handled;
};

static int
landlock_abi(void)
{
    return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static uint64_t
access_of_abi(int abi)
{
    uint64_t access = LANDLOCK_ACCESS_FS_MAKE_SYM | (LANDLOCK_ACCESS_FS_MAKE_SYM - 1);   /* ABI 1: bits 0 to 12 */

    if (abi >= 2)
        access |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        access |= ACCESS_TRUNCATE;
    if (abi >= 5)
        access |= ACCESS_IOCTL_DEV;
    return access;
}

/* A path that does not exist is left out: what is not there cannot be used. */
static bool
rule_add(const struct ruleset *rules, const char *path, uint64_t access, struct err *err)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = access & rules->handled };
    struct stat st;
    int rc;

    rule.parent_fd = sys_open(path, O_PATH, 0);
    if (rule.parent_fd < 0)
        return errno == ENOENT || errno == EACCES ? true : err_set(err, ERR_IO, errno, "open '%s'", path);
    if (sys_fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= ACCESS_OF_FILES;
    rc = (int)syscall(SYS_landlock_add_rule, rules->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    if (rc != 0)
        (void)err_set(err, ERR_DENIED, errno, "allow '%s' by Landlock", path);
    sys_close(rule.parent_fd);
    return rc == 0;
}

static bool
rules_add_each(const struct ruleset *rules, const char *const *paths, uint64_t access, struct err *err)
{
    for (; *paths != NULL; paths++)
        if (!rule_add(rules, *paths, access, err))
            return false;
    return true;
}

static bool
rules_of_spec(const struct ruleset *rules, const struct jail_spec *spec, enum landlock_stage stage, struct err *err)
{
    if (stage == LANDLOCK_PREPARE && !rules_add_each(rules, jail_system_paths, ACCESS_RUN, err))
        return false;
    if (stage == LANDLOCK_PREPARE && spec->exec_path != NULL && !rule_add(rules, spec->exec_path, ACCESS_RUN, err))
        return false;
    return rules_add_each(rules, jail_role_paths(spec->role), ACCESS_READ, err) &&
           rule_add(rules, "/dev/null", ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE, err) &&
           rules_add_each(rules, spec->read, ACCESS_READ, err) &&
           rules_add_each(rules, spec->write, ACCESS_WRITE, err);
}

static int
ruleset_create(const struct jail_spec *spec, int abi, struct ruleset_attr *attr)
{
    attr->handled_access_fs = access_of_abi(abi);
    if (abi >= 4)
        attr->handled_access_net = spec->role == ROLE_EGRESS ? NET_BIND_TCP : NET_BIND_TCP | NET_CONNECT_TCP;
    if (abi >= 6)
        attr->scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
    return (int)syscall(SYS_landlock_create_ruleset, attr, sizeof *attr, 0);
}

bool
jail_landlock(const struct jail_spec *spec, enum landlock_stage stage, struct jail_report *report, struct err *err)
{
    struct ruleset_attr attr = { 0 };
    struct ruleset rules;
    int abi = landlock_abi();
    bool ok;

    if (abi < 1) {
        report_set(report, LAYER_LANDLOCK, LAYER_ABSENT, "this kernel has no Landlock (%s)", strerror(errno));
        return true;
    }
    rules.fd = ruleset_create(spec, abi, &attr);
    rules.handled = attr.handled_access_fs;
    if (rules.fd < 0)
        return err_set(err, ERR_DENIED, errno, "create a Landlock ruleset (ABI %d)", abi);
    ok = rules_of_spec(&rules, spec, stage, err);
    if (ok && syscall(SYS_landlock_restrict_self, rules.fd, 0) != 0)
        ok = err_set(err, ERR_DENIED, errno, "enter the Landlock rules");
    sys_close(rules.fd);
    if (ok)
        report_set(report, LAYER_LANDLOCK, LAYER_ON, "ABI %d", abi);
    return ok;
}
