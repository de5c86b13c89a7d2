/*
 * cli_top — `top`: what the node does, refreshed until q or Ctrl-C; and `metrics`: the same once, for Prometheus.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/cli/cli_client.h"
#include "src/cli/cli_commands.h"
#include "src/cli/cli_out.h"
#include "src/cli/cli_rates.h"
#include "src/cli/cli_where.h"

#define SCREEN_ENTER "\033[?1049h\033[?25l"
#define SCREEN_LEAVE "\033[?25h\033[?1049l"
#define SCREEN_HOME  "\033[H"
#define LINE_REST    "\033[K"
#define SCREEN_REST  "\033[J"

struct top_options {
    struct common common;
    bool          is_once;
    long          interval_s;
};

struct top {
    const struct top_options *options;
    struct loop       *loop;
    struct client     *client;
    struct loop_timer *timer;
    struct loop_poll  *keys;
    json_t            *before;         /* owned; NULL before the first answer */
    bool               is_screen, has_failed;
    struct termios     cooked;
    struct err         err;
};

static void
put(const char *text, size_t len)
{
    (void)fwrite(text, 1, len, stdout);    /* a closed terminal ends us by its signal */
}

/* As many lines as the terminal has; the rest of each, and of the screen, is blank. */
static void
screen_show(const struct buf *text)
{
    struct winsize size = { 0 };
    const char *at = (const char *)text->data, *end = at + text->len;
    unsigned rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1 ? size.ws_row - 1u : 40u;

    put(SCREEN_HOME, strlen(SCREEN_HOME));
    for (; at < end && rows > 0; rows--) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));

        line_end = line_end != NULL ? line_end : end;
        put(at, (size_t)(line_end - at));
        put(LINE_REST "\r\n", strlen(LINE_REST "\r\n"));
        at = line_end + 1;
    }
    put(SCREEN_REST, strlen(SCREEN_REST));
    (void)fflush(stdout);
}

static void
show(struct top *top, const json_t *rates)
{
    struct buf text = { 0 };

    if (top->options->common.is_json) {
        out_json(rates);
        return;
    }
    rates_print(rates, &text);
    if (top->is_screen)
        screen_show(&text);
    else
        put((const char *)text.data, text.len);
    buf_fini(&text);
}

static void
on_message(void *owner, const json_t *message)
{
    struct top *top = owner;
    json_t *rates;

    if (!json_is_true(json_object_get(message, "ok"))) {
        top->has_failed = true;
        client_error(message, &top->err);
        loop_stop(top->loop);
        return;
    }
    if (top->before != NULL || top->is_screen) {
        rates = rates_between(top->before, message);
        show(top, rates);
        json_decref(rates);
    }
    if (top->before != NULL && top->options->is_once)
        loop_stop(top->loop);
    json_decref(top->before);
    top->before = json_deep_copy(message);
    loop_timer_arm(top->timer, (uint64_t)top->options->interval_s * 1000);
}

static void
on_closed(void *owner)
{
    struct top *top = owner;

    top->has_failed = true;
    (void)err_set(&top->err, ERR_LOST, 0, "Dormouse closed the connection. Did it stop?");
    loop_stop(top->loop);
}

static void
on_due(void *owner)
{
    struct top *top = owner;

    (void)client_ask(top->client, "top", NULL);
}

static void
on_interrupt(void *owner, int signo)
{
    loop_stop(((struct top *)owner)->loop);
}

static void
on_key(void *owner, int events)
{
    struct top *top = owner;
    char keys[64];
    ssize_t len = sys_read(STDIN_FILENO, keys, sizeof keys);

    if (len < 0 && errno == EINTR)
        return;
    if (len <= 0 || memchr(keys, 'q', (size_t)len) != NULL || memchr(keys, 'Q', (size_t)len) != NULL)
        loop_stop(top->loop);
}

