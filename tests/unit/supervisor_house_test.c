/*
 * The house with real processes: this program is copied under the rooms' names and plays them. The one that plays control
 * tells the test what it sees through a fifo in the data folder; the test waits for such lines, never for time.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/ipc/room.h"
#include "lib/jail/jail.h"
#include "lib/sys/sys.h"
#include "src/supervisor/supervisor_shell.h"

#define LINE_MAX_BYTES 16384
#define OPEN_ROOMS     "192.0.2.1"     /* in "allow", which all rooms are told: control alone enters its sandbox */
#define ROGUE_WORKER   "192.0.2.2"     /* the same: control starts workers of which the second breaks the gateway's rules */
#define WAIT_MS        20000           /* a line that has not come by then will not come */

/* ---- the rooms that this program plays -------------------------------------------------------------------------- */

static int tell_fd = -1;
static bool is_rogue;

static void
tell(const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    int len;

    if (tell_fd < 0)
        return;
    va_start(args, fmt);
    len = vsnprintf(line, sizeof line - 1, fmt, args);
    va_end(args);
    line[len] = '\n';
    (void)sys_write_all(tell_fd, line, (size_t)len + 1);
}

static const char *
text_after(const char *json, const char *mark, char *out, size_t size)
{
    const char *from = strstr(json, mark);
    size_t len = from != NULL ? strcspn(from + strlen(mark), "\"") : 0;

    (void)snprintf(out, size, "%.*s", (int)len, from != NULL ? from + strlen(mark) : "");
    return out;
}

static bool
play_start(struct room *room, struct bytes conf_json, struct err *err)
{
    char path[PATH_MAX];
    char *json = bytes_dup(conf_json);
    bool is_control = strstr(json, "\"workers\":") != NULL;
    bool ok;

    if (is_control) {
        text_after(json, "\"data\":\"", path, sizeof path - 8);
        (void)strncat(path, "/fifo", 6);
        tell_fd = sys_open(path, O_WRONLY, 0);
        tell("CONF %s", json);
    }
    is_rogue = strstr(json, is_control ? "\"allow\":[\"" ROGUE_WORKER "\"]" : "\"rogue\":1") != NULL;
    if (strstr(json, "\"mode\":\"crash\"") != NULL)
        abort();
    if (!is_control && strstr(json, "\"allow\":[\"" OPEN_ROOMS "\"]") != NULL) {
        free(json);
        room_ready(room);                                    /* a room that forgot its sandbox */
        return true;
    }
    ok = jail_enter(is_control ? ROLE_CONTROL : ROLE_WORKER, conf_json, err);
    free(json);
    if (!ok)
        return false;
    if (is_control)
        msg_APP_START_pack(link_out(room_supervisor(room)), &(struct msg_APP_START){
            .app = BYTES_LIT("demo"), .count = 2,
            .json = is_rogue ? BYTES_LIT("{\"mode\":\"serve\",\"rogue\":1}") : BYTES_LIT("{\"mode\":\"serve\",\"sandbox\":\"off\"}")
        });
    room_ready(room);
    return true;
}

static void
play_link_up(struct room *room, struct link *link)
{
    const struct msg_HELLO *peer = link_peer(link);

    if (is_rogue && room_index(room) == 1 && peer->role == ROLE_GATEWAY)
        msg_COUNT_pack(link_out(link), &(struct msg_COUNT){ 1 });      /* control's to say: the gateway ends the link */
    tell("UP %s %u %.*s", role_name(peer->role), peer->index, (int)peer->app.len, (const char *)peer->app.data);
}

static void
play_link_down(struct room *room, struct link *link, const struct err *err)
{
    tell("DOWN %s %u", role_name(link_peer(link)->role), link_peer(link)->index);
}

static bool
play_message(struct room *room, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct msg_STATUS status;
    struct msg_BUILD_DONE done;

    if (type == MSG_STATUS && msg_STATUS_unpack(&status, payload, err))
        tell("STATUS %.*s", (int)status.json.len, (const char *)status.json.data);
    if (type == MSG_BUILD_DONE && msg_BUILD_DONE_unpack(&done, payload, err))
        tell("BUILD_DONE %u %u %.*s", done.build, done.ok, (int)done.json.len, (const char *)done.json.data);
    return true;
}

static void
play_listen(struct room *room, struct bytes name, struct bytes address, int fd)
{
    struct stat st;

    tell("LISTEN %.*s %d", (int)name.len, (const char *)name.data, sys_fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode));
    if (bytes_equal_str(name, "admin"))
        msg_BUILD_pack(link_out(room_supervisor(room)), &(struct msg_BUILD){
            .build = 7, .app = BYTES_LIT("demo"), .json = BYTES_LIT("{\"mode\":\"crash\"}")
        });
    sys_close(fd);
}

