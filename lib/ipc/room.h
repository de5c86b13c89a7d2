/*
 * room — the frame every room stands in: descriptor 3 leads to the supervisor; HELLO, CONF, LINK, LISTEN, STOP are handled here.
 *
 * Usage in x_main.c:  return room_main(argc, argv, &my_room);
 * Promise: a room that loses its supervisor exits at once (no orphans). A peer's link that dies is reported, also
 * to the supervisor, and a new one for the same (role, index, app) arrives by itself when that has restarted one of the two.
 */
#ifndef DORMOUSE_IPC_ROOM_H
#define DORMOUSE_IPC_ROOM_H

#include "lib/ipc/link.h"

struct room;                       /* the running room */

struct room_spec {
    enum role   role;
    const char *name;              /* "gateway": process title, log prefix */
    /* CONF arrived (JSON text). Set up; call room_ready() when serving (at once or later). False with err: the room exits 1 with the message. */
    bool (*start)(struct room *room, struct bytes conf_json, struct err *err);
    void (*link_up)(struct room *room, struct link *link);                         /* link_peer() is known */
    void (*link_down)(struct room *room, struct link *link, const struct err *err);
    bool (*message)(struct room *room, struct link *link, uint16_t type, struct bytes payload, struct err *err);
    void (*listen)(struct room *room, struct bytes name, struct bytes address, int fd);   /* takes fd; NULL: not expected */
    void (*stop)(struct room *room, uint32_t grace_ms);   /* drain, then room_exit(room, 0); NULL: exits at once */
    void (*count)(struct room *room, struct buf *json);   /* control asks for counters: count_put() each; NULL: none */
};

int  room_main(int argc, char **argv, const struct room_spec *spec);
void room_ready(struct room *room);
void room_exit(struct room *room, int status);     /* flushes links, leaves the loop */
struct loop *room_loop(struct room *room);
struct link *room_supervisor(struct room *room);
/* The link to a peer, or NULL while there is none. app NULL: rooms that are not per app. */
struct link *room_link(struct room *room, enum role role, uint16_t index, const char *app);
uint16_t room_index(const struct room *room);      /* ours, from argv: worker slot */
const char *room_app(const struct room *room);     /* ours, from argv: the worker's app; "" for other rooms */
/* A line on stderr ("gateway: …") and, when control is linked, a LOG message. level as in LOG; those below CONF's "log_level"
 * ("debug", "info", "warning", "error"; info when it is absent) are dropped. */
void room_log(struct room *room, int level, const char *fmt, ...) PRINTF(3, 4);

#endif
