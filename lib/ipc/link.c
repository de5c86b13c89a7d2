/*
 * link — see link.h.
 *
 * Output: frames are packed into `out`; `sent` bytes of it are gone already. It is written before the loop waits, or at
 * once when a burst has gathered OUT_BURST_BYTES. Positions in the output are absolute (bytes since the link opened),
 * so that descriptors waiting for their frame need no care when the buffer moves. Input: one buffer; frames are handled
 * where they lie. A descriptor belongs to the last frame that starts within the bytes it arrived with: the sender gives
 * such a frame a sendmsg of its own, and the kernel ends a read behind the bytes that carried a descriptor.
 */
#include "lib/ipc/link.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"

#define IN_READ_BYTES   (128 * 1024)  /* room for one read: a full socket buffer, at an L2-friendly size */
#define IN_READS_MAX    4             /* reads per readiness, so that other descriptors get their turn */
#define OUT_BURST_BYTES (256 * 1024)  /* written early: keeps a large burst in cache and the peer busy */
#define IDLE_CAP_BYTES  (1024 * 1024) /* an empty buffer larger than this is given back */
#define FDS_PENDING_MAX 4096          /* descriptors in one output: a supervisor introduces all rooms at once */
#define FDS_CAP_MIN     4
#define DOOM_READS_MAX  64   /* reads of what a dead peer left behind: its socket buffer holds far less */
#define FLUSH_WAIT_MS   1000 /* how long an exiting room waits for a peer that does not read */

struct pending_fd {
    uint64_t at; /* absolute start of its frame */
    uint64_t end;
    int fd;
};

struct arrived_fd {
    size_t frame; /* offset of its frame in `in` */
    int fd;
};

struct link {
    struct loop *loop;
    struct link_events events;
    void *owner;
    void *user;
    int fd;
    struct loop_poll *poll;
    struct loop_hook *hook;
    struct loop_timer *doom; /* closes the link from the loop, not from within a sender's call stack */
    struct err doom_err;

    struct buf out;
    size_t sent;            /* bytes of out that the kernel has */
    uint64_t out_base;      /* absolute position of out.data[0] */
    uint64_t boundary;      /* absolute position of some frame's start, at or behind everything sent */
    struct pending_fd *fds; /* in the order of their frames */
    size_t fds_len;
    size_t fds_cap;
    bool is_blocked; /* waiting for writability */

    struct buf in;
    size_t in_start;             /* first byte of in not handled yet */
    struct arrived_fd in_fds[2]; /* one with a frame that is not whole yet, one with the frame behind it */
    size_t in_fds_len;
    bool may_take_fd; /* the frame being handled is that of in_fds[0] */

    bool is_doomed;    /* no more output; the doom timer is armed */
    bool is_closing;   /* no more input either: the owner is being told */
    bool is_destroyed; /* destroyed within one of its events: freed when that returns */
    unsigned in_event;
    struct msg_HELLO peer;
    char *peer_app; /* what peer.app points to */
};

/* ---- the end of a link ---------------------------------------------------------------------------------------- */

static void
link_free(struct link *link)
{
    buf_fini(&link->out);
    buf_fini(&link->in);
    free(link->peer_app);
    free(link->fds);
    free(link);
}

/* Lets go of everything but the memory. */
static void
link_shut(struct link *link)
{
    for (size_t i = 0; i < link->fds_len; i++)
        (void)sys_close(link->fds[i].fd); /* sockets in transit: nothing to lose */
    link->fds_len = 0;
    for (size_t i = 0; i < link->in_fds_len; i++)
        (void)sys_close(link->in_fds[i].fd); /* the same */
    link->in_fds_len = 0;
    loop_poll_destroy(&link->poll);
    loop_hook_destroy(&link->hook);
    loop_timer_destroy(&link->doom);
    (void)sys_close(STEAL_FD(link->fd)); /* a stream socket: close reports nothing that we could act on */
}

void
link_destroy(struct link **link)
{
    struct link *l = *link;

    *link = NULL;
    if (l == NULL || l->is_destroyed)
        return;
    link_shut(l);
    l->is_destroyed = true;
    if (l->in_event == 0)
        link_free(l);
}

