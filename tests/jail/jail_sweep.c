/*
 * jail_sweep — see jail_sweep.h.
 */
#include "tests/jail/jail_sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/jail/jail.h"

#define SYSCALLS_MAX 512               /* above the highest number of any kernel today */
#define LIST_BYTES   (16 * 1024)

static const enum role roles[] = { ROLE_WORKER, ROLE_GATEWAY, ROLE_EGRESS, ROLE_SCHEDULER, ROLE_CONTROL, ROLE_JOURNAL };

static NORETURN void
child_try(enum role role, int number)
{
    struct jail_spec spec = { .role = role, .mode = JAIL_REQUIRED };
    struct jail_report report = { 0 };
    struct err err = { 0 };
    const long junk = -1;

    (void)alarm(5);                                          /* one that waits got through */
    if (!jail_enter_spec(&spec, &report, &err))
        _exit(3);
    (void)syscall(number, junk, junk, junk, junk, junk, junk);
    _exit(0);
}

/* 1: got past the filter, 0: did not, -1: the test broke. */
static int
syscall_passes(enum role role, int number)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        child_try(role, number);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || (WIFEXITED(status) && WEXITSTATUS(status) == 3))
        return -1;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? 0 : 1;
}

/* Is NAME in the line "ROLE: name name …" of LIST? */
static bool
list_names(const char *list, enum role role, const char *name)
{
    char word[80];
    const char *line;
    const char *at;

    (void)snprintf(word, sizeof word, "\n%s:", role_name(role));
    line = strstr(list, word);
    (void)snprintf(word, sizeof word, " %s", name);
    for (at = line != NULL ? strstr(line + 1, word) : NULL; at != NULL; at = strstr(at + 1, word)) {
        if (memchr(line + 1, '\n', (size_t)(at - line - 1)) != NULL)
            return false;
        if (at[strlen(word)] == ' ' || at[strlen(word)] == '\n')
            return true;
    }
    return false;
}

static bool
role_sweep(const char *list, enum role role)
{
    bool ok = true;

    for (int number = 0; number < SYSCALLS_MAX; number++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
        int passes = name != NULL ? syscall_passes(role, number) : 0;

        if (passes < 0 || (passes > 0) != (name != NULL && list_names(list, role, name))) {
            printf("FAIL  sweep: %s %s %s\n", role_name(role), name,
                   passes < 0 ? "could not be tried" : passes > 0 ? "passes the filter, and is not in the list" : "is in the list, and does not pass");
            ok = false;
        }
        free(name);
    }
    return ok;
}

static void
list_print(void)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        printf("%s:", role_name(roles[i]));
        for (int number = 0; number < SYSCALLS_MAX; number++) {
            char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);

            if (name != NULL && syscall_passes(roles[i], number) > 0)
                printf(" %s", name);
            free(name);
        }
        printf("\n");
    }
}

bool
jail_sweep(const char *list_path)
{
    static char list[LIST_BYTES] = "\n";
    int fd = open(list_path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, list + 1, sizeof list - 2) : -1;
    bool ok = true;

    (void)close(fd);
    (void)fflush(stdout);
    if (len <= 0) {
        list_print();
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        ok = role_sweep(list, roles[i]) && ok;
    if (ok)
        printf("ok    sweep of all syscalls as %zu roles\n", ARRAY_LEN(roles));
    return ok;
}