static void
screen_enter(struct top *top)
{
    struct termios raw;

    if (!top->is_screen)
        return;
    (void)tcgetattr(STDIN_FILENO, &top->cooked);           /* it is a terminal */
    raw = top->cooked;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    put(SCREEN_ENTER, strlen(SCREEN_ENTER));
    top->keys = loop_poll_create(top->loop, STDIN_FILENO, on_key, top);
    loop_poll_set(top->keys, LOOP_READABLE);
}

static void
screen_leave(struct top *top)
{
    if (!top->is_screen)
        return;
    loop_poll_destroy(&top->keys);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &top->cooked);
    put(SCREEN_LEAVE, strlen(SCREEN_LEAVE));
    (void)fflush(stdout);
}

static bool
top_run(struct top *top, const char *socket)
{
    static const struct client_events events = { on_message, on_closed };
    struct loop_hook *hooks[2];
    bool ok;

    top->loop = loop_create();
    top->timer = loop_timer_create(top->loop, on_due, top);
    hooks[0] = loop_signal(top->loop, SIGINT, on_interrupt, top);
    hooks[1] = loop_signal(top->loop, SIGTERM, on_interrupt, top);
    ok = client_open(&top->client, top->loop, socket, &events, top, &top->err);
    if (ok) {
        screen_enter(top);
        on_due(top);
        loop_run(top->loop);
        screen_leave(top);
    }
    client_destroy(&top->client);
    loop_timer_destroy(&top->timer);
    loop_hook_destroy(&hooks[0]);
    loop_hook_destroy(&hooks[1]);
    loop_destroy(&top->loop);
    json_decref(top->before);
    return ok && !top->has_failed;
}

int
command_top(int argc, char **argv)
{
    static const struct option options[] = {
        { "once", 0, OPTION_FLAG, NULL, "measure for one interval, print, and end (also when the output is no terminal)",
          offsetof(struct top_options, is_once), 0, 0 },
        { "interval", 0, OPTION_NUMBER, "SECONDS", "between two looks (1)", offsetof(struct top_options, interval_s), 1, 3600 },
        COMMON_RUNNING, COMMON_JSON, COMMON_HELP, OPTIONS_END,
    };
    static const struct command command = { "top", "", "Shows what a running Dormouse does: agents awake and asleep, wakes, commits, memory.",
                                            "q or Ctrl-C ends it. With --json, one line per look until interrupted.", options, 0, 0 };
    struct top_options o = { .interval_s = 1 };
    struct top top = { .options = &o };
    struct text_list operands;
    char socket[CLI_PATH_BYTES];
    int status;

    if (!command_begin(&command, argc, argv, &o, &operands, &status))
        return status;
    if (!where_running(o.common.socket, o.common.data, socket, &top.err))
        return out_fail(&top.err);
    top.is_screen = !o.is_once && !o.common.is_json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    o.is_once = o.is_once || (!top.is_screen && !o.common.is_json);
    return top_run(&top, socket) ? 0 : out_fail(&top.err);
}

int
command_metrics(int argc, char **argv)
{
    static const struct option options[] = { COMMON_RUNNING, COMMON_JSON, COMMON_HELP, OPTIONS_END };
    static const struct command command = { "metrics", "", "Prints the counters of a running Dormouse in the text format of Prometheus.",
                                            "docs/operating.md lists them.", options, 0, 0 };
    struct common common = { 0 };
    struct text_list operands;
    char socket[CLI_PATH_BYTES];
    struct err err = { 0 };
    json_t *answer = NULL;
    const char *text;
    int status;

    if (!command_begin(&command, argc, argv, &common, &operands, &status))
        return status;
    if (!where_running(common.socket, common.data, socket, &err) || !client_call(socket, "metrics", NULL, &answer, &err))
        return out_fail(&err);
    text = json_string_value(json_object_get(answer, "text"));
    if (common.is_json)
        out_json(answer);
    else
        put(text != NULL ? text : "", text != NULL ? strlen(text) : 0);
    json_decref(answer);
    return 0;
}