/* Tells the owner, then destroys. The link is gone after this unless an event is on the stack. */
static void
link_close_now(struct link *link, const struct err *err)
{
    if (link->is_destroyed || link->is_closing)
        return;
    link->is_doomed = true;
    link->is_closing = true;
    link->in_event++;
    link->events.closed(link->owner, link, err);
    link->in_event--;
    if (!link->is_destroyed)
        link_destroy(&link);
    else if (link->in_event == 0)
        link_free(link);
}

/* The link must end, but its owner may be in the middle of sending: the loop does it, when what the peer said last was
 * read. */
static void
link_doom(struct link *link, const struct err *err)
{
    if (link->is_doomed)
        return;
    link->is_doomed = true;
    link->doom_err = *err;
    loop_poll_set(link->poll, 0);
    loop_timer_arm(link->doom, 0);
}

/* ---- output --------------------------------------------------------------------------------------------------- */

static size_t
out_left(const struct link *link)
{
    return link->out.len - link->sent;
}

static uint32_t
frame_payload_len(const uint8_t *header)
{
    return (uint32_t)header[0] | (uint32_t)header[1] << 8 | (uint32_t)header[2] << 16 | (uint32_t)header[3] << 24;
}

/* Moves the boundary to the last frame start that is not behind LIMIT, and returns the end of that frame. */
static uint64_t
boundary_advance(struct link *link, uint64_t limit)
{
    for (;;) {
        const uint8_t *header = link->out.data + (link->boundary - link->out_base);
        uint64_t next = link->boundary + FRAME_HEADER_BYTES + frame_payload_len(header);
        if (next > limit)
            return next;
        link->boundary = next;
    }
}

static void
out_compact(struct link *link)
{
    uint64_t end = link->out_base + link->out.len;

    if (out_left(link) == 0) {
        link->out_base = end;
        link->boundary = end;
        link->sent = 0;
        buf_clear(&link->out);
        if (link->out.cap > IDLE_CAP_BYTES)
            buf_fini(&link->out);
        return;
    }
    if (link->boundary < link->out_base + link->sent) {
        /* The frame that is half sent keeps its header in the buffer, so that the frames behind it can be found. */
        (void)boundary_advance(link, link->out_base + link->sent);
    }
    if (link->sent > link->out.len / 2) {
        size_t drop = (size_t)(link->boundary - link->out_base);
        if (drop > link->sent)
            drop = link->sent;
        buf_consume(&link->out, drop);
        link->out_base += drop;
        link->sent -= drop;
    }
}

/* One sendmsg: up to the next descriptor's frame, or that frame with its descriptor. -1 and errno as sendmsg. */
static ssize_t
out_send_once(struct link *link)
{
    uint64_t at = link->out_base + link->sent;
    struct iovec iov = { link->out.data + link->sent, out_left(link) };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t done;

    if (link->fds_len == 0)
        return sys_sendmsg(link->fd, &msg, MSG_DONTWAIT);
    if (link->fds[0].at > at) {
        iov.iov_len = (size_t)(link->fds[0].at - at);
        return sys_sendmsg(link->fd, &msg, MSG_DONTWAIT);
    }
    assert(link->fds[0].at == at);
    iov.iov_len = (size_t)(link->fds[0].end - at);
    msg.msg_control = control.bytes;
    msg.msg_controllen = sizeof control.bytes;
    control.align =
        (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.align), &link->fds[0].fd, sizeof(int));
    done = sys_sendmsg(link->fd, &msg, MSG_DONTWAIT);
    if (done <= 0)
        return done;
    (void)sys_close(link->fds[0].fd); /* the peer has its copy */
    link->fds_len--;
    memmove(link->fds, link->fds + 1, link->fds_len * sizeof link->fds[0]);
    return done;
}

static void
out_wait(struct link *link, bool is_blocked)
{
    if (link->is_blocked == is_blocked)
        return;
    link->is_blocked = is_blocked;
    loop_poll_set(link->poll, is_blocked ? LOOP_READABLE | LOOP_WRITABLE : LOOP_READABLE);
}

