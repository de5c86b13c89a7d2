/* worker — see worker.h: the one instance, its log lines (log.h), and the turn of what it sends to itself. */
#include "src/worker/worker.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/worker/agent.h"
#include "src/worker/log.h"
#include "src/worker/peer.h"

struct worker worker;

struct link *
worker_control(void)
{
    return room_link(worker.room, ROLE_CONTROL, 0, NULL);
}

struct link *
worker_journal(void)
{
    return room_link(worker.room, ROLE_JOURNAL, 0, NULL);
}

static void
pack_log(struct agent *a, int level, struct bytes text)
{
    struct link *control = worker_control();
    struct msg_LOG m = { .level = (uint8_t)level, .time_ms = clock_wall_ms(), .text = text };

    if (control == NULL || link_is_backed_up(control))
        return;
    if (m.text.len > LOG_TEXT_MAX_BYTES)
        m.text.len = LOG_TEXT_MAX_BYTES;
    if (a != NULL && !a->is_entry) {
        m.agent = a->id;
        m.class_name = bytes_of(a->class_name);
        m.name = bytes_of(a->name);
    }
    m.turn = a != NULL ? a->turn : 0;
    msg_LOG_pack(link_out(control), &m);
}

void
worker_log_agent(struct agent *a, int level, const char *fmt, ...)
{
    char text[1024];
    va_list va;

    va_start(va, fmt);
    (void)vsnprintf(text, sizeof text, fmt, va);
    va_end(va);
    pack_log(a, level, bytes_of(text));
}

void
worker_log_console(struct agent *a, int level, struct bytes text)
{
    pack_log(a, level, text);
}

void
worker_tell_born(struct agent *a, bool is_deleted)
{
    struct link *control = worker_control();
    struct msg_AGENT_BORN m = { .agent = a->id, .deleted = is_deleted, .class_name = bytes_of(a->class_name), .name = bytes_of(a->name) };

    worker.births += !is_deleted;
    if (control != NULL && !link_is_backed_up(control))
        msg_AGENT_BORN_pack(link_out(control), &m);
}

#define LOOPBACK_ROUNDS_MAX 64         /* per iteration: then the outside gets its turn */

static struct loop_hook *idle;         /* set while rounds are left over */

void
worker_run_loopback(void)
{
    int rounds = 0;

    while (rounds < LOOPBACK_ROUNDS_MAX && peer_loopback_run())
        rounds++;
    loop_idle_set(idle, rounds == LOOPBACK_ROUNDS_MAX);
}

static void
on_idle(void *owner)
{
    worker_run_loopback();
}

void
worker_start_loopback(void)
{
    idle = loop_idle(worker.loop, on_idle, NULL);
}
