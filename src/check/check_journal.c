/* check_journal — see check_journal.h. */
#include "src/check/check_journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/map.h"
#include "lib/ipc/link.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/check/check_limits.h"

#define SUPERVISOR_FD 3                    /* where a room finds its supervisor */
#define PROGRAM       "dormouse-journal"

struct app {
    struct journal  *journal;
    char            *name;                 /* owned */
    struct link     *link;                 /* NULL: it closed */
    bool             is_listed;            /* its suspects are known */
    struct bmap     *suspects;             /* id and class name of each agent with records → anything */
};

struct journal {
    struct loop       *loop;
    struct loop_timer *patience;
    pid_t              pid;
    struct link       *link;               /* as its supervisor; NULL: it died */
    bool               is_ready, is_late;
    struct app        *apps[CHECK_APPS_MAX];
    size_t             apps_count;
    uint32_t           request;            /* the last question */
    struct records    *answer;             /* where records of it go */
    bool               is_answered;
    struct err         refused;            /* its records are damaged */
};

/* ---- links ----------------------------------------------------------------------------------------------------------------- */

static bool
supervisor_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct journal *journal = owner;

    journal->is_ready = journal->is_ready || type == MSG_READY;
    return true;
}

static void
supervisor_closed(void *owner, struct link *link, const struct err *err)
{
    struct journal *journal = owner;

    journal->link = NULL;
}

static void
app_closed(void *owner, struct link *link, const struct err *err)
{
    struct app *app = owner;

    app->link = NULL;
}

static bool
suspects_take(struct app *app, struct bytes payload, struct err *err)
{
    struct msg_SUSPECTS msg;
    size_t at = 0;

    if (!msg_SUSPECTS_unpack(&msg, payload, err))
        return false;
    while (msg.entries.len - at >= sizeof(struct agent_id) + 2) {
        struct buf key = { 0 };
        uint16_t len;

        buf_append(&key, msg.entries.data + at, sizeof(struct agent_id));
        memcpy(&len, msg.entries.data + at + sizeof(struct agent_id), sizeof len);
        at += sizeof(struct agent_id) + 2;
        assert(len <= msg.entries.len - at);   /* our own journal wrote it */
        buf_append(&key, msg.entries.data + at, len);
        at += len;
        (void)bmap_put(app->suspects, buf_view(&key), app);
        buf_fini(&key);
    }
    app->is_listed = (msg.flags & SUSPECTS_MORE) == 0;
    return true;
}

static bool
record_take(struct journal *journal, struct bytes payload, struct err *err)
{
    struct msg_RECORD msg;

    if (!msg_RECORD_unpack(&msg, payload, err))
        return false;
    if (journal->answer == NULL || msg.request != journal->request)
        return true;
    if (msg.flags & COMMIT_GONE) {
        buf_clear(&journal->answer->pages);
        journal->answer->is_anew = true;
        return true;
    }
    if (journal->answer->pages.len + msg.pages.len > CHECK_REDO_BYTES_MAX)
        return err_set(err, ERR_LIMIT, 0, "an agent has more records than any journal keeps");
    buf_append_bytes(&journal->answer->pages, msg.pages);
    return true;
}

static bool
recalled_take(struct journal *journal, struct bytes payload, struct err *err)
{
    struct msg_RECALLED msg;

    if (!msg_RECALLED_unpack(&msg, payload, err))
        return false;
    if (journal->answer == NULL || msg.request != journal->request)
        return true;
    journal->answer->last_seq = msg.last_seq;
    journal->is_answered = true;
    if (msg.ok != RECALLED_OK)
        (void)err_set(&journal->refused, ERR_CORRUPT, 0, "the journal's records of it cannot be read: %.*s", (int)msg.message.len, (const char *)msg.message.data);
    return true;
}