static void
out_write(struct link *link)
{
    struct err err = { 0 };

    while (!link->is_doomed && out_left(link) > 0) {
        ssize_t done = out_send_once(link);
        if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ETOOMANYREFS))
            break;
        if (done < 0) {
            (void)err_set(&err, ERR_LOST, errno, "write to %s", role_name(link->peer.role));
            link_doom(link, &err);
            return;
        }
        link->sent += (size_t)done;
    }
    if (link->is_doomed)
        return;
    out_compact(link);
    if (out_left(link) > LINK_OUT_MAX_BYTES) {
        (void)err_set(&err, ERR_OVERLOADED, 0, "%s does not read: %zu bytes wait for it", role_name(link->peer.role),
                      out_left(link));
        link_doom(link, &err);
        return;
    }
    out_wait(link, out_left(link) > 0);
}

static void
on_before_wait(void *owner)
{
    struct link *link = owner;

    if (!link->is_blocked && out_left(link) > 0)
        out_write(link);
}

struct buf *
link_out(struct link *link)
{
    assert(!link->is_destroyed);
    if (link->is_doomed) {
        /* Nobody will read it; the buffer must not grow. */
        link->out_base += link->out.len;
        link->boundary = link->out_base;
        link->sent = 0;
        buf_clear(&link->out);
        return &link->out;
    }
    if (out_left(link) >= OUT_BURST_BYTES && !link->is_blocked)
        out_write(link);
    else if (out_left(link) > LINK_OUT_MAX_BYTES)
        out_write(link);
    return &link->out;
}

void
link_send_fd(struct link *link, int fd)
{
    uint64_t end = link->out_base + link->out.len;
    struct err err = { 0 };

    assert(fd >= 0);
    assert(link->out.len > 0);
    if (link->is_doomed) {
        (void)sys_close(fd); /* nobody will get it */
        return;
    }
    if (link->fds_len == FDS_PENDING_MAX) {
        (void)sys_close(fd); /* the same */
        (void)err_set(&err, ERR_OVERLOADED, 0, "%s does not read: %d descriptors wait for it",
                      role_name(link->peer.role), FDS_PENDING_MAX);
        link_doom(link, &err);
        return;
    }
    (void)boundary_advance(link, end - 1);
    assert(link->boundary >= link->out_base + link->sent);
    if (link->fds_len == link->fds_cap) {
        link->fds_cap = link->fds_cap == 0 ? FDS_CAP_MIN : link->fds_cap * 2;
        link->fds = realloc(link->fds, link->fds_cap * sizeof *link->fds);
        assert(link->fds != NULL);
    }
    link->fds[link->fds_len++] = (struct pending_fd){ link->boundary, end, fd };
}

void
link_flush(struct link *link)
{
    while (!link->is_doomed && out_left(link) > 0) {
        out_write(link);
        if (out_left(link) == 0 || link->is_doomed || sys_wait_writable(link->fd, FLUSH_WAIT_MS) <= 0)
            return;
    }
}

bool
link_is_backed_up(const struct link *link)
{
    return out_left(link) > LINK_OUT_MAX_BYTES / 2;
}

/* ---- input ---------------------------------------------------------------------------------------------------- */

static bool
handle_hello(struct link *link, struct bytes payload, struct err *err)
{
    struct msg_HELLO hello;

    if (!msg_HELLO_unpack(&hello, payload, err))
        return false;
    if (hello.version != IPC_VERSION)
        return err_set(err, ERR_VERSION, 0, "peer speaks version %u of the messages, this room %u", hello.version,
                       IPC_VERSION);
    if (hello.role == 0 || hello.role >= ROLES)
        return err_set(err, ERR_MALFORMED, 0, "HELLO names role %u", hello.role);
    if (link->peer.version != 0)
        return err_set(err, ERR_MALFORMED, 0, "second HELLO");
    link->peer = hello;
    link->peer_app = bytes_dup(hello.app);
    link->peer.app = bytes_from(link->peer_app, hello.app.len);
    if (link->events.up != NULL)
        link->events.up(link->owner, link);
    return true;
}