static int
play(int argc, char **argv, const char *name)
{
    static const struct { const char *name; enum role role; } roles[] = {
        { "gateway", ROLE_GATEWAY }, { "worker", ROLE_WORKER }, { "egress", ROLE_EGRESS }, { "scheduler", ROLE_SCHEDULER },
        { "control", ROLE_CONTROL }, { "journal", ROLE_JOURNAL },
    };
    struct room_spec spec = {
        .name = name, .start = play_start, .link_up = play_link_up, .link_down = play_link_down, .message = play_message,
        .listen = play_listen,
    };

    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        if (strcmp(roles[i].name, name) == 0)
            spec.role = roles[i].role;
    return room_main(argc, argv, &spec);
}

/* ---- the stage -------------------------------------------------------------------------------------------------- */

struct stage {
    char  folder[64];
    char  data[96];
    char  config[96];
    pid_t supervisor;
    int   fifo_fd;
    char  text[1 << 20];           /* all that control told so far */
    size_t text_len;
    size_t read_from;              /* lines before this were waited for already */
};

static void
copy_self(const char *to)
{
    static char block[1 << 16];
    int in = sys_open("/proc/self/exe", O_RDONLY, 0);
    int out = sys_open(to, O_CREAT | O_WRONLY, 0755);
    ssize_t len;

    assert_true(in >= 0 && out >= 0);
    while ((len = sys_read(in, block, sizeof block)) > 0)
        assert_true(sys_write_all(out, block, (size_t)len));
    sys_close(in);
    sys_close(out);
}

static void
file_put(const char *path, const char *text)
{
    int fd = sys_open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

    assert_true(fd >= 0);
    assert_true(sys_write_all(fd, text, strlen(text)));
    sys_close(fd);
}

static int
stage_open(void **state)
{
    static const char *const names[] = { "gateway", "worker", "egress", "scheduler", "control", "journal" };
    struct stage *stage = calloc(1, sizeof *stage);
    char path[PATH_MAX];

    assert_non_null(stage);
    (void)snprintf(stage->folder, sizeof stage->folder, "/tmp/dormouse-house-XXXXXX");
    assert_non_null(mkdtemp(stage->folder));
    assert_int_equal(chmod(stage->folder, 0755), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof path, "%s/dormouse-%s", stage->folder, names[i]);
        copy_self(path);
    }
    (void)snprintf(stage->data, sizeof stage->data, "%s/data", stage->folder);
    (void)snprintf(stage->config, sizeof stage->config, "%s/config.json", stage->folder);
    assert_int_equal(sys_mkdirat(AT_FDCWD, stage->data, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/fifo", stage->data);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(chmod(path, 0666), 0);                  /* whoever the rooms turn out to be */
    stage->fifo_fd = sys_open(path, O_RDONLY | O_NONBLOCK, 0);
    assert_true(stage->fifo_fd >= 0);
    *state = stage;
    return 0;
}

static void
config_write(struct stage *stage, const char *listen, const char *sandbox)
{
    char text[512];

    (void)snprintf(text, sizeof text, "{\"data\":\"%s\",\"listen\":[\"%s\"],\"workers\":2,\"sandbox\":\"%s\"}", stage->data, listen,
                   sandbox);
    file_put(stage->config, text);
}

static NORETURN void
supervise(const char *config_path, const char *bin)
{
    struct supervisor_config *config = NULL;
    struct house *house = NULL;
    struct err err = { 0 };
    int status = 9;

    if (supervisor_config_load(&config, config_path, &err)) {
        free(config->bin);
        config->bin = strdup(bin);
        if (house_open(&house, config, &err))
            status = house_run(house);
    }
    if (err.code != ERR_NONE)
        (void)fprintf(stderr, "%s\n", err.message);
    house_close(&house);
    supervisor_config_destroy(&config);
    _exit(err.code == ERR_EXISTS ? 42 : status);
}

static pid_t
supervisor_start(const struct stage *stage)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        supervise(stage->config, stage->folder);
    return pid;
}

