/*
 * supervisor_shell — see supervisor_shell.h. This file: the house as a whole, the lives of its rooms, the stop.
 */
#include "src/supervisor/supervisor_shell.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/supervisor/supervisor_folders.h"
#include "src/supervisor/supervisor_house.h"

#define LOG_LINE_MAX 1024

void
house_log(struct house *house, int level, const char *fmt, ...)
{
    static const char *const levels[] = { "debug: ", "", "warning: ", "error: " };
    char text[LOG_LINE_MAX];
    char line[LOG_LINE_MAX + 32];
    va_list args;
    int len;

    assert(level >= 0 && level <= 3);
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);           /* a longer line is cut */
    va_end(args);
    len = snprintf(line, sizeof line, "supervisor: %s%s\n", levels[level], text);
    (void)sys_write(STDERR_FILENO, line, (size_t)len);       /* nobody is left to tell when stderr fails */
}

struct house_room *
house_find(struct house *house, enum role role, uint16_t index, const char *app)
{
    struct house_room *room;

    list_each (room, &house->rooms, struct house_room, in_house)
        if (room->role == role && room->index == index && strcmp(room->app, app) == 0)
            return room;
    return NULL;
}

void
room_label(const struct house_room *room, char out[ROOM_LABEL_MAX])
{
    if (room->app[0] == '\0')
        (void)snprintf(out, ROOM_LABEL_MAX, "%s", role_name(room->role));
    else if (room->build_conf != NULL)
        (void)snprintf(out, ROOM_LABEL_MAX, "build-%s-%u", room->app, (unsigned)room->build);
    else
        (void)snprintf(out, ROOM_LABEL_MAX, "%s-%s-%u", role_name(room->role), room->app, (unsigned)room->index);
}

/* ---- lives ------------------------------------------------------------------------------------------------------ */

static void
room_due(void *owner)
{
    room_event(owner, LIFE_DUE, 0);
}

struct house_room *
room_add(struct house *house, enum role role, uint16_t index, const char *app)
{
    struct house_room *room = calloc(1, sizeof *room);

    assert(room != NULL);
    assert(house->rooms_count < ROOMS_MAX);
    assert(strlen(app) < sizeof room->app);
    room->house = house;
    room->role = role;
    room->index = index;
    memcpy(room->app, app, strlen(app) + 1);
    room->pid_fd = room->report_fd = -1;
    room->timer = loop_timer_create(house->loop, room_due, room);
    list_push_back(&house->rooms, &room->in_house);
    house->rooms_count++;
    return room;
}

static void
room_remove(struct house_room *room)
{
    struct house *house = room->house;

    assert(room->pid == 0);
    list_remove(&room->in_house);
    house->rooms_count--;
    loop_timer_destroy(&room->timer);
    free(room->build_conf);
    free(room);
    house->is_status_due = true;
    house_work_soon(house);
}

static void
room_send_stop(struct house_room *room, uint32_t grace_ms)
{
    if (room->link != NULL)
        msg_STOP_pack(link_out(room->link), &(struct msg_STOP){ grace_ms });
}

static void
room_kill(struct house_room *room)
{
    char label[ROOM_LABEL_MAX];

    if (room->pid == 0)
        return;
    room_label(room, label);
    if (room->link == NULL && room->life.state != LIFE_STOPPING)
        house_log(room->house, 3, "%s closed its link but lives on, and is killed", label);
    else if (room->life.state == LIFE_STARTING)
        house_log(room->house, 3, "%s was not ready within %d s and is killed", label, START_LIMIT_MS / 1000);
    else
        house_log(room->house, 2, "%s did not stop in time and is killed", label);
    if (room->house->is_stopping)
        room->house->had_to_kill = true;
    (void)kill(room->pid, SIGKILL);                          /* it is our child and not reaped: the id is its own */
}

