/*
 * jail_run — every attack, three times: without a jail (it must work, or the test proves nothing), with the outer layers only,
 * and as a room runs: jail_prepare(), exec, jail_enter().
 *
 * usage: jail_run [LIST]     all, and with LIST the sweep of all syscalls (jail_sweep.h); prints one line per attack, ends with "N passed, N failed"
 *        jail_run ATTACK …   inside: this program executes itself in the jail
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/jail/jail.h"
#include "tests/jail/jail_attacks.h"
#include "tests/jail/jail_sweep.h"

enum depth { DEPTH_NONE, DEPTH_OUTER, DEPTH_FULL };
enum outcome { REFUSED, SUCCEEDED, BROKEN };

static const struct { const char *name; enum role role; unsigned scope; } rooms[] = {
    { "worker", ROLE_WORKER, ON_WORKER }, { "gateway", ROLE_GATEWAY, ON_GATEWAY }, { "egress", ROLE_EGRESS, ON_EGRESS },
};

static struct targets targets;
static struct jail_report probed;
static char program[512];
static uid_t room_uid;
static gid_t room_gid;

/* ---- inside ------------------------------------------------------------------------------------------------------- */

static void
spec_fill(struct jail_spec *spec, enum role role, enum jail_mode mode)
{
    *spec = (struct jail_spec){ .role = role, .mode = mode, .uid = room_uid, .gid = room_gid, .exec_path = program };
    if (role == ROLE_WORKER)
        spec->write[0] = targets.own;
}

static const struct attack *
attack_find(const char *name)
{
    for (unsigned i = 0; i < attacks_count; i++)
        if (strcmp(attacks[i].name, name) == 0)
            return &attacks[i];
    return NULL;
}

/* argv: program ATTACK ROLE MODE DEPTH VICTIM PORT OWN OTHER */
static int
inside(char **argv)
{
    const struct attack *attack = attack_find(argv[1]);
    struct jail_report report = { 0 };
    struct jail_spec spec;
    struct err err = { 0 };

    if (attack == NULL)
        return 3;
    targets.victim = (pid_t)strtol(argv[5], NULL, 10);
    targets.port = (int)strtol(argv[6], NULL, 10);
    (void)snprintf(targets.own, sizeof targets.own, "%s", argv[7]);
    (void)snprintf(targets.other, sizeof targets.other, "%s", argv[8]);
    spec_fill(&spec, (enum role)strtol(argv[2], NULL, 10), (enum jail_mode)strtol(argv[3], NULL, 10));
    spec.exec_path = NULL;
    if (strtol(argv[4], NULL, 10) == DEPTH_FULL && !jail_enter_spec(&spec, &report, &err)) {
        (void)fprintf(stderr, "jail_enter: %s\n", err.message);
        return 3;
    }
    return attack->run(&targets) ? BREACH : 0;
}

/* ---- outside ------------------------------------------------------------------------------------------------------ */

static NORETURN void
child_run(const struct attack *attack, enum role role, enum jail_mode mode, enum depth depth)
{
    char numbers[5][16];
    char *args[] = { program, (char *)attack->name, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], targets.own,
                     targets.other, NULL };
    char *env[] = { NULL };
    struct jail_report report = probed;
    struct jail_spec spec;
    struct err err = { 0 };
    int quiet = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)alarm(20);                                         /* a hang is a failure with a name */
    if (depth == DEPTH_NONE)
        _exit(attack->run(&targets) ? BREACH : 0);
    spec_fill(&spec, role, mode);
    (void)snprintf(numbers[0], sizeof numbers[0], "%d", (int)role);
    (void)snprintf(numbers[1], sizeof numbers[1], "%d", (int)mode);
    (void)snprintf(numbers[2], sizeof numbers[2], "%d", (int)depth);
    (void)snprintf(numbers[3], sizeof numbers[3], "%d", (int)targets.victim);
    (void)snprintf(numbers[4], sizeof numbers[4], "%d", targets.port);
    (void)dup2(quiet, STDIN_FILENO);
    if (mode == JAIL_BEST)
        (void)dup2(quiet, STDERR_FILENO);                    /* the names of forbidden syscalls */
    if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) != 0 || !jail_prepare(&spec, &report, &err)) {
        (void)fprintf(stderr, "jail_prepare: %s\n", err.message);
        _exit(3);
    }
    (void)execve(program, args, env);
    (void)fprintf(stderr, "exec '%s': %s\n", program, strerror(errno));
    _exit(3);
}

