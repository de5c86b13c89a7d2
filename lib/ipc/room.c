/*
 * room — see room.h.
 *
 * Threads: none.
 */
#include "lib/ipc/room.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"

#define SUPERVISOR_FD  3
#define EXIT_ORPHAN    3 /* the supervisor is gone; nobody reads this, except who debugs */
#define LOG_LINE_BYTES 4096

/* One peer: from LINK to the end of its link. */
struct peer {
    struct room *room;
    struct link *link;
    enum role role;
    uint16_t index;
    uint32_t generation; /* of its link */
    char *app;
    bool is_up; /* link_up was told */
    struct list_node in_room;
};

struct room {
    const struct room_spec *spec;
    struct loop *loop;
    struct link *supervisor;
    struct list_node peers;
    uint16_t index;
    const char *app; /* from argv; "" for rooms that are not per app */
    bool is_started;
    bool is_exiting;
    int status;
    int log_level; /* lines below it are dropped */
};

static const char *const level_names[] = { "debug", "info", "warning", "error" };

/* ---- peers ---------------------------------------------------------------------------------------------------- */

static void
peer_drop(struct peer *peer, const struct err *err)
{
    struct room *room = peer->room;

    list_remove(&peer->in_room);
    if (peer->is_up && room->spec->link_down != NULL)
        room->spec->link_down(room, peer->link, err);
    link_destroy(&peer->link);
    free(peer->app);
    free(peer);
}

/* Control alone may ask: counters say what other apps do. */
static bool
handle_count(struct peer *peer, struct bytes payload, struct err *err)
{
    struct room *room = peer->room;
    struct buf json = { 0 };
    struct msg_COUNT msg;

    if (!msg_COUNT_unpack(&msg, payload, err))
        return false;
    if (peer->role != ROLE_CONTROL)
        return err_set(err, ERR_DENIED, 0, "COUNT is control's to say");
    buf_append_byte(&json, '{');
    if (room->is_started && room->spec->count != NULL)
        room->spec->count(room, &json);
    buf_append_byte(&json, '}');
    msg_COUNTED_pack(link_out(peer->link), &(struct msg_COUNTED){ .request = msg.request, .json = buf_view(&json) });
    buf_fini(&json);
    return true;
}

static bool
peer_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct peer *peer = owner;

    if (type == MSG_COUNT)
        return handle_count(peer, payload, err);
    return peer->room->spec->message(peer->room, link, type, payload, err);
}

static void
peer_closed(void *owner, struct link *link, const struct err *err)
{
    struct peer *peer = owner;

    if (err->code != ERR_LOST)
        room_log(peer->room, 2, "link to %s %u closed: %s", role_name(peer->role), peer->index, err->message);
    if (!peer->room->is_exiting)
        msg_LINK_LOST_pack(link_out(peer->room->supervisor),
                           &(struct msg_LINK_LOST){ .role = (uint8_t)peer->role, .index = peer->index, .generation = peer->generation,
                                                    .app = bytes_of(peer->app) });
    peer_drop(peer, err);
}

static void
peer_up(void *owner, struct link *link)
{
    struct peer *peer = owner;

    peer->is_up = true;
    if (peer->room->spec->link_up != NULL)
        peer->room->spec->link_up(peer->room, link);
}

static struct peer *
peer_find(struct room *room, enum role role, uint16_t index, struct bytes app)
{
    struct peer *peer;

    list_each (peer, &room->peers, struct peer, in_room)
        if (peer->role == role && peer->index == index && bytes_equal_str(app, peer->app))
            return peer;
    return NULL;
}

static struct msg_HELLO
hello_of(const struct room *room)
{
    return (struct msg_HELLO){
        .version = IPC_VERSION,
        .role = (uint8_t)room->spec->role,
        .index = room->index,
        .pid = (uint32_t)getpid(),
        .app = bytes_of(room->app),
    };
}

static void
peer_add(struct room *room, const struct msg_LINK *msg, int fd)
{
    static const struct link_events events = { peer_message, peer_closed, peer_up };
    struct peer *peer = peer_find(room, msg->role, msg->index, msg->app);
    struct msg_HELLO hello = hello_of(room);
    struct err err = { 0 };

    if (peer != NULL) {
        (void)err_set(&err, ERR_LOST, 0, "%s %u was started anew", role_name(msg->role), msg->index);
        peer_drop(peer, &err);
    }
    peer = calloc(1, sizeof *peer);
    assert(peer != NULL);
    peer->room = room;
    peer->role = msg->role;
    peer->index = msg->index;
    peer->generation = msg->generation;
    peer->app = bytes_dup(msg->app);
    list_push_back(&room->peers, &peer->in_room);
    peer->link = link_open(room->loop, fd, &hello, &events, peer);
}

