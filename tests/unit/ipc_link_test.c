/* ipc_link_test — links over real socket pairs: order, bursts, descriptors, hostile peers, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/ipc/link.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"

#define ITERATIONS_MAX 100000 /* a test that needs more has hung */

/* One end of a link and what happened to it. */
struct end {
    struct link *link;
    int fd; /* the raw end, when there is no link on it */
    bool is_up;
    bool is_closed;
    struct err err;
    int messages;
    uint32_t last_call;
    uint64_t data_bytes;
    bool out_of_order;
    bool takes_fds;
    int fds[512];
    uint16_t fd_types[512];
    int fds_len;
    bool destroys_itself;
    bool echoes;
};

static struct loop *loop;
static struct sys_table kernel;

static bool
on_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct end *end = owner;
    struct msg_DATA data;
    int fd;

    assert_ptr_equal(link, end->link);
    end->messages++;
    if (type == MSG_DATA) {
        if (!msg_DATA_unpack(&data, payload, err))
            return false;
        if (data.call != end->last_call + 1)
            end->out_of_order = true;
        end->last_call = data.call;
        end->data_bytes += data.bytes.len;
        if (end->echoes)
            msg_DATA_pack(link_out(link), &data);
    }
    if (type == MSG_ALARM_SCAN)
        return err_set(err, ERR_DENIED, 0, "this test refuses ALARM_SCAN");
    if (end->takes_fds && (fd = link_take_fd(link)) >= 0) {
        end->fd_types[end->fds_len] = type;
        end->fds[end->fds_len++] = fd;
        assert_int_equal(link_take_fd(link), -1);
    }
    if (end->destroys_itself)
        link_destroy(&end->link);
    return true;
}

static void
on_closed(void *owner, struct link *link, const struct err *err)
{
    struct end *end = owner;

    end->is_closed = true;
    end->err = *err;
    end->link = NULL;
}

static void
on_up(void *owner, struct link *link)
{
    ((struct end *)owner)->is_up = true;
}

static const struct link_events events = { on_message, on_closed, on_up };

static struct link *
open_end(struct end *end, int fd, enum role role)
{
    const struct msg_HELLO hello = { IPC_VERSION, (uint8_t)role, 7, 1234, BYTES_LIT("app") };

    *end = (struct end){ .fd = -1 };
    end->link = link_open(loop, fd, &hello, &events, end);
    return end->link;
}

static void
make_pair(struct end *a, struct end *b)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    open_end(a, fds[0], ROLE_GATEWAY);
    open_end(b, fds[1], ROLE_WORKER);
}

/* A link on one side and a bare socket, the attacker's, on the other. */
static void
make_raw(struct end *a, struct end *raw)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    open_end(a, fds[0], ROLE_GATEWAY);
    *raw = (struct end){ .fd = fds[1] };
}

static void
close_end(struct end *end)
{
    link_destroy(&end->link);
    if (end->fd > 0)
        sys_close(end->fd);
    for (int i = 0; i < end->fds_len; i++)
        sys_close(end->fds[i]);
}

#define RUN_UNTIL(condition)                                                                                           \
    do {                                                                                                               \
        for (int n_ = 0; !(condition); n_++) {                                                                         \
            assert_true(n_ < ITERATIONS_MAX);                                                                          \
            loop_run_once(loop);                                                                                       \
        }                                                                                                              \
    } while (0)

static int
setup(void **state)
{
    loop = loop_create();
    return 0;
}

static int
teardown(void **state)
{
    sys_table = kernel;
    loop_destroy(&loop);
    return 0;
}

static void
send_data(struct link *link, uint32_t call, size_t len)
{
    static uint8_t bytes[CHUNK_MAX_BYTES];

    msg_DATA_pack(link_out(link), &(struct msg_DATA){ call, 1, bytes_from(bytes, len) });
}