void
room_event(struct house_room *room, enum life_event event, uint32_t grace_ms)
{
    int64_t now_ms = clock_mono_ms();
    enum life_effect effect = life_step(&room->life, event, now_ms, grace_ms);

    room->house->is_status_due = true;
    loop_timer_disarm(room->timer);
    if (room->life.due_ms > now_ms)
        loop_timer_arm(room->timer, (uint64_t)(room->life.due_ms - now_ms));
    switch (effect) {
    case LIFE_SPAWN:     room_start_process(room); break;
    case LIFE_SEND_STOP: room_send_stop(room, grace_ms); break;
    case LIFE_KILL:      room_kill(room); break;
    case LIFE_FORGET:    room_remove(room); break;
    case LIFE_WAIT:
    case LIFE_NOTHING:   break;
    }
}

/* ---- stop ------------------------------------------------------------------------------------------------------- */

/* Stops the rooms of the present phase; when none is left, the next phase. */
static void
stop_advance(struct house *house)
{
    int64_t left_ms = house->stop_deadline_ms - clock_mono_ms() - (STOP_PHASES - 1 - house->phase) * STOP_PHASE_MS;
    struct house_room *room;
    struct house_room *next = NULL;

    for (; house->phase < STOP_PHASES; house->phase++) {
        list_each (room, &house->rooms, struct house_room, in_house)
            if (stop_phase(room->role) == house->phase && room->life.state != LIFE_STOPPING)
                next = room;
        if (next != NULL)
            break;
        list_each (room, &house->rooms, struct house_room, in_house)
            if (stop_phase(room->role) == house->phase)
                return;                                      /* they are stopping; their end comes back here */
    }
    if (next == NULL) {
        loop_stop(house->loop);
        return;
    }
    room_event(next, LIFE_STOP, left_ms > 0 ? (uint32_t)left_ms : 0);   /* may remove it: one room at a time */
    house_work_soon(house);
}

static void
house_work(void *owner)
{
    struct house *house = owner;

    if (house->is_stopping)
        stop_advance(house);
    else
        apps_settle(house);
}

void
house_work_soon(struct house *house)
{
    loop_timer_arm(house->work, 0);
}

static void
stop_at_once(struct house *house)
{
    struct house_room *room;

    list_each (room, &house->rooms, struct house_room, in_house)
        room_kill(room);
}