/* ---- the supervisor's messages -------------------------------------------------------------------------------- */

/* "log_level" of CONF, which every room has. CONF itself is each room's to judge: what is not JSON is not our failure.
 */
static bool
read_log_level(struct room *room, struct bytes conf_json, struct err *err)
{
    json_t *conf = json_loadb((const char *)conf_json.data, conf_json.len, 0, NULL);
    const char *name = json_string_value(json_object_get(conf, "log_level"));
    bool ok = name == NULL;

    for (int level = 0; name != NULL && level < (int)ARRAY_LEN(level_names); level++) {
        if (strcmp(name, level_names[level]) != 0)
            continue;
        room->log_level = level;
        ok = true;
    }
    if (!ok)
        (void)err_set(err, ERR_CONFIG, 0, "log_level is '%s'; it can be debug, info, warning or error", name);
    json_decref(conf);
    return ok;
}

static bool
handle_conf(struct room *room, struct bytes payload, struct err *err)
{
    struct msg_CONF msg;

    if (!msg_CONF_unpack(&msg, payload, err))
        return false;
    if (room->is_started)
        return err_set(err, ERR_MALFORMED, 0, "second CONF");
    room->is_started = true;
    if (!read_log_level(room, msg.json, err) || !room->spec->start(room, msg.json, err)) {
        room_log(room, 3, "cannot start: %s", err->message);
        room_exit(room, 1);
    }
    return true;
}

static bool
handle_link(struct room *room, struct link *link, struct bytes payload, struct err *err)
{
    struct msg_LINK msg;
    int fd;

    if (!msg_LINK_unpack(&msg, payload, err))
        return false;
    if (msg.role == 0 || msg.role >= ROLES)
        return err_set(err, ERR_MALFORMED, 0, "LINK names role %u", msg.role);
    fd = link_take_fd(link);
    if (fd < 0)
        return err_set(err, ERR_MALFORMED, 0, "LINK came without a descriptor");
    peer_add(room, &msg, fd);
    return true;
}

static bool
handle_listen(struct room *room, struct link *link, struct bytes payload, struct err *err)
{
    struct msg_LISTEN msg;
    int fd;

    if (!msg_LISTEN_unpack(&msg, payload, err))
        return false;
    if (room->spec->listen == NULL)
        return err_set(err, ERR_MALFORMED, 0, "LISTEN came, but this room does not listen");
    fd = link_take_fd(link);
    if (fd < 0)
        return err_set(err, ERR_MALFORMED, 0, "LISTEN came without a descriptor");
    room->spec->listen(room, msg.name, msg.address, fd);
    return true;
}

static bool
handle_stop(struct room *room, struct bytes payload, struct err *err)
{
    struct msg_STOP msg;

    if (!msg_STOP_unpack(&msg, payload, err))
        return false;
    if (room->spec->stop != NULL && room->is_started)
        room->spec->stop(room, msg.grace_ms);
    else
        room_exit(room, 0);
    return true;
}

static bool
supervisor_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct room *room = owner;

    if (room->is_exiting)
        return true;
    if (type == MSG_CONF)
        return handle_conf(room, payload, err);
    if (type == MSG_STOP)
        return handle_stop(room, payload, err);
    if (!room->is_started)
        return err_set(err, ERR_MALFORMED, 0, "%s came before CONF", message_name(type));
    if (type == MSG_LINK)
        return handle_link(room, link, payload, err);
    if (type == MSG_LISTEN)
        return handle_listen(room, link, payload, err);
    return room->spec->message(room, link, type, payload, err);
}

static void
supervisor_closed(void *owner, struct link *link, const struct err *err)
{
    struct room *room = owner;

    if (room->is_exiting) {
        room->supervisor = NULL;       /* destroyed after this */
        return;
    }
    if (err->code != ERR_LOST)
        room_log(room, 3, "link to the supervisor closed: %s", err->message);
    _exit(EXIT_ORPHAN); /* at once: without its supervisor nobody would ever stop this process */
}

/* ---- the frame ------------------------------------------------------------------------------------------------ */

