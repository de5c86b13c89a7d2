/*
 * cli_child — a program that we start and that never outlives us.
 *
 * Promise: the child is in a process group of its own, so that Ctrl-C reaches us alone; it gets SIGTERM when we die, however we
 * die. Its output comes as lines, the last of them before its end is told.
 * Threads: none; belongs to one loop.
 */
#ifndef DORMOUSE_CLI_CHILD_H
#define DORMOUSE_CLI_CHILD_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct child;
struct loop;

enum child_stream { CHILD_OUT, CHILD_ERR, CHILD_STREAMS };

struct child_spec {
    const char *const *argv;       /* NULL-terminated; argv[0] is looked up in PATH when it has no slash */
    const char        *folder;     /* to start in; NULL: ours */
    bool               has_input;  /* a pipe as stdin, closed by child_end_input(); else /dev/null */
    bool               is_piped[CHILD_STREAMS];   /* lines for us; else the stream is ours too */
    int                keep_fd;    /* stays open in the child under this number; -1: none */
};

struct child_events {
    void (*line)(void *owner, enum child_stream stream, struct bytes line);
    /* STATUS as waitpid() gives it. The owner destroys the child. */
    void (*ended)(void *owner, int status);
};

MUST_USE bool child_start(struct child **out_child, struct loop *loop, const struct child_spec *spec, const struct child_events *events,
                          void *owner, struct err *err);
void child_signal(struct child *child, int signo);      /* NULL or ended: nothing */
void child_end_input(struct child *child);
int  child_pid(const struct child *child);
/* Is the signal ignored, as nohup leaves SIGHUP? Then it stays so. */
bool signal_is_ignored(int signo);
/* Kills it when it still runs, and waits for it. */
void child_destroy(struct child **child);

#endif