static void
both_learn_who_is_there(void **state)
{
    struct end a, b;

    make_pair(&a, &b);
    assert_int_equal(link_peer(a.link)->version, 0);
    RUN_UNTIL(a.is_up && b.is_up);
    assert_int_equal(link_peer(a.link)->role, ROLE_WORKER);
    assert_int_equal(link_peer(b.link)->role, ROLE_GATEWAY);
    assert_int_equal(link_peer(b.link)->index, 7);
    assert_int_equal(link_peer(b.link)->pid, 1234);
    assert_true(bytes_equal_str(link_peer(b.link)->app, "app"));
    assert_int_equal(a.messages, 0);
    link_set_user(a.link, &b);
    assert_ptr_equal(link_user(a.link), &b);
    close_end(&a);
    close_end(&b);
}

static void
messages_arrive_in_order(void **state)
{
    struct end a, b;

    make_pair(&a, &b);
    for (uint32_t i = 1; i <= 20000; i++)
        send_data(a.link, i, i % 50);
    RUN_UNTIL(b.last_call == 20000);
    assert_false(b.out_of_order);
    assert_int_equal(b.messages, 20000);
    close_end(&a);
    close_end(&b);
}

static void
large_messages_are_whole(void **state)
{
    static uint8_t big[JSON_MAX_BYTES];
    struct end a, b;

    make_pair(&a, &b);
    for (uint32_t i = 1; i <= 40; i++) {
        send_data(a.link, i, CHUNK_MAX_BYTES);
        if (i % 10 == 0)
            msg_CONF_pack(link_out(a.link), &(struct msg_CONF){ bytes_from(big, sizeof big) });
    }
    RUN_UNTIL(b.messages == 44);
    assert_false(b.out_of_order);
    assert_int_equal(b.data_bytes, 40u * CHUNK_MAX_BYTES);
    close_end(&a);
    close_end(&b);
}

static int sends;

static ssize_t
counting_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    sends++;
    return kernel.sendmsg(fd, msg, flags);
}

static void
a_burst_costs_one_syscall(void **state)
{
    struct end a, b;

    make_pair(&a, &b);
    RUN_UNTIL(a.is_up && b.is_up);
    sends = 0;
    sys_table.sendmsg = counting_sendmsg;
    for (uint32_t i = 1; i <= 1000; i++)
        send_data(a.link, i, 10);
    RUN_UNTIL(b.last_call == 1000);
    assert_int_equal(sends, 1);
    close_end(&a);
    close_end(&b);
}

static ssize_t
tiny_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    struct iovec iov = *msg->msg_iov;
    struct msghdr less = *msg;

    if (++sends % 3 == 0) {
        errno = EAGAIN;
        return -1;
    }
    iov.iov_len = iov.iov_len > 5 ? 5 : iov.iov_len;
    less.msg_iov = &iov;
    return kernel.sendmsg(fd, &less, flags);
}

static ssize_t
tiny_recvmsg(int fd, struct msghdr *msg, int flags)
{
    size_t whole = msg->msg_iov->iov_len;
    ssize_t got;

    msg->msg_iov->iov_len = 3;
    got = kernel.recvmsg(fd, msg, flags);
    msg->msg_iov->iov_len = whole;
    return got;
}

static int
open_null(void)
{
    int fd = sys_open("/dev/null", O_RDONLY, 0);

    assert_true(fd >= 0);
    return fd;
}

/* Sends 6 introductions between data, each with a descriptor, and checks who got what. */
static void
send_introductions(struct end *a, struct end *b)
{
    b->takes_fds = true;
    for (uint32_t i = 1; i <= 6; i++) {
        send_data(a->link, i * 2 - 1, 4);
        msg_LINK_pack(link_out(a->link), &(struct msg_LINK){ ROLE_WORKER, (uint16_t)i, 1, BYTES_LIT("an app") });
        link_send_fd(a->link, open_null());
        send_data(a->link, i * 2, 4);
    }
    RUN_UNTIL(b->last_call == 12);
    assert_false(b->out_of_order);
    assert_int_equal(b->fds_len, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(b->fd_types[i], MSG_LINK);
        assert_true((fcntl(b->fds[i], F_GETFD) & FD_CLOEXEC) != 0);
    }
}