static bool
app_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct app *app = owner;

    switch (type) {
    case MSG_SUSPECTS:
        return suspects_take(app, payload, err);
    case MSG_RECORD:
        return record_take(app->journal, payload, err);
    case MSG_RECALLED:
        return recalled_take(app->journal, payload, err);
    default:
        return true;                       /* nothing that we asked for */
    }
}

/* Runs until *DONE, or the journal has died or is stuck. */
static bool
await(struct journal *journal, const bool *done, const char *what, struct err *err)
{
    journal->is_late = false;
    loop_timer_arm(journal->patience, CHECK_ANSWER_MS);
    while (!*done && journal->link != NULL && !journal->is_late)
        loop_run_once(journal->loop);
    loop_timer_disarm(journal->patience);
    return *done ? true : err_set(err, ERR_LOST, 0, "the journal over the backup's segments %s %s", journal->link == NULL ? "died before" : "is stuck before", what);
}

static void
on_late(void *owner)
{
    ((struct journal *)owner)->is_late = true;
}

/* ---- life -------------------------------------------------------------------------------------------------------------------- */

/* Between fork and exec: only what is safe there. What the journal says to people goes where our own words go. */
static void
child_run(const char *program, int fd, pid_t parent)
{
    char *const argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)"0", NULL };
    char *const environment[] = { NULL };

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    (void)dup2(STDERR_FILENO, STDOUT_FILENO);  /* our answers are on stdout */
    if (fd == SUPERVISOR_FD)
        (void)fcntl(fd, F_SETFD, 0);
    else
        (void)dup2(fd, SUPERVISOR_FD);
    (void)execve(program, argv, environment);
    _exit(127);
}

static void
conf_send(struct journal *journal, const char *data)
{
    json_t *conf = json_pack("{s:o, s:o, s:s, s:{s:[o], s:[]}, s:s}", "data", json_sprintf("%s/journal", data), "apps", json_sprintf("%s/apps", data), "sandbox",
                             "best", "jail", "write", json_sprintf("%s/journal", data), "read", "log_level", "error");
    char *text = json_dumps(conf, JSON_COMPACT);

    assert(text != NULL);
    msg_CONF_pack(link_out(journal->link), &(struct msg_CONF){ bytes_of(text) });
    free(text);
    json_decref(conf);
}

bool
journal_start(struct journal **out_journal, const char *data, struct err *err)
{
    static const struct link_events events = { .message = supervisor_message, .closed = supervisor_closed };
    const struct msg_HELLO hello = { IPC_VERSION, ROLE_SUPERVISOR, 0, (uint32_t)getpid(), BYTES_NONE };
    char program[CHECK_PATH_BYTES];
    const pid_t parent = getpid();
    struct journal *journal;
    int fds[2];

    if (!sys_program_beside(PROGRAM, program, sizeof program))
        return err_set(err, ERR_IO, errno, "find our own program");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return err_set(err, ERR_IO, errno, "make a pair of sockets");
    journal = calloc(1, sizeof *journal);
    assert(journal != NULL);
    journal->loop = loop_create();
    journal->patience = loop_timer_create(journal->loop, on_late, journal);
    journal->pid = fork();
    if (journal->pid == 0)
        child_run(program, fds[1], parent);
    (void)sys_close(fds[1]);
    journal->link = link_open(journal->loop, fds[0], &hello, &events, journal);
    conf_send(journal, data);
    if (journal->pid > 0 && await(journal, &journal->is_ready, "it was ready", err)) {
        *out_journal = journal;
        return true;
    }
    journal_end(&journal);
    return err->code != ERR_NONE ? false : err_set(err, ERR_IO, 0, "start '%s'", program);
}

static void
app_free(struct app *app)
{
    bmap_destroy(&app->suspects);
    link_destroy(&app->link);
    free(app->name);
    free(app);
}