/* More of what control tells; false when nobody holds the other end any more. */
static bool
stage_read(struct stage *stage)
{
    struct pollfd wait = { .fd = stage->fifo_fd, .events = POLLIN };
    ssize_t len;

    assert_true(stage->text_len < sizeof stage->text - 1);
    if (poll(&wait, 1, WAIT_MS) != 1) {
        (void)fwrite(stage->text, 1, stage->text_len, stderr);
        fail_msg("control told no more than that");
    }
    len = sys_read(stage->fifo_fd, stage->text + stage->text_len, sizeof stage->text - 1 - stage->text_len);
    stage->text_len += len > 0 ? (size_t)len : 0;
    stage->text[stage->text_len] = '\0';
    return len > 0;
}

/* Waits for a line after the last one waited for that begins with START and holds PART; returns it. */
static const char *
stage_wait(struct stage *stage, const char *start, const char *part)
{
    static char line[LINE_MAX_BYTES];
    size_t at = stage->read_from;

    for (;;) {
        char *end = strchr(stage->text + at, '\n');

        if (end == NULL) {
            if (!stage_read(stage))
                fail_msg("control ended before it said '%s … %s'", start, part);
            continue;
        }
        (void)snprintf(line, sizeof line, "%.*s", (int)(end - (stage->text + at)), stage->text + at);
        at = (size_t)(end - stage->text) + 1;
        if (strncmp(line, start, strlen(start)) == 0 && strstr(line, part) != NULL) {
            stage->read_from = at;
            return line;
        }
    }
}

/* Waits until control has told PART, before or after now. */
static void
stage_saw(struct stage *stage, const char *part)
{
    while (strstr(stage->text, part) == NULL)
        assert_true(stage_read(stage));
}

