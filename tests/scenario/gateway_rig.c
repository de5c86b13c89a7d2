/*
 * gateway_rig — runs a real dormouse-gateway between made-up rooms: this program is its supervisor, its control and all
 * its workers.
 *
 * usage: gateway-rig GATEWAY CONF_JSON ROUTES_JSON WORKERS
 * Prints one JSON object per line: {"event":"ready","port":N}, then what the gateway says to its workers. Reads
 * commands, one per line, each answered by {"event":"done"}: routes JSON · kill SLOT · link SLOT · stop MS · credit
 * on|off · send SOCKET TEXT · cast FIRST LAST TEXT · fragment SOCKET TEXT · close SOCKET CODE · attach SOCKET TEXT · flood SOCKET BYTES · auto
 * REQUEST RESPONSE · list
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/loop/loop.h"
#include "tests/scenario/gateway_rig_app.h"

#define WORKERS_MAX 8
#define APP         "demo"

static struct loop *loop;
static struct link *gateway, *control;
static struct worker workers[WORKERS_MAX];
static int worker_count;
static pid_t gateway_pid;

/* ---- control and supervisor -------------------------------------------------------------------------------------- */
static bool
ignore_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    if (type == MSG_READY) {
        printf("{\"event\":\"serving\"");
        rig_end_line();
    }
    return true;
}

