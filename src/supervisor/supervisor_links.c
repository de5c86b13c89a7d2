/*
 * supervisor_links — what a room is told when its process starts: CONF, its listening sockets, a link to each living peer.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/conf/conf.h"
#include "lib/sys/sys.h"
#include "src/supervisor/supervisor_house.h"

/* ---- CONF ---------------------------------------------------------------------------------------------------- */

static void
put_path_value(struct buf *out, const char *a, const char *b, const char *c)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s%s%s", a, b, c);    /* what is longer does not exist: the start failed before */
    conf_put_text(out, path);
}

/* ,"NAME":"abc" */
static void
put_path(struct buf *out, const char *name, const char *a, const char *b, const char *c)
{
    buf_printf(out, ",\"%s\":", name);
    put_path_value(out, a, b, c);
}

/* ,"jail":{"ACCESS":["abc"]} */
static void
put_jail(struct buf *out, const char *access, const char *a, const char *b, const char *c)
{
    buf_printf(out, ",\"jail\":{\"%s\":[", access);
    put_path_value(out, a, b, c);
    buf_append_str(out, "]}");
}

#define BOOT_ID_BYTES 36               /* a UUID's text */

/* The kernel's name for the time since the machine was started; rooms see no /proc. Empty when it has none. */
static void
put_boot_id(struct buf *out)
{
    char id[BOOT_ID_BYTES + 1] = "";
    int fd = sys_open("/proc/sys/kernel/random/boot_id", O_RDONLY, 0);

    if (fd >= 0 && (sys_read(fd, id, BOOT_ID_BYTES) != BOOT_ID_BYTES || strspn(id, "0123456789abcdef-") != BOOT_ID_BYTES))
        id[0] = '\0';
    (void)sys_close(fd);
    buf_printf(out, ",\"boot\":\"%s\"", id);
}

/* Our fields follow the app's: of two equal names the last one counts, and control's JSON must not choose a sandbox. */
static void
conf_of_worker(const struct house_room *room, const char *json, struct buf *out)
{
    const struct supervisor_config *config = room->house->config;
    char app[APP_NAME_MAX + 8];
    size_t len = strlen(json);

    while (len > 0 && (json[len - 1] == '\n' || json[len - 1] == ' '))
        len--;
    if (len < 2 || json[len - 1] != '}') {
        json = "{}";
        len = 2;
    }
    buf_append(out, json, len - 1);
    buf_printf(out, "%s\"slot\":%u,\"slots\":%u", len == 2 ? "" : ",", room->build_conf != NULL ? 0u : (unsigned)room->index,
               (unsigned)room->slots);
    buf_append_str(out, ",\"runtime\":");
    conf_put_text(out, config->runtime);
    put_boot_id(out);
    buf_printf(out, ",\"sandbox\":\"%s\",\"history_mb\":%u,\"process_memory_mb\":%llu", jail_mode_name(config->sandbox), (unsigned)config->history_mb,
               (unsigned long long)(config->worker_memory_bytes_max >> 20));
    (void)snprintf(app, sizeof app, "/apps/%s", room->app);
    buf_append_str(out, ",\"jail\":{\"write\":[");
    put_path_value(out, config->data, app, worker_folder(room));
    buf_append_str(out, "],\"read\":[");
    put_path_value(out, config->data, app, "/deploys");
    buf_append_str(out, "]}}");
}

static void
conf_of_room(const struct house_room *room, struct buf *out)
{
    const struct supervisor_config *config = room->house->config;

    buf_printf(out, "{\"sandbox\":\"%s\"", jail_mode_name(config->sandbox));
    switch (room->role) {
    case ROLE_GATEWAY:
        put_path(out, "data", config->data, "", "");
        put_jail(out, "read", config->data, "/apps", "");
        break;
    case ROLE_SCHEDULER:
        put_path(out, "data", config->data, "/scheduler/book", "");
        put_jail(out, "write", config->data, "/scheduler", "");
        break;
    case ROLE_JOURNAL:
        put_path(out, "data", config->data, "/journal", "");
        put_path(out, "apps", config->data, "/apps", "");
        put_jail(out, "write", config->data, "/journal", "");
        break;
    case ROLE_CONTROL:
        put_path(out, "data", config->data, "", "");
        put_jail(out, "write", config->data, "", "");
        buf_printf(out, ",\"workers\":%u", (unsigned)config->workers);
        break;
    default:
        buf_append_str(out, ",\"jail\":{}");
    }
    buf_append_bytes(out, buf_view(&config->shared_json));
    buf_append_byte(out, '}');
}

static const char *
app_conf(const struct house_room *room)
{
    struct app *app;

    if (room->build_conf != NULL)
        return room->build_conf;
    list_each (app, &room->house->apps, struct app, in_house)
        if (strcmp(app->name, room->app) == 0)
            return app->conf;
    return "{}";
}

