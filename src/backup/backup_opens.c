/* backup_opens — see backup_opens.h. */
#include "src/backup/backup_opens.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/base/bytes.h"
#include "lib/sys/sys.h"
#include "src/backup/backup_limits.h"

#define PROGRAM "dormouse-check"

struct opens {
    pid_t      pid;
    int        to, from;
    struct buf in;                         /* read, and not yet a line */
};

/* Between fork and exec: only what is safe there. The environment, with the secrets of the store, stays with us. */
static void
child_run(const char *program, const char *scratch, int in, int out, pid_t parent)
{
    char *const argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)scratch, NULL };
    char *const environment[] = { NULL };

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    (void)dup2(in, STDIN_FILENO);
    (void)dup2(out, STDOUT_FILENO);
    (void)execve(program, argv, environment);
    _exit(127);
}

/* The next answer, owned by the caller. */
static bool
answer_read(struct opens *opens, json_t **out, struct err *err)
{
    const uint8_t *end;

    while (opens->in.len == 0 || (end = memchr(opens->in.data, '\n', opens->in.len)) == NULL) {
        ssize_t got;

        buf_reserve(&opens->in, 4096);
        got = opens->in.len > ADMIN_LINE_BYTES ? 0 : sys_read(opens->from, opens->in.data + opens->in.len, 4096);
        if (got <= 0)
            return err_set(err, ERR_LOST, 0, "dormouse-check, which opens the databases, died");
        opens->in.len += (size_t)got;
    }
    *out = json_loadb((const char *)opens->in.data, (size_t)(end - opens->in.data), 0, NULL);
    buf_consume(&opens->in, (size_t)(end - opens->in.data) + 1);
    return json_is_object(*out) ? true : err_set(err, ERR_MALFORMED, 0, "dormouse-check's answer makes no sense");
}

static bool
verdict_read(struct opens *opens, enum err_code code, struct err *err)
{
    json_t *line = NULL;
    const char *message;
    bool ok = answer_read(opens, &line, err);

    message = json_string_value(json_object_get(line, "message"));
    if (ok && !json_is_true(json_object_get(line, "ok")))
        ok = err_set(err, code, 0, "%s", message != NULL ? message : "no reason was given");
    json_decref(line);
    return ok;
}

/* QUESTION is stolen. */
static bool
ask(struct opens *opens, json_t *question, struct err *err)
{
    char *text = json_dumps(question, JSON_COMPACT);
    struct buf line = { 0 };
    bool ok;

    assert(text != NULL);
    buf_printf(&line, "%s\n", text);
    ok = sys_write_all(opens->to, line.data, line.len) ? true : err_set(err, ERR_LOST, 0, "dormouse-check, which opens the databases, died");
    buf_fini(&line);
    free(text);
    json_decref(question);
    return ok;
}

bool
opens_start(struct opens **out_opens, const char *scratch, struct err *err)
{
    int to[2] = { -1, -1 }, from[2] = { -1, -1 };
    char program[PATH_BYTES];
    const pid_t parent = getpid();
    struct opens *opens;

    if (!sys_program_beside(PROGRAM, program, sizeof program))
        return err_set(err, ERR_IO, errno, "find our own program");
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
        (void)sys_close(to[0]);
        (void)sys_close(to[1]);
        return err_set(err, ERR_IO, errno, "make a pipe");
    }
    opens = calloc(1, sizeof *opens);
    assert(opens != NULL);
    opens->pid = fork();
    if (opens->pid == 0)
        child_run(program, scratch, to[0], from[1], parent);
    (void)sys_close(to[0]);
    (void)sys_close(from[1]);
    opens->to = to[1];
    opens->from = from[0];
    if (opens->pid > 0 && verdict_read(opens, ERR_IO, err)) {
        *out_opens = opens;
        return true;
    }
    opens_end(&opens);
    return err_add(err, "start '%s'", program);
}

void
opens_end(struct opens **opens)
{
    struct opens *it = STEAL(*opens);

    if (it == NULL)
        return;
    (void)sys_close(it->to);               /* it ends with its questions */
    (void)sys_close(it->from);
    if (it->pid > 0) {
        (void)kill(it->pid, SIGKILL);      /* all answers are there, or nobody wants them */
        (void)waitpid(it->pid, NULL, 0);
    }
    buf_fini(&it->in);
    free(it);
}

bool
opens_app(struct opens *opens, const char *app, struct err *err)
{
    return ask(opens, json_pack("[s]", app), err) && verdict_read(opens, ERR_LOST, err);
}

bool
opens_agent(struct opens *opens, const char *app, const char *class_name, const char *id, struct err *err)
{
    return ask(opens, json_pack("[s, s, s]", app, class_name, id), err) && verdict_read(opens, ERR_CORRUPT, err);
}

bool
opens_rest(struct opens *opens, void (*fn)(void *owner, const char *what, const char *message), void *owner, struct err *err)
{
    bool is_end = false;

    if (!ask(opens, json_array(), err))
        return false;
    while (!is_end) {
        json_t *line = NULL;
        const json_t *agent;
        char what[PATH_BYTES];

        if (!answer_read(opens, &line, err)) {
            json_decref(line);
            return false;
        }
        is_end = json_is_true(json_object_get(line, "end"));
        agent = json_object_get(line, "agent");
        if (!is_end && json_is_string(json_array_get(agent, 2))) {
            (void)snprintf(what, sizeof what, "apps/%s/agents/%s/%s", json_string_value(json_array_get(agent, 0)), json_string_value(json_array_get(agent, 1)),
                           json_string_value(json_array_get(agent, 2)));
            fn(owner, what, json_string_value(json_object_get(line, "message")));
        }
        json_decref(line);
    }
    return true;
}