static void
gateway_closed(void *owner, struct link *link, const struct err *err)
{
    int status = 0;

    if (owner != NULL)
        return; /* the control link: the supervisor's tells it all */
    (void)waitpid(gateway_pid, &status, 0);
    printf("{\"event\":\"exit\",\"status\":%d,\"signal\":%d", WIFEXITED(status) ? WEXITSTATUS(status) : -1,
           WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    rig_end_line();
    gateway = NULL;
    loop_stop(loop);
}

static const struct link_events control_events = { ignore_message, gateway_closed, NULL };

static struct link *
peer_link(enum role role, uint16_t index, const struct link_events *events, void *owner)
{
    int pair[2];
    bool has_app = role == ROLE_WORKER;
    struct msg_HELLO hello = { .version = IPC_VERSION,
                               .role = (uint8_t)role,
                               .index = index,
                               .pid = (uint32_t)getpid(),
                               .app = has_app ? BYTES_LIT(APP) : BYTES_NONE };
    struct msg_LINK m = { .role = (uint8_t)role, .index = index, .app = hello.app };

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        abort();
    msg_LINK_pack(link_out(gateway), &m);
    link_send_fd(gateway, pair[1]);
    return link_open(loop, pair[0], &hello, events, owner);
}

static void
send_routes(const char *json)
{
    struct msg_ROUTES m = { .app = BYTES_LIT(APP), .json = bytes_of(json) };

    msg_ROUTES_pack(link_out(control), &m);
}

static uint16_t
listen_open(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof addr;
    struct msg_LISTEN m = { .name = BYTES_LIT("main"), .address = BYTES_LIT("127.0.0.1") };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        abort();
    msg_LISTEN_pack(link_out(gateway), &m);
    link_send_fd(gateway, fd);
    return ntohs(addr.sin_port);
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */
static struct worker *
any_worker(void)
{
    for (int i = 0; i < worker_count; i++)
        if (workers[i].link != NULL)
            return &workers[i];
    return NULL;
}

static void
command_socket(const char *verb, uint64_t socket, const char *rest)
{
    struct worker *w = any_worker();
    struct msg_WS_CLOSE c = { .socket = socket, .code = (uint16_t)strtoul(rest, NULL, 10), .reason = BYTES_LIT("bye") };
    struct msg_WS_ATTACH a = { .socket = socket, .attachment = bytes_of(rest) };
    struct msg_WS_MESSAGE f = { .socket = socket, .flags = WS_TEXT, .data = bytes_of(rest) };

    if (w == NULL)
        return;
    if (strcmp(verb, "send") == 0)
        rig_ws_text(w, socket, rest);
    else if (strcmp(verb, "close") == 0)
        msg_WS_CLOSE_pack(link_out(w->link), &c);
    else if (strcmp(verb, "attach") == 0)
        msg_WS_ATTACH_pack(link_out(w->link), &a);
    else if (strcmp(verb, "fragment") == 0)
        msg_WS_MESSAGE_pack(link_out(w->link), &f);
}

/* One message to all sockets from FIRST to LAST. "FIRST LAST TEXT" */
static void
command_cast(char *line)
{
    struct worker *w = any_worker();
    struct msg_WS_CAST m = { .flags = WS_TEXT | WS_FIN };
    struct buf sockets = { 0 };
    uint64_t first = strtoull(line, &line, 10), last = strtoull(line, &line, 10);

    for (uint64_t socket = first; socket <= last; socket++)
        buf_append(&sockets, &socket, sizeof socket);
    m.sockets = buf_view(&sockets);
    m.data = bytes_of(line + 1);
    if (w != NULL)
        msg_WS_CAST_pack(link_out(w->link), &m);
    buf_fini(&sockets);
}

static void
command_flood(uint64_t socket, uint64_t bytes)
{
    static uint8_t block[CHUNK_MAX_BYTES];
    struct worker *w = any_worker();
    struct msg_WS_MESSAGE m = { .socket = socket, .flags = WS_FIN, .data = bytes_from(block, sizeof block) };

    for (uint64_t sent = 0; w != NULL && sent < bytes; sent += sizeof block) {
        msg_WS_MESSAGE_pack(link_out(w->link), &m);
        link_flush(w->link);
    }
}

static void
command(char *line)
{
    char *rest = strchr(line, ' '), *more;
    struct worker *w;
    uint64_t n;

    if (gateway == NULL)
        return; /* it ended; so do we */
    if (rest != NULL)
        *rest++ = 0;
    else
        rest = line + strlen(line);
    n = strtoull(rest, NULL, 10);
    more = strchr(rest, ' ');
    more = more != NULL ? more + 1 : rest + strlen(rest);
    w = any_worker();
    if (strcmp(line, "routes") == 0) {
        send_routes(rest);
    } else if (strcmp(line, "kill") == 0 && n < (uint64_t)worker_count && workers[n].link != NULL) {
        link_flush(workers[n].link);
        link_destroy(&workers[n].link);
        rig_calls_forget(&workers[n]);
    } else if (strcmp(line, "link") == 0 && n < WORKERS_MAX) {
        workers[n].link = peer_link(ROLE_WORKER, (uint16_t)n, &rig_worker_events, &workers[n]);
    } else if (strcmp(line, "stop") == 0) {
        struct msg_STOP m = { .grace_ms = (uint32_t)n };
        msg_STOP_pack(link_out(gateway), &m);
    } else if (strcmp(line, "credit") == 0) {
        rig_gives_credit = strcmp(rest, "on") == 0;
    } else if (strcmp(line, "cast") == 0) {
        command_cast(rest);
    } else if (strcmp(line, "flood") == 0) {
        command_flood(n, strtoull(more, NULL, 10));
    } else if (strcmp(line, "auto") == 0 && w != NULL) {
        struct msg_WS_AUTO m = { .agent = rig_agent(bytes_of("agent")),
                                 .class_name = BYTES_LIT("Chat"),
                                 .response = bytes_of(more) };
        m.request = bytes_from(rest, strcspn(rest, " "));
        msg_WS_AUTO_pack(link_out(w->link), &m);
    } else if (strcmp(line, "list") == 0 && w != NULL) {
        struct msg_WS_LIST m = { .request = 7, .agent = rig_agent(bytes_of("agent")), .class_name = BYTES_LIT("Chat") };
        msg_WS_LIST_pack(link_out(w->link), &m);
    } else {
        command_socket(line, n, more);
    }
    printf("{\"event\":\"done\"");
    rig_end_line();
}

static void
on_stdin(void *owner, int events)
{
    static struct buf input;
    char piece[4096];
    ssize_t n = read(0, piece, sizeof piece);
    uint8_t *end;

    if (n <= 0) {
        loop_stop(loop);
        return;
    }
    buf_append(&input, piece, (size_t)n);
    while ((end = memchr(input.data, '\n', input.len)) != NULL) {
        size_t len = (size_t)(end - input.data);
        char *line = bytes_dup(bytes_from(input.data, len));
        buf_consume(&input, len + 1);
        command(line);
        free(line);
    }
}

static void
start_gateway(const char *path, int fd)
{
    gateway_pid = fork();
    if (gateway_pid != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fd == 3)
        (void)fcntl(3, F_SETFD, 0);
    else
        (void)dup2(fd, 3);
    (void)dup2(2, 1);
    execl(path, "dormouse-gateway", (char *)NULL);
    _exit(127);
}

int
main(int argc, char **argv)
{
    struct msg_HELLO hello = { .version = IPC_VERSION, .role = ROLE_SUPERVISOR, .pid = (uint32_t)getpid() };
    struct msg_CONF conf;
    struct loop_poll *input;
    uint16_t port;
    int pair[2];

    if (argc != 5)
        return 2;
    worker_count = (int)strtol(argv[4], NULL, 10);
    if (worker_count > WORKERS_MAX || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return 2;
    start_gateway(argv[1], pair[1]);
    close(pair[1]);
    loop = loop_create();
    gateway = link_open(loop, pair[0], &hello, &control_events, NULL);
    conf.json = bytes_of(argv[2]);
    msg_CONF_pack(link_out(gateway), &conf);
    port = listen_open();
    control = peer_link(ROLE_CONTROL, 0, &control_events, &worker_count);
    send_routes(argv[3]);
    for (int i = 0; i < WORKERS_MAX; i++) {
        workers[i].slot = (uint16_t)i;
        workers[i].calls = umap_create();
    }
    for (int i = 0; i < worker_count; i++)
        workers[i].link = peer_link(ROLE_WORKER, (uint16_t)i, &rig_worker_events, &workers[i]);
    printf("{\"event\":\"ready\",\"port\":%u", port);
    rig_end_line();
    input = loop_poll_create(loop, 0, on_stdin, NULL);
    loop_poll_set(input, LOOP_READABLE);
    loop_run(loop);
    return 0;
}
