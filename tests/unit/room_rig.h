/*
 * room_rig — a whole room in a forked child, for tests that play its supervisor and its peers over real links. Included once per
 * program, which says its WAIT_MS.
 */
#ifndef DORMOUSE_ROOM_RIG_H
#define DORMOUSE_ROOM_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/ipc/link.h"
#include "lib/ipc/room.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"

static struct loop *loop;
static struct loop_timer *hang;
static bool is_hung;
static pid_t child;                        /* the room; 0: none */

#define RUN_UNTIL(condition)                                                                                           \
    while (!(condition)) {                                                                                             \
        assert_false(is_hung);                                                                                         \
        loop_run_once(loop);                                                                                           \
    }

static void
on_hang(void *owner)
{
    is_hung = true;
}

/* Makes the loop, in which RUN_UNTIL fails after WAIT_MS. */
static void
rig_open(unsigned wait_ms)
{
    loop = loop_create();
    is_hung = false;
    hang = loop_timer_create(loop, on_hang, NULL);
    loop_timer_arm(hang, wait_ms);
}

static void
rig_close(void)
{
    loop_timer_destroy(&hang);
    loop_destroy(&loop);
}

/* Our end FD of a link on which we are ROLE. */
static struct link *
rig_link(int fd, enum role role, uint16_t index, const char *app, const struct link_events *events, void *owner)
{
    const struct msg_HELLO hello = { IPC_VERSION, (uint8_t)role, index, 1, bytes_of(app) };

    return link_open(loop, fd, &hello, events, owner);
}

/* Introduces a peer to the room, as its supervisor does; gives the peer's end. */
static int
rig_introduce(struct link *supervisor, enum role role, uint16_t index, const char *app)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    msg_LINK_pack(link_out(supervisor), &(struct msg_LINK){ (uint8_t)role, index, 1, bytes_of(app) });
    link_send_fd(supervisor, fds[1]);
    return fds[0];
}

/* Forks a room as the supervisor starts it, with descriptor 3 to us; gives our end. */
static int
rig_fork(int argc, char **argv, const struct room_spec *spec)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (fds[1] != 3)
            dup2(fds[1], 3);
        for (int fd = 4; fd < 64; fd++)
            close(fd);
        exit(room_main(argc, argv, spec));
    }
    sys_close(fds[1]);
    return fds[0];
}

#endif