static size_t
occurrences(const char *text, const char *part)
{
    size_t count = 0;

    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

/* Waits until STATUS shows COUNT rooms ready; returns that STATUS. */
static const char *
stage_wait_ready(struct stage *stage, size_t count)
{
    const char *line;

    do
        line = stage_wait(stage, "STATUS", "\"ready\"");
    while (occurrences(line, "\"ready\"") != count || occurrences(line, "\"build\":true") > 0);
    return line;
}

static pid_t
pid_of(const char *status, const char *room)
{
    const char *at = strstr(status, room);

    assert_non_null(at);
    at = strstr(at, "\"pid\":");
    assert_non_null(at);
    return (pid_t)strtol(at + strlen("\"pid\":"), NULL, 10);
}

static bool
process_is_alive(pid_t pid)
{
    char path[64];
    char text[512];
    const char *state;
    ssize_t len;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return false;
    len = sys_read(fd, text, sizeof text - 1);
    sys_close(fd);
    text[len > 0 ? len : 0] = '\0';
    state = strrchr(text, ')');
    return state != NULL && state[2] != 'Z' && state[2] != 'X';
}

static int
exit_status_of(pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A room has ended when the other end of its link is closed; for a test that watches strangers, /proc must do. */
static void
wait_until_dead(pid_t pid)
{
    for (int i = 0; process_is_alive(pid); i++) {
        assert_true(i < 2000);
        (void)poll(NULL, 0, 10);
    }
}

static int
stage_close(void **state)
{
    struct stage *stage = *state;
    char command[128];

    if (stage->supervisor > 0 && waitpid(stage->supervisor, NULL, WNOHANG) == 0) {
        (void)kill(stage->supervisor, SIGKILL);
        (void)waitpid(stage->supervisor, NULL, 0);
    }
    sys_close(stage->fifo_fd);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", stage->folder);
    assert_int_equal(system(command), 0);
    free(stage);
    return 0;
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */

static void
test_starts_links_and_stops(void **state)
{
    static const char *const peers[] = { "UP gateway 0", "UP egress 0", "UP scheduler 0", "UP journal 0", "UP worker 0 demo",
                                         "UP worker 1 demo" };
    struct stage *stage = *state;
    const char *status;
    pid_t worker;

    config_write(stage, "127.0.0.1:0", "best");
    stage->supervisor = supervisor_start(stage);
    status = stage_wait(stage, "CONF", "\"sandbox\":\"best\"");
    assert_non_null(strstr(status, stage->data));
    (void)stage_wait(stage, "LISTEN", "admin 1");
    status = stage_wait_ready(stage, 7);
    assert_non_null(strstr(status, "\"name\":\"main\",\"address\":\"127.0.0.1:"));
    assert_null(strstr(status, "127.0.0.1:0\""));
    worker = pid_of(status, "\"role\":\"worker\",\"index\":1");
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        stage_saw(stage, peers[i]);
    assert_int_equal(kill(stage->supervisor, SIGTERM), 0);
    assert_int_equal(exit_status_of(stage->supervisor), 0);
    stage->supervisor = 0;
    assert_false(process_is_alive(worker));
}

static void
test_a_killed_worker_comes_back_with_fresh_links(void **state)
{
    struct stage *stage = *state;
    const char *status;
    size_t after_death;
    pid_t first;

    config_write(stage, "127.0.0.1:0", "best");
    stage->supervisor = supervisor_start(stage);
    stage_saw(stage, "UP worker 0 demo");
    status = stage_wait_ready(stage, 7);
    first = pid_of(status, "\"role\":\"worker\",\"index\":0");
    assert_int_equal(kill(first, SIGKILL), 0);
    (void)stage_wait(stage, "DOWN", "worker 0");
    after_death = stage->read_from;
    do
        status = stage_wait_ready(stage, 7);
    while (strstr(status, "\"restarts\":1") == NULL);
    assert_true(pid_of(status, "\"role\":\"worker\",\"index\":0") != first);
    stage->read_from = after_death;                          /* the link may be up before or after that STATUS */
    (void)stage_wait(stage, "UP", "worker 0 demo");
    assert_int_equal(kill(stage->supervisor, SIGINT), 0);
    assert_int_equal(exit_status_of(stage->supervisor), 0);
    stage->supervisor = 0;
}

/* The address of the listener "main" in STATUS. */
static void
main_address(const char *status, struct sockaddr_in *out)
{
    const char *at = strstr(status, "\"name\":\"main\",\"address\":\"127.0.0.1:");

    assert_non_null(at);
    *out = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    at = strstr(at, "127.0.0.1:") + strlen("127.0.0.1:");
    out->sin_port = htons((uint16_t)strtol(at, NULL, 10));
}

static void
test_no_connection_is_refused_while_the_gateway_restarts(void **state)
{
    struct stage *stage = *state;
    struct sockaddr_in name;
    const char *status;
    int fd;

    config_write(stage, "127.0.0.1:0", "best");
    stage->supervisor = supervisor_start(stage);
    stage_saw(stage, "UP gateway 0");
    status = stage_wait_ready(stage, 7);
    main_address(status, &name);
    assert_int_equal(kill(pid_of(status, "\"role\":\"gateway\""), SIGKILL), 0);
    (void)stage_wait(stage, "DOWN", "gateway 0");
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    sys_close(fd);
    assert_int_equal(kill(stage->supervisor, SIGTERM), 0);
    assert_int_equal(exit_status_of(stage->supervisor), 0);
    stage->supervisor = 0;
}

static void
test_a_build_that_dies_is_reported(void **state)
{
    struct stage *stage = *state;
    const char *line;

    config_write(stage, "127.0.0.1:0", "best");
    stage->supervisor = supervisor_start(stage);
    line = stage_wait(stage, "BUILD_DONE", "signal 6");
    assert_non_null(strstr(line, "BUILD_DONE 7 0 {\"message\":"));
    assert_int_equal(kill(stage->supervisor, SIGTERM), 0);
    assert_int_equal(exit_status_of(stage->supervisor), 0);
    stage->supervisor = 0;
}

static void
test_no_room_outlives_the_supervisor(void **state)
{
    static const char *const rooms[] = { "\"role\":\"gateway\"", "\"role\":\"worker\",\"index\":0", "\"role\":\"worker\",\"index\":1",
                                         "\"role\":\"egress\"", "\"role\":\"scheduler\"", "\"role\":\"control\"", "\"role\":\"journal\"" };
    struct stage *stage = *state;
    pid_t pids[ARRAY_LEN(rooms)];
    const char *status;

    config_write(stage, "127.0.0.1:0", "best");
    stage->supervisor = supervisor_start(stage);
    status = stage_wait_ready(stage, 7);
    for (size_t i = 0; i < ARRAY_LEN(rooms); i++)
        pids[i] = pid_of(status, rooms[i]);
    assert_int_equal(kill(stage->supervisor, SIGKILL), 0);
    assert_int_equal(exit_status_of(stage->supervisor), 128 + SIGKILL);
    stage->supervisor = 0;
    for (size_t i = 0; i < ARRAY_LEN(pids); i++)
        wait_until_dead(pids[i]);
}

static void
test_an_address_in_use_is_refused_at_once(void **state)
{
    struct stage *stage = *state;
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof name;
    char address[64];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&name, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(name.sin_port));
    config_write(stage, address, "best");
    assert_int_equal(exit_status_of(supervisor_start(stage)), 42);
    sys_close(fd);
}

static void
test_one_supervisor_per_data_folder(void **state)
{
    struct stage *stage = *state;

    config_write(stage, "127.0.0.1:0", "off");
    stage->supervisor = supervisor_start(stage);
    (void)stage_wait_ready(stage, 7);
    assert_int_equal(exit_status_of(supervisor_start(stage)), 42);
    assert_int_equal(kill(stage->supervisor, SIGTERM), 0);
    assert_int_equal(exit_status_of(stage->supervisor), 0);
    stage->supervisor = 0;
}

/* As a service manager or a container filters a service: everything here is allowed, but it is a filter. */
static void
filter_inherit(void)
{
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = { .len = 1, .filter = &allow };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
        _exit(9);
}

static void
test_an_inherited_filter_is_no_sandbox(void **state)
{
    struct stage *stage = *state;
    char text[512];
    const char *status;
    pid_t pid;

#ifdef __SANITIZE_ADDRESS__
    skip();                                /* such rooms cannot be filtered, and are believed without */
#endif
    (void)snprintf(text, sizeof text, "{\"data\":\"%s\",\"listen\":[\"127.0.0.1:0\"],\"workers\":2,\"allow\":[\"" OPEN_ROOMS "\"]}", stage->data);
    file_put(stage->config, text);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        filter_inherit();
        supervise(stage->config, stage->folder);
    }
    stage->supervisor = pid;
    do {
        status = strstr(stage_wait(stage, "STATUS", "\"role\":\"gateway\""), "\"role\":\"gateway\"");
        assert_true(strncmp(strstr(status, "\"state\":"), "\"state\":\"ready\"", strlen("\"state\":\"ready\"")) != 0);
    } while (strtol(strstr(status, "\"restarts\":") + strlen("\"restarts\":"), NULL, 10) == 0);
    assert_int_equal(kill(stage->supervisor, SIGTERM), 0);
    (void)exit_status_of(stage->supervisor);                 /* a room that is just starting may have to be killed */
    stage->supervisor = 0;
}

/* Nobody died, and yet the gateway could reach that worker no more. */
static void
test_a_broken_link_between_living_rooms_is_mended(void **state)
{
    struct stage *stage = *state;
    const char *status;
    char text[512];
    pid_t gateway, neighbour, rogue;

    (void)snprintf(text, sizeof text, "{\"data\":\"%s\",\"listen\":[\"127.0.0.1:0\"],\"allow\":[\"" ROGUE_WORKER "\"]}", stage->data);
    file_put(stage->config, text);
    stage->supervisor = supervisor_start(stage);
    status = stage_wait_ready(stage, 7);
    gateway = pid_of(status, "\"role\":\"gateway\"");
    neighbour = pid_of(status, "\"role\":\"worker\",\"index\":0");
    rogue = pid_of(status, "\"role\":\"worker\",\"index\":1");
    (void)stage_wait(stage, "DOWN worker 1", "");
    (void)stage_wait(stage, "UP worker 1", "demo");
    status = stage_wait_ready(stage, 7);
    assert_int_equal(pid_of(status, "\"role\":\"gateway\""), gateway);
    assert_int_equal(pid_of(status, "\"role\":\"worker\",\"index\":0"), neighbour);
    assert_int_not_equal(pid_of(status, "\"role\":\"worker\",\"index\":1"), rogue);
    assert_null(strstr(stage->text, "DOWN gateway"));
    assert_int_equal(kill(stage->supervisor, SIGTERM), 0);
    (void)exit_status_of(stage->supervisor);                 /* a room that is just starting may have to be killed */
    stage->supervisor = 0;
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_starts_links_and_stops, stage_open, stage_close),
        cmocka_unit_test_setup_teardown(test_a_killed_worker_comes_back_with_fresh_links, stage_open, stage_close),
        cmocka_unit_test_setup_teardown(test_a_broken_link_between_living_rooms_is_mended, stage_open, stage_close),
        cmocka_unit_test_setup_teardown(test_no_connection_is_refused_while_the_gateway_restarts, stage_open, stage_close),
        cmocka_unit_test_setup_teardown(test_a_build_that_dies_is_reported, stage_open, stage_close),
        cmocka_unit_test_setup_teardown(test_no_room_outlives_the_supervisor, stage_open, stage_close),
        cmocka_unit_test_setup_teardown(test_an_address_in_use_is_refused_at_once, stage_open, stage_close),
        cmocka_unit_test_setup_teardown(test_one_supervisor_per_data_folder, stage_open, stage_close),
        cmocka_unit_test_setup_teardown(test_an_inherited_filter_is_no_sandbox, stage_open, stage_close),
    };
    const char *name = strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0];

    if (strncmp(name, "dormouse-", strlen("dormouse-")) == 0)
        return play(argc, argv, name + strlen("dormouse-"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
