/*
 * supervisor_process — the process of a room: its start, its report on the sandbox, its death and the reason for it.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/supervisor/supervisor_folders.h"
#include "src/supervisor/supervisor_house.h"

#define STATUS_BYTES 4096              /* /proc/PID/status is about 1.5 KB */

/* ---- messages from a room --------------------------------------------------------------------------------------- */

/* How many filters of syscalls the process has, asked of the kernel; -1 when it does not say. */
static long
filters_of(const char *process)
{
    char path[32];
    char text[STATUS_BYTES];
    const char *at;
    ssize_t len;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%s/status", process);
    fd = sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return -1;
    len = sys_read(fd, text, sizeof text - 1);
    sys_close(fd);
    text[len > 0 ? len : 0] = '\0';
    at = strstr(text, "\nSeccomp_filters:");
    return at != NULL ? strtol(at + strlen("\nSeccomp_filters:"), NULL, 10) : -1;
}

/* Has the room a filter of its own? We may have some ourselves, from a service manager or a container: it inherited them. */
static bool
room_is_filtered(pid_t pid)
{
    char process[16];

    (void)snprintf(process, sizeof process, "%d", (int)pid);
    return filters_of(process) > filters_of("self");
}

static void
room_is_ready(struct house_room *room)
{
    const enum jail_mode mode = room->house->config->sandbox;
    char label[ROOM_LABEL_MAX];

    room_label(room, label);
    if (mode != JAIL_OFF && !room_is_filtered(room->pid)) {
        (void)snprintf(room->report.layer[LAYER_SECCOMP].reason, JAIL_REASON_MAX, "the room did not enter it");
#ifndef __SANITIZE_ADDRESS__
        house_log(room->house, 3, "%s serves without its syscall filter: it is below the floor of the sandbox and is stopped", label);
        (void)kill(room->pid, SIGKILL);
        return;
#endif
    } else if (mode != JAIL_OFF) {
        room->report.layer[LAYER_SECCOMP].state = LAYER_ON;
        (void)snprintf(room->report.layer[LAYER_SECCOMP].reason, JAIL_REASON_MAX, "allow list");
    }
    room_event(room, LIFE_READY, 0);
}

static bool
room_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct house_room *room = owner;
    struct msg_READY ready;

    if (type == MSG_READY) {
        if (!msg_READY_unpack(&ready, payload, err))
            return false;
        room_is_ready(room);
        return true;
    }
    if (type == MSG_LINK_LOST)
        return breach_message(room, payload, err);
    if (room->role == ROLE_CONTROL)
        return control_message(room->house, type, payload, err);
    return err_set(err, ERR_MALFORMED, 0, "message %u is not one that a %s sends", type, role_name(room->role));
}

static void
room_up(void *owner, struct link *link)
{
    room_send_pagemap(owner);
}

static void
room_closed(void *owner, struct link *link, const struct err *err)
{
    struct house_room *room = owner;
    char label[ROOM_LABEL_MAX];

    room_label(room, label);
    if (err->code != ERR_LOST)
        house_log(room->house, 3, "%s broke the rules: %s", label, err->message);
    link_destroy(&room->link);
    if (room->pid == 0 || room->life.state == LIFE_STOPPING)
        return;
    /* Without its link a room is of no use; its death follows and starts it again. One that is just exiting may do so: its
     * status tells more than a SIGKILL. */
    if (err->code != ERR_LOST)
        (void)kill(room->pid, SIGKILL);
    else
        loop_timer_arm(room->timer, KILL_MARGIN_MS);
}

/* ---- death ------------------------------------------------------------------------------------------------------ */

static void
death_explain(const struct house_room *room, int status, char *out, size_t size)
{
    char label[ROOM_LABEL_MAX];

    if (WIFEXITED(status)) {
        (void)snprintf(out, size, "ended with status %d", WEXITSTATUS(status));
        return;
    }
    if (WTERMSIG(status) == SIGSYS) {
        (void)snprintf(out, size, "was killed by the sandbox: it made a syscall that its role may not make");
        return;
    }
    room_label(room, label);
    (void)snprintf(out, size, "was killed by signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
                   WTERMSIG(status) == SIGKILL && jail_cgroup_oom_kills(label) > 0 ? ": out of memory (worker_memory_mb)" : "");
}

/* The first report says how far the sandbox got; a second one that exec failed. The pipe ends with exec. */
static void
report_drain(struct house_room *room)
{
    struct spawn_report report;
    char label[ROOM_LABEL_MAX];
    ssize_t len;

    room_label(room, label);
    while ((len = sys_read(room->report_fd, &report, sizeof report)) == (ssize_t)sizeof report) {
        room->report = report.jail;
        if (!report.is_ok)
            house_log(room->house, 3, "%s cannot be started: %s", label, report.err.message);
    }
    room->house->is_status_due = true;
    if (len < 0 && errno == EAGAIN)
        return;
    loop_poll_destroy(&room->report_poll);
    sys_close(STEAL_FD(room->report_fd));
}

static void
report_event(void *owner, int events)
{
    report_drain(owner);
}

static void
process_forget(struct house_room *room)
{
    char label[ROOM_LABEL_MAX];

    if (room->report_fd >= 0)
        report_drain(room);
    loop_poll_destroy(&room->report_poll);
    sys_close(STEAL_FD(room->report_fd));
    loop_poll_destroy(&room->death);
    sys_close(STEAL_FD(room->pid_fd));
    link_destroy(&room->link);
    room->pid = 0;
    room_label(room, label);
    jail_cgroup_remove(label);
}