static void
stop_signal(void *owner, int signo)
{
    struct house *house = owner;

    if (house->is_stopping) {
        house_log(house, 2, "stopping at once");
        stop_at_once(house);
        return;
    }
    house_log(house, 1, "stopping; a second signal stops at once");
    house->is_stopping = true;
    house->phase = 0;
    house->stop_deadline_ms = clock_mono_ms() + STOP_GRACE_MS;
    house_work_soon(house);
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

/* What this machine offers, tried once in a child; rooms skip what did not work. Root that cannot reach the data as another
 * user (a closed home folder, and no root of one's own) stays root without capabilities, and says so. */
static bool
probe_sandbox(struct house *house, struct err *err)
{
    const struct supervisor_config *config = house->config;
    struct jail_spec spec = { .role = ROLE_GATEWAY, .mode = config->sandbox, .exec_path = config->bin };
    char barrier[PATH_MAX];
    struct err why = { 0 };

    if (config->sandbox == JAIL_OFF) {
        house_log(house, 2, "the sandbox is off: an agent's code could reach whatever this user can");
        house->uid = geteuid();
        house->gid = getegid();
        return true;
    }
    jail_user(&house->uid, &house->gid);
    spec.uid = house->uid;
    spec.gid = house->gid;
    if (!jail_probe(&spec, &house->probed, err))
        return false;
    if (house->probed.layer[LAYER_MOUNTS].state != LAYER_ON && geteuid() == 0 &&
        (!folder_is_reachable(config->data, house->uid, house->gid, barrier, sizeof barrier) ||
         !folder_is_reachable(config->bin, house->uid, house->gid, barrier, sizeof barrier))) {
        house_log(house, 2, "rooms stay root (without capabilities): another user could not pass '%s'", barrier);
        house->uid = 0;
        house->gid = 0;
    }
    if (!jail_cgroup_open(&why))
        house_log(house, config->worker_memory_bytes_max > 0 || config->worker_cpu_percent_max > 0 ? 2 : 1, "no cgroup limits: %s", why.message);
    return true;
}

static bool
open_folders(struct house *house, struct err *err)
{
    const struct supervisor_config *config = house->config;

    return folder_make(config->data, house->uid, house->gid, err) && folder_lock(config->data, &house->lock_fd, err);
}

static bool
open_listeners(struct house *house, struct err *err)
{
    const struct supervisor_config *config = house->config;
    const struct listener *listener = NULL;
    struct listener *admin;

    for (size_t i = 0; i < config->listen_count; i++)
        if (!house_listen(house, "main", config->listen[i], &listener, err))
            return false;
    if (house->listeners_count == LISTENERS_MAX)
        return err_set(err, ERR_LIMIT, 0, "more than %d listening sockets", LISTENERS_MAX);
    admin = &house->listeners[house->listeners_count];
    *admin = (struct listener){ .name = "admin", .role = ROLE_CONTROL };
    if (strlen(config->admin) >= sizeof admin->address)
        return err_set(err, ERR_CONFIG, 0, "the admin socket's path '%s' is too long; set 'admin' to a shorter one", config->admin);
    (void)snprintf(admin->address, sizeof admin->address, "%s", config->admin);
    if (!listen_unix(config->admin, &admin->fd, err))
        return false;
    house->listeners_count++;
    return true;
}

static void
before_wait(void *owner)
{
    struct house *house = owner;

    if (house->is_status_due)
        status_send(house);
}

static void
open_rooms(struct house *house)
{
    static const enum role roles[] = { ROLE_JOURNAL, ROLE_CONTROL, ROLE_SCHEDULER, ROLE_EGRESS, ROLE_GATEWAY };

    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        room_event(room_add(house, roles[i], 0, ""), LIFE_START, 0);
}

bool
house_open(struct house **out_house, const struct supervisor_config *config, struct err *err)
{
    struct house *house = calloc(1, sizeof *house);

    assert(house != NULL);
    house->config = config;
    house->lock_fd = -1;
    list_init(&house->rooms);
    list_init(&house->apps);
    /* Before the loop exists: the probe forks, and wants no descriptors of ours. */
    if (!probe_sandbox(house, err) || !open_folders(house, err) || !open_listeners(house, err)) {
        house_close(&house);
        return false;
    }
    house->loop = loop_create();
    house->work = loop_timer_create(house->loop, house_work, house);
    (void)loop_signal(house->loop, SIGTERM, stop_signal, house);     /* live as long as the loop */
    (void)loop_signal(house->loop, SIGINT, stop_signal, house);
    (void)loop_before_wait(house->loop, before_wait, house);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    open_rooms(house);
    watch_begin(house);
    breaches_begin(house);
    *out_house = house;
    return true;
}

int
house_run(struct house *house)
{
    loop_run(house->loop);
    return house->had_to_kill ? 1 : 0;
}

void
house_close(struct house **house)
{
    struct house *it = *house;
    struct app *app;

    if (it == NULL)
        return;
    assert(list_is_empty(&it->rooms));
    for (size_t i = 0; i < it->listeners_count; i++) {
        sys_close(it->listeners[i].fd);
        if (it->listeners[i].role == ROLE_CONTROL)
            (void)sys_unlinkat(AT_FDCWD, it->listeners[i].address, 0);   /* a stale one is replaced at the next start */
    }
    list_each (app, &it->apps, struct app, in_house) {
        list_remove(&app->in_house);
        free(app->conf);
        free(app);
    }
    buf_fini(&it->status_sent);
    loop_timer_destroy(&it->work);
    loop_timer_destroy(&it->watch);
    breaches_end(it);
    if (it->loop != NULL)
        loop_destroy(&it->loop);
    jail_cgroup_close();
    sys_close(it->lock_fd);
    free(it);
    *house = NULL;
}
