/*
 * scheduler_shell — see scheduler_shell.h.
 *
 * One pass per loop iteration (shell_settle): changes of the core go to the book, one commit for all of them, then the
 * acknowledgements leave, then due alarms. While the disk is full or fails, nothing is acknowledged, alarms fire all the same, and the
 * book is opened anew and tried again. A book that is damaged ends the room.
 */
#include "src/scheduler/scheduler_shell.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/map.h"
#include "lib/jail/jail.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/scheduler/scheduler_book.h"
#include "src/scheduler/scheduler_limits.h"

enum { STATUS_DONE = 200, STATUS_FAILED = 202, STATUS_GIVE_UP = 203 };   /* messages.def, alarms */

struct delivery {
    struct alarm *alarm;
    struct link  *link;
};

struct ack {
    struct link *link;                     /* NULL: it went away; it will ask again */
    uint32_t     request;
};

static struct {
    struct room       *room;
    struct core       *core;
    struct book       *book;               /* NULL: it failed, and is opened again at retry_mono_ms */
    char              *folder;
    int64_t            retry_mono_ms;
    bool               is_failing;         /* said so in the log */
    bool               is_stopping;
    struct loop_timer *timer;
    struct loop_hook  *hook;
    struct umap       *deliveries;         /* call → struct delivery */
    uint32_t           last_call;
    struct ack        *acks;               /* waiting for the commit */
    size_t             acks_count, acks_cap;
    int64_t            wall_less_mono_ms;  /* to see the wall clock being set */
} shell;

static void shell_settle(void *owner);

/* ---- configuration ---------------------------------------------------------------------------------------------------- */

static bool
conf_read(struct bytes text, char **out_folder, struct err *err)
{
    json_t *conf = json_loadb((const char *)text.data, text.len, 0, NULL);
    const char *folder = json_string_value(json_object_get(conf, "data"));

    if (folder != NULL)
        *out_folder = bytes_dup(bytes_of(folder));
    json_decref(conf);
    return folder != NULL ? true : err_set(err, ERR_CONFIG, 0, "scheduler: \"data\" must name a folder");
}

static void
on_timer(void *owner)
{
    /* The hook before the next wait does the work. */
}

static bool
on_start(struct room *room, struct bytes conf, struct err *err)
{
    if (!conf_read(conf, &shell.folder, err) || !jail_enter(ROLE_SCHEDULER, conf, err))
        return false;
    shell.room = room;
    shell.core = core_create();
    shell.deliveries = umap_create();
    if (!book_open(&shell.book, shell.folder, shell.core, err))
        return err_add(err, "the book of alarms");
    shell.wall_less_mono_ms = clock_wall_ms() - clock_mono_ms();
    shell.timer = loop_timer_create(room_loop(room), on_timer, NULL);
    shell.hook = loop_before_wait(room_loop(room), shell_settle, NULL);
    if (core_count(shell.core) > 0)
        room_log(room, 1, "alarms armed: %zu", core_count(shell.core));
    room_ready(room);
    return true;
}

static void
on_stop(struct room *room, uint32_t grace_ms)
{
    shell_settle(NULL);                    /* what is running is delivered again by the next scheduler */
    shell.is_stopping = true;
    book_close(&shell.book);
    room_exit(room, 0);
}

/* The wall clock. When it was set, the core hears so first: a delay counted from the new time must not be moved along with the old ones. */
static int64_t
wall_now_ms(void)
{
    int64_t wall_ms = clock_wall_ms();
    int64_t wall_less_mono_ms = wall_ms - clock_mono_ms();
    int64_t delta_ms = wall_less_mono_ms - shell.wall_less_mono_ms;

    shell.wall_less_mono_ms = wall_less_mono_ms;
    if (delta_ms < -CLOCK_STEP_MS || delta_ms > CLOCK_STEP_MS)
        core_clock_stepped(shell.core, delta_ms);
    return wall_ms;
}

/* ---- links -------------------------------------------------------------------------------------------------------------- */

static void
on_link_up(struct room *room, struct link *link)
{
    const struct msg_HELLO *peer = link_peer(link);

    if (peer->role == ROLE_WORKER)
        core_worker_up(shell.core, peer->app, peer->index);
}

static void
deliveries_lost(struct link *link)
{
    size_t cursor = 0;
    uint64_t call;
    void *value;

    while (umap_next(shell.deliveries, &cursor, &call, &value)) {
        struct delivery *delivery = value;
        if (delivery->link != link)
            continue;
        (void)umap_take(shell.deliveries, call);
        core_end(shell.core, delivery->alarm, OUTCOME_LOST, wall_now_ms(), rng_u64());
        free(delivery);
    }
}