static void
death_event(void *owner, int events)
{
    struct house_room *room = owner;
    char why[256];
    char label[ROOM_LABEL_MAX];
    bool is_expected;
    int status = 0;

    if (waitpid(room->pid, &status, WNOHANG) != room->pid)
        return;
    death_explain(room, status, why, sizeof why);
    room_label(room, label);
    is_expected = (room->life.state == LIFE_STOPPING || room->build_conf != NULL) && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!is_expected)
        house_log(room->house, room->life.state == LIFE_STOPPING ? 2 : 3, "%s (pid %d) %s", label, (int)room->pid, why);
    process_forget(room);
    if (room->build_conf != NULL)
        build_ended(room, is_expected ? NULL : why);
    room_event(room, LIFE_DIED, 0);
}

/* ---- start ------------------------------------------------------------------------------------------------------ */

const char *
worker_folder(const struct house_room *room)
{
    return room->build_conf != NULL ? "/deploys" : "/agents";
}

static bool
folder_for(struct house_room *room, char *out, size_t size, struct err *err)
{
    const struct supervisor_config *config = room->house->config;

    if (room->role == ROLE_WORKER)
        (void)snprintf(out, size, "%s/apps/%s%s", config->data, room->app, worker_folder(room));
    else if (room->role == ROLE_GATEWAY)
        (void)snprintf(out, size, "%s/apps", config->data);
    else if (room->role == ROLE_SCHEDULER)
        (void)snprintf(out, size, "%s/scheduler", config->data);
    else if (room->role == ROLE_JOURNAL)
        (void)snprintf(out, size, "%s/journal", config->data);
    else if (room->role == ROLE_CONTROL)
        (void)snprintf(out, size, "%s", config->data);
    else
        return true;
    return folder_make(out, room->house->uid, room->house->gid, err);
}

/* What a room reads beside the folder that is its own: made now, so that the sandbox can show it. */
static bool
folder_read_for(struct house_room *room, char *out, size_t size, struct err *err)
{
    const struct supervisor_config *config = room->house->config;

    if (room->role == ROLE_WORKER)
        (void)snprintf(out, size, "%s/apps/%s/deploys", config->data, room->app);
    else if (room->role == ROLE_JOURNAL)
        (void)snprintf(out, size, "%s/apps", config->data);  /* to sync its file system; the room's inner rules close it */
    else
        return true;
    return folder_make(out, room->house->uid, room->house->gid, err);
}

static bool
room_spawn_process(struct house_room *room, struct spawned *out_spawned, struct err *err)
{
    const struct supervisor_config *config = room->house->config;
    char program[PATH_MAX];
    char folder[PATH_MAX] = "";
    char read_folder[PATH_MAX] = "";
    char label[ROOM_LABEL_MAX];
    struct spawn_spec spec = { .index = room->index, .app = room->app, .probed = &room->house->probed };

    if (!folder_for(room, folder, sizeof folder, err) || !folder_read_for(room, read_folder, sizeof read_folder, err))
        return false;
    (void)snprintf(program, sizeof program, "%s/dormouse-%s", config->bin, role_name(room->role));
    room_label(room, label);
    spec.jail = (struct jail_spec){
        .role = room->role, .mode = config->sandbox, .uid = room->house->uid, .gid = room->house->gid, .exec_path = program,
        .cgroup = label,
    };
    if (room->role == ROLE_GATEWAY)
        spec.jail.read[0] = folder;
    else if (folder[0] != '\0')
        spec.jail.write[0] = folder;
    if (read_folder[0] != '\0')
        spec.jail.read[0] = read_folder;
    if (room->role == ROLE_WORKER) {
        if (config->runtime[0] != '\0')
            spec.jail.read[1] = config->runtime;
        spec.jail.memory_bytes_max = config->worker_memory_bytes_max;
        spec.jail.cpu_percent_max = config->worker_cpu_percent_max;
    }
    return room_spawn(&spec, out_spawned, err);
}

/* Called from the life of a room; a failure becomes a death, which waits and tries again. */
void
room_start_process(struct house_room *room)
{
    static const struct link_events events = { room_message, room_closed, room_up };
    struct house *house = room->house;
    struct msg_HELLO hello = { .version = IPC_VERSION, .role = ROLE_SUPERVISOR, .pid = (uint32_t)getpid() };
    struct spawned spawned;
    struct err err = { 0 };
    char label[ROOM_LABEL_MAX];

    assert(room->pid == 0);
    room_label(room, label);
    if (!room_spawn_process(room, &spawned, &err)) {
        house_log(house, 3, "%s cannot be started: %s", label, err.message);
        room_event(room, LIFE_DIED, 0);
        return;
    }
    room->pid = spawned.pid;
    room->pid_fd = spawned.pid_fd;
    room->report_fd = spawned.report_fd;
    room->links_unflushed = 0;
    room->own_pressure = room->told_pressure = PRESSURE_EASE;
    room->death = loop_poll_create(house->loop, room->pid_fd, death_event, room);
    loop_poll_set(room->death, LOOP_READABLE);
    room->report_poll = loop_poll_create(house->loop, room->report_fd, report_event, room);
    loop_poll_set(room->report_poll, LOOP_READABLE);
    room->link = link_open(house->loop, spawned.link_fd, &hello, &events, room);
    if (room->role == ROLE_CONTROL)
        buf_clear(&house->status_sent);                      /* a new control knows nothing */
    room_introduce(room);
}
