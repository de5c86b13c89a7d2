/*
 * cli_child — see cli_child.h.
 */
#include "src/cli/cli_child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/cli/cli_limits.h"

enum { READ_BYTES = 16 * 1024, EXIT_NO_PROGRAM = 127 };

struct stream {
    struct child     *child;
    enum child_stream which;
    int               fd;
    struct loop_poll *poll;
    struct buf        in;
};

struct child {
    pid_t                      pid;            /* 0 once it was waited for */
    int                        pid_fd, input;
    struct loop_poll          *death;
    struct stream              streams[CHILD_STREAMS];
    const struct child_events *events;
    void                      *owner;
};

static void
stream_lines(struct stream *s, bool at_end)
{
    size_t at = 0;
    const uint8_t *end;

    while (s->in.len > at && (end = memchr(s->in.data + at, '\n', s->in.len - at)) != NULL) {
        size_t len = (size_t)(end - (s->in.data + at));

        s->child->events->line(s->child->owner, s->which, bytes_from(s->in.data + at, len));
        at += len + 1;
    }
    buf_consume(&s->in, at);
    if (s->in.len > 0 && (at_end || s->in.len > BUNDLER_LINE_MAX_BYTES)) {
        s->child->events->line(s->child->owner, s->which, buf_view(&s->in));
        buf_clear(&s->in);
    }
}

static void
stream_close(struct stream *s)
{
    if (s->fd < 0)
        return;
    loop_poll_destroy(&s->poll);
    (void)sys_close(STEAL_FD(s->fd));
}

static void
stream_read(struct stream *s)
{
    while (s->fd >= 0) {
        ssize_t got;

        buf_reserve(&s->in, READ_BYTES);
        got = sys_read(s->fd, s->in.data + s->in.len, READ_BYTES);
        if (got > 0) {
            s->in.len += (size_t)got;
            stream_lines(s, false);
            continue;
        }
        if (got < 0 && errno == EAGAIN)
            return;
        stream_close(s);
        stream_lines(s, true);
    }
}

static void
on_readable(void *owner, int events)
{
    stream_read(owner);
}

static void
on_death(void *owner, int events)
{
    struct child *child = owner;
    int status = 0;

    if (waitpid(child->pid, &status, WNOHANG) != child->pid)
        return;
    child->pid = 0;
    loop_poll_destroy(&child->death);
    for (int i = 0; i < CHILD_STREAMS; i++)
        stream_read(&child->streams[i]);
    child->events->ended(child->owner, status);
}

/* Between fork and exec: only what is safe there. */
static void
child_run(const struct child_spec *spec, int input, const int out[CHILD_STREAMS], pid_t parent)
{
    const struct sigaction plain = { .sa_handler = SIG_DFL };
    int null = open("/dev/null", O_RDWR);

    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXIT_NO_PROGRAM);    /* we were too late: the parent is gone */
    (void)sigaction(SIGPIPE, &plain, NULL);
    (void)sigaction(SIGINT, &plain, NULL);
    (void)dup2(input >= 0 ? input : null, STDIN_FILENO);
    if (out[CHILD_OUT] >= 0)
        (void)dup2(out[CHILD_OUT], STDOUT_FILENO);
    if (out[CHILD_ERR] >= 0)
        (void)dup2(out[CHILD_ERR], STDERR_FILENO);
    if (spec->keep_fd >= 0)
        (void)fcntl(spec->keep_fd, F_SETFD, 0);
    if (spec->folder != NULL && chdir(spec->folder) != 0)
        _exit(EXIT_NO_PROGRAM);
    (void)execvp(spec->argv[0], (char *const *)spec->argv);
    _exit(EXIT_NO_PROGRAM);
}

static void
stream_init(struct child *child, struct loop *loop, enum child_stream which, int fd)
{
    struct stream *s = &child->streams[which];

    s->child = child;
    s->which = which;
    s->fd = fd;
    if (fd < 0)
        return;
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    s->poll = loop_poll_create(loop, fd, on_readable, s);
    loop_poll_set(s->poll, LOOP_READABLE);
}

static bool
pipes_make(const struct child_spec *spec, int input[2], int out[CHILD_STREAMS][2])
{
    bool ok = !spec->has_input || pipe2(input, O_CLOEXEC) == 0;

    for (int i = 0; i < CHILD_STREAMS; i++)
        ok = ok && (!spec->is_piped[i] || pipe2(out[i], O_CLOEXEC) == 0);
    return ok;
}

bool
child_start(struct child **out_child, struct loop *loop, const struct child_spec *spec, const struct child_events *events, void *owner,
            struct err *err)
{
    int input[2] = { -1, -1 }, out[CHILD_STREAMS][2] = { { -1, -1 }, { -1, -1 } };
    struct child *child;
    pid_t parent = getpid(), pid = -1;
    bool ok = pipes_make(spec, input, out);

    (void)fflush(NULL);            /* what is buffered must not be written twice */
    if (ok)
        pid = fork();
    if (pid == 0)
        child_run(spec, input[0], (int[CHILD_STREAMS]){ out[CHILD_OUT][1], out[CHILD_ERR][1] }, parent);
    (void)sys_close(input[0]);
    for (int i = 0; i < CHILD_STREAMS; i++)
        (void)sys_close(out[i][1]);
    if (pid < 0) {
        (void)sys_close(input[1]);
        for (int i = 0; i < CHILD_STREAMS; i++)
            (void)sys_close(out[i][0]);
        return err_set(err, ERR_IO, 0, "Cannot start '%s': %s.", spec->argv[0], strerror(errno));
    }
    child = calloc(1, sizeof *child);
    assert(child != NULL);
    child->pid = pid;
    child->input = input[1];
    child->events = events;
    child->owner = owner;
    child->pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    assert(child->pid_fd >= 0);    /* the child exists, and our kernels have it (5.3) */
    (void)fcntl(child->pid_fd, F_SETFD, FD_CLOEXEC);
    stream_init(child, loop, CHILD_OUT, out[CHILD_OUT][0]);
    stream_init(child, loop, CHILD_ERR, out[CHILD_ERR][0]);
    child->death = loop_poll_create(loop, child->pid_fd, on_death, child);
    loop_poll_set(child->death, LOOP_READABLE);
    *out_child = child;
    return true;
}

void
child_signal(struct child *child, int signo)
{
    if (child != NULL && child->pid > 0)
        (void)kill(child->pid, signo);   /* it may have ended: then there is nothing to tell */
}

void
child_end_input(struct child *child)
{
    if (child != NULL)
        (void)sys_close(STEAL_FD(child->input));
}

int
child_pid(const struct child *child)
{
    return (int)child->pid;
}

void
child_destroy(struct child **child)
{
    struct child *c = STEAL(*child);

    if (c == NULL)
        return;
    if (c->pid > 0) {
        (void)kill(c->pid, SIGKILL);
        (void)waitpid(c->pid, NULL, 0);
    }
    loop_poll_destroy(&c->death);
    (void)sys_close(c->pid_fd);
    (void)sys_close(c->input);
    for (int i = 0; i < CHILD_STREAMS; i++) {
        stream_close(&c->streams[i]);
        buf_fini(&c->streams[i].in);
    }
    free(c);
}

bool
signal_is_ignored(int signo)
{
    struct sigaction now;

    return sigaction(signo, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}