static void
descriptors_stay_with_their_messages(void **state)
{
    struct end a, b;

    make_pair(&a, &b);
    send_introductions(&a, &b);
    close_end(&a);
    close_end(&b);
}

static void
descriptors_stay_with_their_messages_in_tiny_pieces(void **state)
{
    struct end a, b;

    sends = 0;
    sys_table.sendmsg = tiny_sendmsg;
    sys_table.recvmsg = tiny_recvmsg;
    make_pair(&a, &b);
    send_introductions(&a, &b);
    close_end(&a);
    close_end(&b);
}

static void
many_descriptors_in_one_burst_arrive(void **state)
{
    struct end a, b;

    make_pair(&a, &b);
    b.takes_fds = true;
    for (uint16_t i = 0; i < 300; i++) { /* a supervisor introduces a new worker to all its fellows */
        msg_LINK_pack(link_out(a.link), &(struct msg_LINK){ ROLE_WORKER, i, 1, BYTES_LIT("an app") });
        link_send_fd(a.link, open_null());
    }
    RUN_UNTIL(b.fds_len == 300);
    assert_false(a.is_closed || b.is_closed);
    close_end(&a);
    close_end(&b);
}

static void
data_survives_tiny_pieces(void **state)
{
    struct end a, b;

    sends = 0;
    sys_table.sendmsg = tiny_sendmsg;
    make_pair(&a, &b);
    b.echoes = true;
    for (uint32_t i = 1; i <= 300; i++)
        send_data(a.link, i, i);
    RUN_UNTIL(a.last_call == 300);
    assert_false(a.out_of_order);
    assert_false(b.out_of_order);
    assert_int_equal(a.data_bytes, 300 * 301 / 2);
    close_end(&a);
    close_end(&b);
}

static void
an_end_that_closes_is_reported_after_its_last_words(void **state)
{
    struct end a, b;

    make_pair(&a, &b);
    RUN_UNTIL(a.is_up && b.is_up);
    send_data(a.link, 1, 10);
    link_flush(a.link);
    link_destroy(&a.link);
    assert_null(a.link);
    send_data(b.link, 1, 10); /* fails with EPIPE; what a said must still be read */
    RUN_UNTIL(b.is_closed);
    assert_int_equal(b.last_call, 1);
    assert_int_equal(b.err.code, ERR_LOST);
    assert_false(a.is_closed);
}

static void
an_owner_may_destroy_the_link_in_a_message(void **state)
{
    struct end a, b;

    make_pair(&a, &b);
    b.destroys_itself = true;
    send_data(a.link, 1, 10);
    send_data(a.link, 2, 10);
    RUN_UNTIL(a.is_closed);
    assert_int_equal(b.messages, 1);
    assert_false(b.is_closed);
    assert_null(b.link);
}

static void
a_refused_message_closes_the_link(void **state)
{
    struct end a, b;

    make_pair(&a, &b);
    msg_ALARM_SCAN_pack(link_out(a.link), &(struct msg_ALARM_SCAN){ 1 });
    send_data(a.link, 1, 1);
    RUN_UNTIL(a.is_closed && b.is_closed);
    assert_int_equal(b.err.code, ERR_DENIED);
    assert_int_equal(b.messages, 1);
    assert_int_equal(a.err.code, ERR_LOST);
}

static void
a_peer_that_reads_nothing_loses_the_link(void **state)
{
    struct end a, raw;
    uint32_t i = 0;

    make_raw(&a, &raw);
    while (!a.is_closed && !link_is_backed_up(a.link)) {
        send_data(a.link, ++i, CHUNK_MAX_BYTES);
        assert_true(i < 2048);
    }
    assert_true(i * (uint64_t)CHUNK_MAX_BYTES > LINK_OUT_MAX_BYTES / 2);
    for (; i < 1100; i++)
        send_data(a.link, i, CHUNK_MAX_BYTES);
    RUN_UNTIL(a.is_closed);
    assert_int_equal(a.err.code, ERR_OVERLOADED);
    close_end(&raw);
}