static void
on_link_down(struct room *room, struct link *link, const struct err *err)
{
    const struct msg_HELLO *peer = link_peer(link);

    if (peer->role != ROLE_WORKER)
        return;
    for (size_t i = 0; i < shell.acks_count; i++)
        if (shell.acks[i].link == link)
            shell.acks[i].link = NULL;
    core_worker_down(shell.core, peer->app, peer->index);
    deliveries_lost(link);
}

static void
ack_later(struct link *link, uint32_t request)
{
    if (shell.acks_count == shell.acks_cap) {
        shell.acks_cap = shell.acks_cap == 0 ? 64 : shell.acks_cap * 2;
        shell.acks = realloc(shell.acks, shell.acks_cap * sizeof shell.acks[0]);
        assert(shell.acks != NULL);
    }
    shell.acks[shell.acks_count++] = (struct ack){ link, request };
}

static bool
on_alarm_set(struct link *link, struct bytes payload, struct err *err)
{
    struct msg_ALARM_SET set;
    struct alarm_spec spec;

    if (!msg_ALARM_SET_unpack(&set, payload, err))
        return false;
    if (agent_id_is_none(&set.agent))
        return err_set(err, ERR_MALFORMED, 0, "an alarm without an agent");
    spec = (struct alarm_spec){ .app = link_peer(link)->app, .class_name = set.class_name, .name = set.name,
                                .agent = set.agent, .due_ms = set.due_ms };
    if (!((set.request & ALARM_REMIND) != 0 ? core_remind(shell.core, &spec) : core_set(shell.core, &spec))) {
        room_log(shell.room, 3, "there are %d alarms; one more of app '%.*s' is not accepted", ALARMS_MAX, (int)spec.app.len,
                 (const char *)spec.app.data);
        return true;
    }
    ack_later(link, set.request);
    return true;
}

/* Ends the delivery CALL, if it is one of ours that is still open. */
static void
delivery_end(struct link *link, uint32_t call, enum alarm_outcome outcome)
{
    struct delivery *delivery = umap_get(shell.deliveries, call);

    if (delivery == NULL || delivery->link != link)
        return;
    (void)umap_take(shell.deliveries, call);
    core_end(shell.core, delivery->alarm, outcome, wall_now_ms(), rng_u64());
    free(delivery);
}

static bool
on_reply(struct link *link, struct bytes payload, struct err *err)
{
    struct msg_REPLY reply;

    if (!msg_REPLY_unpack(&reply, payload, err))
        return false;
    switch (reply.status) {
    case STATUS_DONE:
        delivery_end(link, reply.call, OUTCOME_DONE);
        return true;
    case STATUS_FAILED:
        delivery_end(link, reply.call, OUTCOME_FAILED);
        return true;
    case STATUS_GIVE_UP:
        delivery_end(link, reply.call, OUTCOME_GIVE_UP);
        return true;
    default:
        return err_set(err, ERR_MALFORMED, 0, "status %u answers no alarm", reply.status);
    }
}

static bool
on_fail(struct link *link, struct bytes payload, struct err *err)
{
    struct msg_FAIL fail;

    if (!msg_FAIL_unpack(&fail, payload, err))
        return false;
    delivery_end(link, fail.call, fail.code == ERR_UNAVAILABLE ? OUTCOME_ELSEWHERE : OUTCOME_LOST);
    return true;
}

static bool
on_pace(struct link *link, struct bytes payload, struct err *err)
{
    struct msg_ALARM_PACE pace;

    if (!msg_ALARM_PACE_unpack(&pace, payload, err))
        return false;
    return core_read(shell.core, link_peer(link)->app, link_peer(link)->index, pace.count)
               ? true
               : err_set(err, ERR_MALFORMED, 0, "a worker has read %u alarms, more than it was sent", pace.count);
}

static bool
on_message(struct room *room, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    if (link_peer(link)->role != ROLE_WORKER)
        return true;                       /* control listens to our log and says nothing */
    switch (type) {
    case MSG_ALARM_SET:
        return on_alarm_set(link, payload, err);
    case MSG_ALARM_PACE:
        return on_pace(link, payload, err);
    case MSG_REPLY:
        return on_reply(link, payload, err);
    case MSG_FAIL:
        return on_fail(link, payload, err);
    case MSG_END:
    case MSG_CREDIT:
    case MSG_CANCEL:
        return true;                       /* about a body we do not have */
    default:
        return err_set(err, ERR_MALFORMED, 0, "message %u is nothing for the scheduler", type);
    }
}

