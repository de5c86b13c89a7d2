/*
 * link — one connection to another room: frames in, frames out, descriptors when a message carries one.
 *
 * Promise: messages arrive whole and in order, or the link closes. Sends never block: they gather in a buffer that is
 * written once per loop iteration, so that a burst costs one syscall. The first frame each way is HELLO; another IPC_VERSION
 * closes the link with ERR_VERSION.
 * Threads: none; belongs to one loop.
 */
#ifndef DORMOUSE_IPC_LINK_H
#define DORMOUSE_IPC_LINK_H

#include "lib/ipc/message.h"

struct loop;
struct link;

struct link_events {
    /* A frame of TYPE (never HELLO). PAYLOAD is valid during the call only. Returning false with err set closes the link (hostile or broken peer). */
    bool (*message)(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err);
    /* The link is gone (peer died, protocol error, link_close by the other side). The link is destroyed after this returns. err says why. */
    void (*closed)(void *owner, struct link *link, const struct err *err);
    /* The peer's HELLO arrived: link_peer() is known. May be NULL. */
    void (*up)(void *owner, struct link *link);
};

/* Takes FD (a connected AF_UNIX stream socket) and sends HELLO. owner is stored, borrowed. */
struct link *link_open(struct loop *loop, int fd, const struct msg_HELLO *hello, const struct link_events *events, void *owner);
void link_destroy(struct link **link);             /* no closed event; unsent frames are dropped */
/* The buffer that frames are packed into: msg_X_pack(link_out(link), &msg). It is written before the loop next waits. */
struct buf *link_out(struct link *link);
/* Sends what is packed already, then a frame with a descriptor. FD is closed by the link once sent. */
void link_send_fd(struct link *link, int fd);      /* attaches FD to the frame packed last */
/* During a message event: the descriptor that came with this frame, owned by the caller; -1 when none. One that is not taken
 * closes the link: only a broken peer sends descriptors with messages that take none. */
int link_take_fd(struct link *link);
/* Tries to write everything now (used before a room exits). */
void link_flush(struct link *link);
bool link_is_backed_up(const struct link *link);   /* more than half of LINK_OUT_MAX_BYTES unsent: stop producing */
const struct msg_HELLO *link_peer(const struct link *link);   /* role, index, app of the peer; zero until its HELLO */
void link_set_user(struct link *link, void *user);
void *link_user(const struct link *link);

#endif