/* ---- hostile peers -------------------------------------------------------------------------------------------- */

static void
raw_hello(struct end *raw, uint32_t version, uint8_t role)
{
    struct buf out = { 0 };

    msg_HELLO_pack(&out, &(struct msg_HELLO){ version, role, 0, 1, BYTES_NONE });
    assert_true(sys_write_all(raw->fd, out.data, out.len));
    buf_fini(&out);
}

static void
raw_send(struct end *raw, const void *data, size_t len)
{
    assert_true(sys_write_all(raw->fd, data, len));
}

/* The attacker sends DATA after a good HELLO; the link must close with CODE. */
static void
expect_closed(const void *data, size_t len, enum err_code code)
{
    struct end a, raw;

    make_raw(&a, &raw);
    raw_hello(&raw, IPC_VERSION, ROLE_WORKER);
    raw_send(&raw, data, len);
    RUN_UNTIL(a.is_closed);
    assert_int_equal(a.err.code, code);
    assert_int_equal(a.messages, 0);
    close_end(&raw);
}

static void
hostile_frames_close_the_link(void **state)
{
    expect_closed("\xff\xff\xff\xff\x17\0\0\0", 8, ERR_MALFORMED); /* length -1 */
    expect_closed("\x01\x00\x20\x00\x17\0\0\0", 8, ERR_MALFORMED); /* FRAME_MAX_BYTES + 1 */
    expect_closed("\0\0\0\x80\x17\0\0\0", 8, ERR_MALFORMED);       /* length 2^31 */
    expect_closed("\0\0\0\0\xff\xff\0\0", 8, ERR_MALFORMED);       /* unknown type */
    expect_closed("\0\0\0\0\0\0\0\0", 8, ERR_MALFORMED);           /* type 0 */
    expect_closed("\0\0\0\0\x17\0\1\0", 8, ERR_MALFORMED);         /* zero that is not */
    expect_closed("\0\0\0\0\x17\0\0\1", 8, ERR_MALFORMED);
    expect_closed("\0\0\0\0\x01\0\0\0", 8, ERR_MALFORMED); /* HELLO with nothing in it */
}

static void
a_truncated_payload_closes_the_link(void **state)
{
    struct end a, raw;

    make_raw(&a, &raw);
    raw_hello(&raw, IPC_VERSION, ROLE_WORKER);
    raw_send(&raw, "\4\0\0\0\x17\0\0\0abcd", 12); /* DATA with only its call */
    RUN_UNTIL(a.is_closed);
    assert_int_equal(a.err.code, ERR_MALFORMED);
    close_end(&raw);
}

static void
half_a_frame_and_an_end_is_a_lost_link(void **state)
{
    struct end a, raw;

    make_raw(&a, &raw);
    raw_hello(&raw, IPC_VERSION, ROLE_WORKER);
    raw_send(&raw, "\4\0\0\0\x17\0\0\0a", 9);
    sys_close(STEAL_FD(raw.fd));
    RUN_UNTIL(a.is_closed);
    assert_int_equal(a.err.code, ERR_LOST);
    assert_int_equal(a.messages, 0);
}

static void
hello_must_come_first_once_and_right(void **state)
{
    struct end a, raw;
    struct buf out = { 0 };

    make_raw(&a, &raw);
    raw_send(&raw, "\4\0\0\0\x33\0\0\0abcd", 12);
    RUN_UNTIL(a.is_closed);
    assert_int_equal(a.err.code, ERR_MALFORMED);
    close_end(&raw);

    make_raw(&a, &raw);
    raw_hello(&raw, IPC_VERSION + 1, ROLE_WORKER);
    RUN_UNTIL(a.is_closed);
    assert_int_equal(a.err.code, ERR_VERSION);
    assert_false(a.is_up);
    close_end(&raw);

    make_raw(&a, &raw);
    raw_hello(&raw, IPC_VERSION, ROLES);
    RUN_UNTIL(a.is_closed);
    assert_int_equal(a.err.code, ERR_MALFORMED);
    close_end(&raw);

    msg_HELLO_pack(&out, &(struct msg_HELLO){ IPC_VERSION, ROLE_WORKER, 0, 1, BYTES_NONE });
    expect_closed(out.data, out.len, ERR_MALFORMED);
    buf_fini(&out);
}