/* A worker gives back pages of heaps that are as they were; which ones it wrote to, only /proc tells, which it cannot see. Without
 * the permission to open it the worker keeps them. */
void
room_send_pagemap(const struct house_room *room)
{
    char path[64];
    int fd;

    if (room->role != ROLE_WORKER || room->build_conf != NULL)
        return;
    (void)snprintf(path, sizeof path, "/proc/%d/pagemap", (int)room->pid);
    fd = sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return;
    msg_LISTEN_pack(link_out(room->link), &(struct msg_LISTEN){ .name = BYTES_LIT("pagemap") });
    link_send_fd(room->link, fd);
}

static void
conf_send(struct house_room *room)
{
    struct buf json = { 0 };

    if (room->role == ROLE_WORKER)
        conf_of_worker(room, app_conf(room), &json);
    else
        conf_of_room(room, &json);
    msg_CONF_pack(link_out(room->link), &(struct msg_CONF){ .json = buf_view(&json) });
    buf_fini(&json);
}

/* ---- listening sockets ------------------------------------------------------------------------------------------ */

static void
listener_send(const struct listener *listener, struct link *link)
{
    int copy = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);

    if (copy < 0)
        return;                                              /* out of descriptors: the room comes up without, and says so */
    msg_LISTEN_pack(link_out(link), &(struct msg_LISTEN){ bytes_of(listener->name), bytes_of(listener->address) });
    link_send_fd(link, copy);
}

void
listener_announce(struct house *house, const struct listener *listener)
{
    struct house_room *room = house_find(house, listener->role, 0, "");

    if (room != NULL && room->link != NULL)
        listener_send(listener, room->link);
}

bool
house_listen(struct house *house, const char *name, const char *address, const struct listener **out_listener, struct err *err)
{
    struct listener *listener = &house->listeners[house->listeners_count];

    for (size_t i = 0; i < house->listeners_count; i++) {
        *out_listener = &house->listeners[i];
        if (strcmp(house->listeners[i].name, name) == 0 && strcmp(house->listeners[i].asked, address) == 0)
            return true;
    }
    if (house->listeners_count == LISTENERS_MAX)
        return err_set(err, ERR_LIMIT, 0, "more than %d listening sockets", LISTENERS_MAX);
    if (strlen(name) >= sizeof listener->name || strlen(address) >= sizeof listener->asked)
        return err_set(err, ERR_CONFIG, 0, "the address '%.40s…' is too long", address);
    *listener = (struct listener){ .role = ROLE_GATEWAY };
    (void)snprintf(listener->name, sizeof listener->name, "%s", name);
    (void)snprintf(listener->asked, sizeof listener->asked, "%s", address);
    if (!listen_tcp(address, &listener->fd, listener->address, err))
        return false;
    house->listeners_count++;
    *out_listener = listener;
    return true;
}

/* ---- links ------------------------------------------------------------------------------------------------------ */

static void
link_send_peer(struct house_room *to, const struct house_room *peer, uint32_t generation, int fd)
{
    struct msg_LINK msg = {
        .role = (uint8_t)peer->role, .index = peer->index, .generation = generation, .app = bytes_of(peer->app)
    };

    msg_LINK_pack(link_out(to->link), &msg);
    link_send_fd(to->link, fd);
    if (++to->links_unflushed >= LINKS_PER_FLUSH) {
        link_flush(to->link);
        to->links_unflushed = 0;
    }
}

static bool
rooms_talk(const struct house_room *a, const struct house_room *b)
{
    if (a == b || a->link == NULL || b->link == NULL)
        return false;
    if (a->build_conf != NULL || b->build_conf != NULL)      /* a build reports to control and meets nobody else */
        return a->role == ROLE_CONTROL || b->role == ROLE_CONTROL;
    return rooms_are_linked(a->role, b->role, strcmp(a->app, b->app) == 0);
}

static bool
rooms_link(struct house_room *a, struct house_room *b)
{
    uint32_t generation = ++a->house->generation;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        return false;
    link_send_peer(a, b, generation, fds[0]);
    link_send_peer(b, a, generation, fds[1]);
    return true;
}

void
room_introduce(struct house_room *room)
{
    struct house *house = room->house;
    struct house_room *peer;

    assert(room->link != NULL);
    room->born = house->generation;
    conf_send(room);
    for (size_t i = 0; i < house->listeners_count; i++)
        if (house->listeners[i].role == room->role)
            listener_send(&house->listeners[i], room->link);
    list_each (peer, &house->rooms, struct house_room, in_house)
        if (rooms_talk(room, peer) && !rooms_link(room, peer))
            house_log(house, 3, "cannot link rooms: %s", strerror(errno));
}