static bool
parse_args(struct room *room, int argc, char **argv)
{
    char *end = NULL;
    unsigned long index;

    room->app = argc > 2 ? argv[2] : "";
    if (argc < 2)
        return true;
    errno = 0;
    index = strtoul(argv[1], &end, 10);
    if (errno != 0 || end == argv[1] || *end != '\0' || index > UINT16_MAX || strlen(room->app) > NAME_MAX_BYTES)
        return false;
    room->index = (uint16_t)index;
    return true;
}

static void
ignore_signals(void)
{
    const struct sigaction ignore = { .sa_handler = SIG_IGN };

    /* A terminal's Ctrl-C reaches the whole group; the supervisor alone decides how rooms stop. Cannot fail for these.
     */
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGINT, &ignore, NULL);
    (void)sigaction(SIGHUP, &ignore, NULL);
}

static void
room_fini(struct room *room)
{
    struct peer *peer;

    list_each (peer, &room->peers, struct peer, in_room) {
        link_flush(peer->link);
        list_remove(&peer->in_room);
        link_destroy(&peer->link);
        free(peer->app);
        free(peer);
    }
    if (room->supervisor != NULL)
        link_flush(room->supervisor);
    link_destroy(&room->supervisor);
    loop_destroy(&room->loop);
}

int
room_main(int argc, char **argv, const struct room_spec *spec)
{
    static const struct link_events events = { supervisor_message, supervisor_closed, NULL };
    struct room room = { .spec = spec, .log_level = 1 };
    struct stat st;
    struct msg_HELLO hello;

    assert(spec->start != NULL);
    assert(spec->message != NULL);
    if (!parse_args(&room, argc, argv) || sys_fstat(SUPERVISOR_FD, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        (void)fprintf(stderr,
                      "dormouse-%s is a room of Dormouse and is started by its supervisor: run `dormouse serve`.\n",
                      spec->name);
        return 2;
    }
    (void)prctl(PR_SET_NAME, spec->name); /* cosmetic */
    ignore_signals();
    map_seed(rng_u64());
    list_init(&room.peers);
    room.loop = loop_create();
    hello = hello_of(&room);
    room.supervisor = link_open(room.loop, SUPERVISOR_FD, &hello, &events, &room);
    loop_run(room.loop);
    room_fini(&room);
    return room.status;
}

void
room_ready(struct room *room)
{
    msg_READY_pack(link_out(room->supervisor), &(struct msg_READY){ 0 });
}

void
room_exit(struct room *room, int status)
{
    if (room->is_exiting)
        return;
    room->is_exiting = true;
    room->status = status;
    loop_stop(room->loop);
}

struct loop *
room_loop(struct room *room)
{
    return room->loop;
}

struct link *
room_supervisor(struct room *room)
{
    return room->supervisor;
}

struct link *
room_link(struct room *room, enum role role, uint16_t index, const char *app)
{
    struct peer *peer = peer_find(room, role, index, bytes_of(app));

    return peer != NULL && peer->is_up ? peer->link : NULL;
}

uint16_t
room_index(const struct room *room)
{
    return room->index;
}

const char *
room_app(const struct room *room)
{
    return room->app;
}

/* ---- log lines ------------------------------------------------------------------------------------------------ */

static void
log_to_stderr(const struct room *room, int level, const char *text)
{
    struct buf line = { 0 };

    buf_printf(&line, "%s", room->spec->name);
    if (room->app[0] != '\0')
        buf_printf(&line, " %s/%u", room->app, room->index);
    buf_printf(&line, level == 1 ? ": %.0s%s\n" : ": %s: %s\n", level_names[level], text);
    (void)sys_write(STDERR_FILENO, line.data,
                    line.len); /* one write per line keeps lines whole; a full disk must not stop a room */
    buf_fini(&line);
}

void
room_log(struct room *room, int level, const char *fmt, ...)
{
    struct link *control = room_link(room, ROLE_CONTROL, 0, "");
    char text[LOG_LINE_BYTES];
    va_list args;

    assert(level >= 0);
    assert(level <= 3);
    if (level < room->log_level)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* a longer line is cut */
    va_end(args);
    log_to_stderr(room, level, text);
    if (control == NULL || room->spec->role == ROLE_CONTROL)
        return;
    msg_LOG_pack(link_out(control), &(struct msg_LOG){
                                        .level = (uint8_t)level,
                                        .time_ms = clock_wall_ms(),
                                        .text = bytes_of(text),
                                    });
}