/* Sends LEN bytes of DATA with COUNT descriptors. */
static void
raw_send_fds(struct end *raw, const void *data, size_t len, int count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * 8)];
    } control = { 0 };
    struct iovec iov = { (void *)(uintptr_t)data, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes };
    int fd = open_null();

    msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
    control.align = (struct cmsghdr){ CMSG_LEN(sizeof(int) * (size_t)count), SOL_SOCKET, SCM_RIGHTS };
    for (int i = 0; i < count; i++)
        memcpy(CMSG_DATA(&control.align) + sizeof fd * (size_t)i, &fd, sizeof fd);
    assert_int_equal(sys_sendmsg(raw->fd, &msg, 0), len);
    sys_close(fd);
}

static int
count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* After HELLO, DATA goes out with COUNT descriptors: the link closes and no descriptor is left behind. */
static void
expect_fds_refused(const void *data, size_t len, int count, int messages)
{
    struct end a, raw;
    int before = count_descriptors();

    make_raw(&a, &raw);
    raw_hello(&raw, IPC_VERSION, ROLE_WORKER);
    RUN_UNTIL(a.is_up);
    raw_send_fds(&raw, data, len, count);
    RUN_UNTIL(a.is_closed);
    assert_int_equal(a.err.code, ERR_MALFORMED);
    assert_int_equal(a.messages, messages);
    close_end(&raw);
    assert_int_equal(count_descriptors(), before);
}

static void
descriptors_where_none_belong_close_the_link(void **state)
{
    static const char stop[] = "\4\0\0\0\6\0\0\0\0\0\0";

    expect_fds_refused(stop, sizeof stop, 1, 1); /* a message that takes none */
    expect_fds_refused(stop, sizeof stop, 2, 0); /* more than one */
    expect_fds_refused(stop, sizeof stop, 8, 0); /* more than fit */
}

static void
a_descriptor_in_the_middle_of_a_message_closes_the_link(void **state)
{
    struct end a, raw;
    int before = count_descriptors();

    make_raw(&a, &raw);
    raw_hello(&raw, IPC_VERSION, ROLE_WORKER);
    raw_send(&raw, "\4\0\0\0\6\0\0\0\0", 9);
    RUN_UNTIL(a.is_up);
    raw_send_fds(&raw, "\0\0", 2, 1);
    RUN_UNTIL(a.is_closed);
    assert_int_equal(a.err.code, ERR_MALFORMED);
    close_end(&raw);
    assert_int_equal(count_descriptors(), before);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(both_learn_who_is_there),
        TEST(messages_arrive_in_order),
        TEST(large_messages_are_whole),
        TEST(a_burst_costs_one_syscall),
        TEST(descriptors_stay_with_their_messages),
        TEST(descriptors_stay_with_their_messages_in_tiny_pieces),
        TEST(many_descriptors_in_one_burst_arrive),
        TEST(data_survives_tiny_pieces),
        TEST(an_end_that_closes_is_reported_after_its_last_words),
        TEST(an_owner_may_destroy_the_link_in_a_message),
        TEST(a_refused_message_closes_the_link),
        TEST(a_peer_that_reads_nothing_loses_the_link),
        TEST(hostile_frames_close_the_link),
        TEST(a_truncated_payload_closes_the_link),
        TEST(half_a_frame_and_an_end_is_a_lost_link),
        TEST(hello_must_come_first_once_and_right),
        TEST(descriptors_where_none_belong_close_the_link),
        TEST(a_descriptor_in_the_middle_of_a_message_closes_the_link),
    };

    kernel = sys_table;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