void
journal_end(struct journal **journal)
{
    struct journal *it = STEAL(*journal);

    if (it == NULL)
        return;
    for (size_t i = 0; i < it->apps_count; i++)
        app_free(it->apps[i]);
    link_destroy(&it->link);               /* without its supervisor it exits at once */
    loop_timer_destroy(&it->patience);
    loop_destroy(&it->loop);
    if (it->pid > 0)
        (void)waitpid(it->pid, NULL, 0);   /* nothing is expected of its status */
    free(it);
}

/* ---- questions ----------------------------------------------------------------------------------------------------------------- */

static struct app *
app_find(const struct journal *journal, const char *name)
{
    for (size_t i = 0; i < journal->apps_count; i++)
        if (strcmp(journal->apps[i]->name, name) == 0)
            return journal->apps[i];
    return NULL;
}

bool
journal_join(struct journal *journal, const char *name, struct err *err)
{
    static const struct link_events events = { .message = app_message, .closed = app_closed };
    const struct msg_HELLO hello = { IPC_VERSION, ROLE_WORKER, 0, (uint32_t)getpid(), bytes_of(name) };
    struct app *app;
    int fds[2];

    if (app_find(journal, name) != NULL)
        return true;
    if (journal->apps_count == CHECK_APPS_MAX || journal->link == NULL)
        return err_set(err, journal->link == NULL ? ERR_LOST : ERR_LIMIT, 0, "app '%s' cannot be joined: too many apps, or the journal died", name);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return err_set(err, ERR_IO, errno, "make a pair of sockets");
    app = calloc(1, sizeof *app);
    assert(app != NULL);
    app->journal = journal;
    app->name = bytes_dup(bytes_of(name));
    app->suspects = bmap_create();
    journal->apps[journal->apps_count++] = app;
    msg_LINK_pack(link_out(journal->link), &(struct msg_LINK){ ROLE_WORKER, 0, 1, bytes_of(name) });
    link_send_fd(journal->link, fds[1]);
    app->link = link_open(journal->loop, fds[0], &hello, &events, app);
    return await(journal, &app->is_listed, "it listed its agents", err);
}

static void
suspect_drop(struct app *app, const char *class_name, const struct agent_id *agent)
{
    struct buf key = { 0 };

    buf_append(&key, agent, sizeof *agent);
    buf_append_str(&key, class_name);
    (void)bmap_take(app->suspects, buf_view(&key));    /* most have none */
    buf_fini(&key);
}

bool
journal_records(struct journal *journal, const char *name, const char *class_name, const struct agent_id *agent, struct records *out_records,
                struct err *err)
{
    struct app *app = app_find(journal, name);
    bool ok;

    assert(app != NULL);
    *out_records = (struct records){ 0 };
    suspect_drop(app, class_name, agent);
    if (app->link == NULL)
        return err_set(err, ERR_LOST, 0, "the journal over the backup's segments closed the link");
    journal->answer = out_records;
    journal->is_answered = false;
    err_clear(&journal->refused);
    msg_RECALL_pack(link_out(app->link), &(struct msg_RECALL){ ++journal->request, *agent, bytes_of(class_name) });
    ok = await(journal, &journal->is_answered, "it gave an agent's records", err);
    journal->answer = NULL;
    if (ok && journal->refused.code != ERR_NONE)
        ok = err_set(err, journal->refused.code, 0, "%s", journal->refused.message);
    if (!ok)
        buf_fini(&out_records->pages);
    return ok;
}

bool
journal_left(struct journal *journal, struct left *out_left)
{
    for (size_t i = 0; i < journal->apps_count; i++) {
        struct app *app = journal->apps[i];
        size_t cursor = 0;
        struct bytes key;
        void *value;

        if (!bmap_next(app->suspects, &cursor, &key, &value))
            continue;
        out_left->app = bytes_dup(bytes_of(app->name));
        memcpy(&out_left->agent, key.data, sizeof out_left->agent);
        out_left->class_name = bytes_dup(bytes_from(key.data + sizeof out_left->agent, key.len - sizeof out_left->agent));
        return true;
    }
    return false;
}