static enum outcome
attack_run(const struct attack *attack, enum role role, enum jail_mode mode, enum depth depth, char *out_how, size_t size)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0)
        child_run(attack, role, mode, depth);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return BROKEN;
    if (WIFSIGNALED(status))
        (void)snprintf(out_how, size, "signal %d", WTERMSIG(status));
    else
        (void)snprintf(out_how, size, "status %d", WEXITSTATUS(status));
    if (WIFEXITED(status) && WEXITSTATUS(status) == BREACH)
        return SUCCEEDED;
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? REFUSED : BROKEN;
    return WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 128 + SIGSYS ? REFUSED : BROKEN;
}

static bool
attack_check(const struct attack *attack, unsigned room, enum jail_mode mode, enum depth depth)
{
    char how[64] = "";
    enum outcome outcome = attack_run(attack, rooms[room].role, mode, depth, how, sizeof how);

    if (outcome == REFUSED)
        return true;
    printf("FAIL  %-24s %s, %s, %s layers: %s (%s)\n", attack->name, rooms[room].name, jail_mode_name(mode),
           depth == DEPTH_OUTER ? "outer" : "all", outcome == SUCCEEDED ? "it worked" : "the test broke", how);
    return false;
}

struct tally {
    unsigned passed;
    unsigned failed;
    unsigned unproven;
};

/* Where a container forbids namespaces, the outer layers alone are not promised to hold; the report says so. */
static bool
has_outer_layers(void)
{
    return probed.layer[LAYER_MOUNTS].state == LAYER_ON && probed.layer[LAYER_NETWORK].state == LAYER_ON;
}

static void
attack_everywhere(const struct attack *attack, struct tally *tally)
{
    char how[64] = "";
    bool is_proven = attack_run(attack, ROLE_WORKER, JAIL_OFF, DEPTH_NONE, how, sizeof how) == SUCCEEDED;
    bool ok = true;

    for (unsigned i = 0; i < ARRAY_LEN(rooms); i++) {
        if ((attack->scope & rooms[i].scope) == 0)
            continue;
        ok = attack_check(attack, i, JAIL_REQUIRED, DEPTH_FULL) && ok;
        ok = attack_check(attack, i, JAIL_BEST, DEPTH_FULL) && ok;
        if ((attack->scope & OUTER) != 0 && has_outer_layers())
            ok = attack_check(attack, i, JAIL_REQUIRED, DEPTH_OUTER) && ok;
    }
    tally->passed += ok ? 1 : 0;
    tally->failed += ok ? 0 : 1;
    tally->unproven += is_proven ? 0 : 1;
    if (ok)
        printf("ok    %-24s %s\n", attack->name, is_proven ? "" : "(refused without a jail too: proves nothing here)");
}

/* The other way round: what a worker must be able to do works inside, or every attack "fails" for a wrong reason. */
static bool
own_folder_works(void)
{
    const struct attack *attack = attack_find("write-own");
    char how[64] = "";

    if (attack_run(attack, ROLE_WORKER, JAIL_REQUIRED, DEPTH_FULL, how, sizeof how) == SUCCEEDED)
        return true;
    printf("FAIL  a worker cannot write into its own folder (%s)\n", how);
    return false;
}

/* ---- the stage ------------------------------------------------------------------------------------------------------ */

static pid_t
victim_start(void)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    if (geteuid() == 0 && (setresgid(room_gid, room_gid, room_gid) != 0 || setresuid(room_uid, room_uid, room_uid) != 0))
        _exit(1);
    for (;;)
        (void)pause();
}