/* ---- the pass ------------------------------------------------------------------------------------------------------------ */

static bool
changes_keep(struct err *err)
{
    struct alarm *alarm;

    if (shell.book == NULL && (clock_mono_ms() < shell.retry_mono_ms || !book_open(&shell.book, shell.folder, NULL, err)))
        return false;
    while ((alarm = core_changed(shell.core)) != NULL) {
        if (!book_keep(shell.book, alarm, err))
            return false;
        core_kept(shell.core, alarm);
    }
    if (!book_commit(shell.book, err))
        return false;
    core_committed(shell.core);
    return true;
}

/* Nothing of this pass is on disk, or nobody knows. ERR is none when it is not yet time to try again. */
static void
book_failed(const struct err *err)
{
    if (err->code == ERR_NONE)
        return;
    core_undone(shell.core);
    book_close(&shell.book);
    shell.retry_mono_ms = clock_mono_ms() + BOOK_RETRY_MS;
    if (err->code != ERR_DISK_FULL && err->code != ERR_IO) {
        room_log(shell.room, 3, "the book of alarms: %s", err->message);
        shell.is_stopping = true;
        room_exit(shell.room, 1);
    } else if (!shell.is_failing) {
        room_log(shell.room, 3, "the book of alarms cannot be written, alarms are not acknowledged until it can; free space on the data disk: %s",
                 err->message);
        shell.is_failing = true;
    }
}

static void
book_works(void)
{
    if (shell.is_failing)
        room_log(shell.room, 1, "the book of alarms is written again");
    shell.is_failing = false;
}

static void
acks_send(void)
{
    for (size_t i = 0; i < shell.acks_count; i++)
        if (shell.acks[i].link != NULL)
            msg_ALARM_ACK_pack(link_out(shell.acks[i].link), &(struct msg_ALARM_ACK){ .request = shell.acks[i].request });
    shell.acks_count = 0;
}

static void
deliver(struct alarm *alarm)
{
    struct link *link = room_link(shell.room, ROLE_WORKER, alarm->slot, core_app_name(alarm->app));
    struct delivery *delivery;

    if (link == NULL) {
        core_end(shell.core, alarm, OUTCOME_LOST, wall_now_ms(), rng_u64());
        return;
    }
    delivery = calloc(1, sizeof *delivery);
    assert(delivery != NULL);
    delivery->alarm = alarm;
    delivery->link = link;
    do
        shell.last_call++;
    while (umap_get(shell.deliveries, shell.last_call) != NULL);
    (void)umap_put(shell.deliveries, shell.last_call, delivery);
    msg_CALL_pack(link_out(link), &(struct msg_CALL){ .call = shell.last_call, .kind = CALL_ALARM, .agent = alarm->agent,
                                                      .n1 = alarm->due_ms, .n2 = alarm->counted,
                                                      .class_name = alarm->class_name, .name = alarm->name });
    if (alarm->ordinal % ALARMS_PACE == 0)
        msg_ALARM_PACE_pack(link_out(link), &(struct msg_ALARM_PACE){ .count = alarm->ordinal });
}

static void
shell_settle(void *owner)
{
    struct err err = { 0 };
    struct alarm *alarm;
    int64_t wait_ms;

    if (shell.is_stopping)
        return;
    if (changes_keep(&err)) {
        book_works();
        acks_send();
    } else {
        book_failed(&err);
        if (shell.is_stopping)
            return;
    }
    while ((alarm = core_start(shell.core, wall_now_ms())) != NULL)
        deliver(alarm);
    wait_ms = core_wait_ms(shell.core, wall_now_ms());
    if (wait_ms < 0 || wait_ms > CLOCK_LOOK_MS)
        wait_ms = CLOCK_LOOK_MS;
    if (shell.book == NULL && wait_ms > BOOK_RETRY_MS)
        wait_ms = BOOK_RETRY_MS;
    loop_timer_arm(shell.timer, (uint64_t)wait_ms);
}

const struct room_spec scheduler_room = {
    .role = ROLE_SCHEDULER,
    .name = "scheduler",
    .start = on_start,
    .link_up = on_link_up,
    .link_down = on_link_down,
    .message = on_message,
    .stop = on_stop,
};