static bool
handle_frame(struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    if (type == MSG_HELLO)
        return handle_hello(link, payload, err);
    if (link->peer.version == 0)
        return err_set(err, ERR_MALFORMED, 0, "message %u came before HELLO", type);
    if (message_name(type) == NULL)
        return err_set(err, ERR_MALFORMED, 0, "no message has number %u", type);
    return link->events.message(link->owner, link, type, payload, err);
}

static void
in_fds_drop_first(struct link *link)
{
    link->in_fds_len--;
    memmove(link->in_fds, link->in_fds + 1, link->in_fds_len * sizeof link->in_fds[0]);
}

/* A frame that came with a descriptor. One that the owner did not take shows a broken peer. */
static bool
handle_frame_with_fd(struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    const char *name = message_name(type);
    bool ok;

    link->may_take_fd = true;
    ok = handle_frame(link, type, payload, err);
    if (link->is_destroyed || !link->may_take_fd)
        return ok;
    link->may_take_fd = false;
    (void)sys_close(link->in_fds[0].fd); /* not ours to use: nothing to lose */
    in_fds_drop_first(link);
    if (!ok)
        return false;
    return err_set(err, ERR_MALFORMED, 0, "a descriptor came with message %s, which takes none",
                   name == NULL ? "?" : name);
}

/* Handles the whole frames in the buffer. False with err: the peer is broken. Stops when the owner destroys the link.
 */
static bool
handle_input(struct link *link, struct err *err)
{
    while (!link->is_destroyed && link->in.len - link->in_start >= FRAME_HEADER_BYTES) {
        size_t frame = link->in_start;
        const uint8_t *header = link->in.data + frame;
        size_t payload_len = frame_payload_len(header);
        uint16_t type = (uint16_t)(header[4] | header[5] << 8);
        struct bytes payload = bytes_from(header + FRAME_HEADER_BYTES, payload_len);
        bool has_fd = link->in_fds_len > 0 && link->in_fds[0].frame == frame;

        if (payload_len > FRAME_MAX_BYTES)
            return err_set(err, ERR_MALFORMED, 0, "a frame of %zu bytes, at most %d are allowed", payload_len,
                           FRAME_MAX_BYTES);
        if (header[6] != 0 || header[7] != 0)
            return err_set(err, ERR_MALFORMED, 0, "a frame header that does not end in zero");
        if (link->in.len - frame - FRAME_HEADER_BYTES < payload_len)
            return true;
        link->in_start += FRAME_HEADER_BYTES + payload_len;
        if (!(has_fd ? handle_frame_with_fd : handle_frame)(link, type, payload, err))
            return false;
    }
    return true;
}

/* Makes room for one more read, and for the rest of a large frame that has begun. */
static void
in_prepare(struct link *link)
{
    size_t left = link->in.len - link->in_start;

    if (link->in_start > 0) {
        memmove(link->in.data, link->in.data + link->in_start, left);
        for (size_t i = 0; i < link->in_fds_len; i++)
            link->in_fds[i].frame -= link->in_start;
        link->in.len = left;
        link->in_start = 0;
    }
    if (left == 0 && link->in.cap > IDLE_CAP_BYTES)
        buf_fini(&link->in);
    buf_reserve(&link->in, IN_READ_BYTES);
}

/* The last frame that starts within the bytes from FROM on, or SIZE_MAX. */
static size_t
last_frame_start(const struct link *link, size_t from)
{
    size_t at = link->in_start;
    size_t last = SIZE_MAX;

    while (at < link->in.len) {
        if (at >= from)
            last = at;
        if (link->in.len - at < FRAME_HEADER_BYTES)
            break;
        at += FRAME_HEADER_BYTES + (size_t)frame_payload_len(link->in.data + at);
    }
    return last;
}

/* Keeps a descriptor for its frame; closes it when there is no such frame or that has one already. */
static bool
in_fds_add(struct link *link, int fd, size_t frame)
{
    bool is_second = link->in_fds_len > 0 && link->in_fds[link->in_fds_len - 1].frame == frame;

    if (frame == SIZE_MAX || is_second || link->in_fds_len == ARRAY_LEN(link->in_fds)) {
        (void)sys_close(fd); /* not wanted: nothing to lose */
        return false;
    }
    link->in_fds[link->in_fds_len++] = (struct arrived_fd){ frame, fd };
    return true;
}