static int
listener_start(void)
{
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM, 0);                /* not close-on-exec: a descriptor that must not be inherited */

    if (fd < 0 || bind(fd, (struct sockaddr *)&name, len) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&name, &len) != 0)
        return -1;
    targets.port = ntohs(name.sin_port);
    return fd;
}

static bool
folders_make(const char *base)
{
    char path[512];
    char secret[sizeof targets.other + 16];
    int fd;

    (void)snprintf(targets.own, sizeof targets.own, "%s/own", base);
    (void)snprintf(targets.other, sizeof targets.other, "%s/other", base);
    (void)snprintf(secret, sizeof secret, "%s/secret", targets.other);
    (void)snprintf(path, sizeof path, "%s/link-to-secret", targets.own);
    if (chmod(base, 0755) != 0 || mkdir(targets.own, 0700) != 0 || mkdir(targets.other, 0700) != 0 || symlink(secret, path) != 0)
        return false;
    fd = open(secret, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "s", 1) != 1 || close(fd) != 0)
        return false;
    return geteuid() != 0 || (chown(targets.own, room_uid, room_gid) == 0 && chown(targets.other, room_uid, room_gid) == 0 &&
                              chown(secret, room_uid, room_gid) == 0);
}

/* A copy of ourselves in the stage's folder: the build tree may lie beneath a folder that rooms cannot pass. */
static bool
program_copy(const char *base)
{
    char command[2048];
    char self[512];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

    self[len > 0 ? len : 0] = '\0';
    (void)snprintf(program, sizeof program, "%s/jail_run", base);
    (void)snprintf(command, sizeof command, "cp '%s' '%s' && chmod 755 '%s'", self, program, program);
    return system(command) == 0;
}

static void
report_print(void)
{
    for (int i = 0; i < LAYERS; i++)
        printf("layer %-14s %-10s %s\n", jail_layer_name((enum jail_layer)i),
               probed.layer[i].state == LAYER_ON ? "on" : probed.layer[i].state == LAYER_ABSENT ? "absent" : "not needed",
               probed.layer[i].reason);
}

static int
outside(const char *syscalls_list)
{
    char base[] = "/tmp/dormouse-jail-XXXXXX";
    struct jail_spec spec;
    struct tally tally = { 0 };
    struct err err = { 0 };
    char command[128];
    int listener;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    jail_user(&room_uid, &room_gid);
    listener = listener_start();
    if (listener < 0 || mkdtemp(base) == NULL || !folders_make(base) || !program_copy(base)) {
        printf("cannot set the stage: %s\n0 passed, 1 failed\n", strerror(errno));
        return 1;
    }
    targets.victim = victim_start();
    spec_fill(&spec, ROLE_WORKER, JAIL_REQUIRED);
    if (jail_probe(&spec, &probed, &err)) {
        report_print();
        if (!has_outer_layers())
            printf("no namespaces here: attacks are tried with all layers only\n");
        tally.failed += own_folder_works() ? 0 : 1;
        for (unsigned i = 0; i < attacks_count; i++)
            attack_everywhere(&attacks[i], &tally);
    } else {
        printf("the sandbox does not work here: %s\n", err.message);
        tally.failed++;
    }
    (void)kill(targets.victim, SIGKILL);
    (void)waitpid(targets.victim, NULL, 0);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", base);
    (void)!system(command);
    (void)close(listener);
    if (tally.unproven > (geteuid() == 0 ? attacks_count / 4 : attacks_count / 2)) {     /* some need root to work at all */
        printf("FAIL  %u attacks fail without a jail too: this machine cannot prove the jail\n", tally.unproven);
        tally.failed++;
    }
    if (syscalls_list != NULL) {
        bool ok = jail_sweep(syscalls_list);

        tally.passed += ok ? 1 : 0;
        tally.failed += ok ? 0 : 1;
    }
    printf("%u passed, %u failed\n", tally.passed, tally.failed);
    return tally.failed == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
    if (argc == 9)
        return inside(argv);
    return outside(argc == 2 ? argv[1] : NULL);
}
