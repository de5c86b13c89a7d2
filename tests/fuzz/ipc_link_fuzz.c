/*
 * ipc_link_fuzz — a hostile peer on a real socket: bytes in pieces, descriptors among them. The link hands on whole
 * messages with known numbers or closes; no descriptor is left behind. Each piece of the input is a length byte (its
 * highest bit: with a descriptor) and that many bytes; a good HELLO is sent first unless the input's first byte is odd.
 */
#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/ipc/link.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct loop *loop;
static struct loop_timer *first;
static bool is_closed;

static void
on_first(void *owner)
{
}

static bool
on_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    int fd;

    assert(message_name(type) != NULL);
    assert(payload.len <= FRAME_MAX_BYTES);
    assert(link_peer(link)->version == IPC_VERSION);
    if (type == MSG_LINK && (fd = link_take_fd(link)) >= 0)
        assert(sys_close(fd) == 0);
    return true;
}

static void
on_closed(void *owner, struct link *link, const struct err *err)
{
    assert(err->code != ERR_NONE);
    is_closed = true;
}

static void
send_with_fd(int to, struct bytes piece)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { (void *)(uintptr_t)piece.data, piece.len };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
    };
    int fd = sys_open("/dev/null", O_RDONLY, 0);

    control.align = (struct cmsghdr){ CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.align), &fd, sizeof fd);
    (void)sys_sendmsg(to, &msg, MSG_DONTWAIT); /* the link may be closed already */
    (void)sys_close(fd);
}

static int
next_descriptor(void)
{
    int fd = sys_open("/dev/null", O_RDONLY, 0);

    (void)sys_close(fd); /* only its number matters */
    return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct link_events events = { on_message, on_closed, NULL };
    const struct msg_HELLO hello = { IPC_VERSION, ROLE_WORKER, 0, 1, BYTES_LIT("app") };
    struct buf out = { 0 };
    struct link *link;
    int fds[2];
    int first_free;

    if (len == 0)
        return 0;
    if (loop == NULL) {
        loop = loop_create();
        first = loop_timer_create(loop, on_first, NULL);
        loop_timer_arm(first, 0); /* so that the loop opens now what it opens at first use */
        loop_run_once(loop);
    }
    first_free = next_descriptor();
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    is_closed = false;
    link = link_open(loop, fds[0], &hello, &events, NULL);
    if (data[0] % 2 == 0)
        msg_HELLO_pack(&out, &hello);
    for (size_t at = 1; at < len && !is_closed;) {
        size_t n = data[at] & 0x7F;
        bool with_fd = data[at++] >= 0x80;
        if (n > len - at)
            n = len - at;
        buf_append(&out, data + at, n);
        at += n;
        if (out.len == 0)
            continue;
        if (with_fd)
            send_with_fd(fds[1], buf_view(&out));
        else
            (void)sys_write_all(fds[1], out.data, out.len); /* as in send_with_fd */
        buf_clear(&out);
        loop_run_once(loop);
    }
    (void)sys_close(fds[1]); /* the end of the peer */
    while (!is_closed)
        loop_run_once(loop);
    buf_fini(&out);
    (void)link;
    assert(next_descriptor() == first_free);
    return 0;
}