static bool
in_take_fds(struct link *link, struct msghdr *msg, size_t from, struct err *err)
{
    bool ok = (msg->msg_flags & MSG_CTRUNC) == 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            ok = in_fds_add(link, fd, last_frame_start(link, from)) && ok;
        }
    }
    return ok || err_set(err, ERR_MALFORMED, 0, "a descriptor where none belongs");
}

/* One read. False with err: the link must close. *out_more: the kernel may hold more. */
static bool
in_read(struct link *link, bool *out_more, struct err *err)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * 4)]; /* a few more than allowed, so that they are seen and closed */
    } control;
    struct msghdr msg = { .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
    struct iovec iov;
    ssize_t got;
    size_t from;

    *out_more = false;
    in_prepare(link);
    from = link->in.len;
    iov = (struct iovec){ link->in.data + from, link->in.cap - from };
    msg.msg_iov = &iov;
    got = sys_recvmsg(link->fd, &msg, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return true;
    if (got < 0)
        return err_set(err, ERR_LOST, errno, "read from %s", role_name(link->peer.role));
    link->in.len += (size_t)got;
    if (!in_take_fds(link, &msg, from, err))
        return false;
    if (got == 0)
        return err_set(err, ERR_LOST, 0, "%s closed the link", role_name(link->peer.role));
    *out_more = (size_t)got == iov.iov_len || msg.msg_controllen > 0;
    return handle_input(link, err);
}

/* Reads up to READS_MAX times. False: the link is gone, or must not be touched any more. */
static bool
in_drain(struct link *link, int reads_max)
{
    struct err err = { 0 };
    bool more = true;
    bool ok = true;

    link->in_event++;
    for (int i = 0; i < reads_max && more && ok && !link->is_destroyed; i++)
        ok = in_read(link, &more, &err);
    link->in_event--;
    if (!link->is_destroyed && ok)
        return true;
    if (!link->is_destroyed)
        link_close_now(link, &err);
    else if (link->in_event == 0)
        link_free(link);
    return false;
}

static void
on_doom(void *owner)
{
    struct link *link = owner;

    if (in_drain(link, DOOM_READS_MAX))
        link_close_now(link, &link->doom_err);
}

static void
on_poll(void *owner, int events)
{
    struct link *link = owner;

    if ((events & LOOP_WRITABLE) != 0)
        out_write(link);
    if ((events & LOOP_READABLE) != 0)
        (void)in_drain(link, IN_READS_MAX); /* its owner was told when it closed */
}

int
link_take_fd(struct link *link)
{
    int fd;

    if (!link->may_take_fd)
        return -1;
    fd = link->in_fds[0].fd;
    link->may_take_fd = false;
    in_fds_drop_first(link);
    return fd;
}

/* ---- opening -------------------------------------------------------------------------------------------------- */

struct link *
link_open(struct loop *loop, int fd, const struct msg_HELLO *hello, const struct link_events *events, void *owner)
{
    struct link *link = calloc(1, sizeof *link);

    assert(link != NULL);
    assert(fd >= 0);
    assert(events->message != NULL);
    assert(events->closed != NULL);
    link->loop = loop;
    link->fd = fd;
    link->events = *events;
    link->owner = owner;
    link->poll = loop_poll_create(loop, fd, on_poll, link);
    link->hook = loop_before_wait_ordered(loop, LOOP_HOOK_WRITE, on_before_wait, link);
    link->doom = loop_timer_create(loop, on_doom, link);
    loop_poll_set(link->poll, LOOP_READABLE);
    msg_HELLO_pack(&link->out, hello);
    return link;
}

const struct msg_HELLO *
link_peer(const struct link *link)
{
    return &link->peer;
}

void
link_set_user(struct link *link, void *user)
{
    link->user = user;
}

void *
link_user(const struct link *link)
{
    return link->user;
}
