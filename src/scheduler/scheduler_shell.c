/*
 * scheduler_shell — see scheduler_shell.h.
 *
 * One pass per loop iteration (shell_settle): changes of the core go to the book, in one commit with how far the feed was heard;
 * the journal learns how far that is; then due alarms leave. Nobody waits for the book, so it commits once per KEEP_MS at most.
 * While the disk is full or fails, alarms fire all the same, and the book is opened anew and tried again; what a dead scheduler had not
 * kept is heard again. A book that is damaged ends the room; the next one begins it anew.
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
#include "src/scheduler/scheduler_scans.h"

enum { STATUS_DONE = 200, STATUS_FAILED = 202, STATUS_GIVE_UP = 203 };   /* messages.def, alarms */

struct delivery {
    struct alarm *alarm;
    struct link  *link;
};

static struct {
    struct room       *room;
    struct core       *core;
    struct scans      *scans;
    struct book       *book;               /* NULL: it failed, and is opened again at retry_mono_ms */
    char              *folder;
    int64_t            retry_mono_ms;
    bool               is_failing;         /* said so in the log */
    bool               is_stopping;
    struct loop_timer *timer;
    struct loop_hook  *hook;
    struct umap       *deliveries;         /* call → struct delivery */
    uint32_t           last_call;
    struct umap       *workers;            /* struct link of each worker, by its address */
    struct link       *feed;               /* the journal's, once it said where its feed begins; NULL */
    uint64_t           heard_lsn, kept_lsn;    /* the last change heard; what the book on disk has */
    bool               is_full;            /* alarms were left out, and that was said */
    bool               is_scans_changed;   /* since the book's last commit */
    uint64_t           fired;              /* alarms delivered since the start */
    int64_t            kept_ms;            /* when it committed last, by clock_mono_ms() */
    int64_t            wall_less_mono_ms;  /* to see the wall clock being set */
} shell;

static bool changes_keep(struct err *err);
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

/* The index is derived: a damaged one is begun anew, and workers and journal fill it. */
static bool
shell_open_book(const char *folder, struct err *err)
{
    shell.core = core_create();
    shell.scans = scans_create();
    if (book_open(&shell.book, folder, shell.core, shell.scans, &shell.kept_lsn, err))
        return true;
    if (err->code != ERR_CORRUPT)
        return false;
    room_log(shell.room, 2, "the index of alarms is damaged and begins anew: %s", err->message);
    core_destroy(&shell.core);
    scans_destroy(&shell.scans);
    shell.core = core_create();
    shell.scans = scans_create();
    *err = (struct err){ 0 };
    return book_remove(folder, err) && book_open(&shell.book, folder, shell.core, shell.scans, &shell.kept_lsn, err);
}

static bool
on_start(struct room *room, struct bytes conf, struct err *err)
{
    if (!conf_read(conf, &shell.folder, err) || !jail_enter(ROLE_SCHEDULER, conf, err))
        return false;
    shell.room = room;
    shell.deliveries = umap_create();
    shell.workers = umap_create();
    if (!shell_open_book(shell.folder, err))
        return err_add(err, "the book of alarms");
    shell.heard_lsn = shell.kept_lsn;
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
    struct err err = { 0 };

    if (!changes_keep(&err) && err.code != ERR_NONE)   /* the next one hears it again */
        room_log(room, 2, "the book of alarms: %s", err.message);
    shell.is_stopping = true;
    if (shell.book != NULL && !book_settle(shell.book, &err))
        room_log(room, 2, "the book of alarms: %s", err.message);      /* it stays in the WAL */
    book_close(&shell.book);
    room_exit(room, 0);                    /* what is running is delivered again by the next scheduler */
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
scan_ask(struct link *link)
{
    if (!scans_has(shell.scans, link_peer(link)->app))
        msg_ALARM_SCAN_pack(link_out(link), &(struct msg_ALARM_SCAN){ .scan = scans_number(shell.scans) });
}

static void
on_link_up(struct room *room, struct link *link)
{
    const struct msg_HELLO *peer = link_peer(link);

    if (peer->role == ROLE_JOURNAL)
        msg_ALARMS_KEPT_pack(link_out(link), &(struct msg_ALARMS_KEPT){ .lsn = shell.kept_lsn });
    if (peer->role != ROLE_WORKER)
        return;
    core_worker_up(shell.core, peer->app, peer->index);
    (void)umap_put(shell.workers, (uintptr_t)link, link);
    scan_ask(link);
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

    if (shell.feed == link)
        shell.feed = NULL;
    if (peer->role != ROLE_WORKER)
        return;
    (void)umap_take(shell.workers, (uintptr_t)link);
    core_worker_down(shell.core, peer->app, peer->index);
    deliveries_lost(link);
}

/* ---- what the index hears ----------------------------------------------------------------------------------------------- */

/* There is no place for an alarm: its app is scanned again when a worker or a scheduler starts. */
static void
alarm_left_out(struct bytes app)
{
    if (!shell.is_full)
        room_log(shell.room, 3, "there are %d alarms; more of app '%.*s' are left out until it is scanned again at a restart", ALARMS_MAX,
                 (int)app.len, (const char *)app.data);
    shell.is_full = true;
    shell.is_scans_changed |= scans_has(shell.scans, app);
    scans_forget(shell.scans, app);
}

static bool
on_alarm_changed(struct link *link, struct bytes payload, struct err *err)
{
    struct msg_ALARM_CHANGED m;
    struct alarm_spec spec;

    if (!msg_ALARM_CHANGED_unpack(&m, payload, err))
        return false;
    if (shell.feed != link || agent_id_is_none(&m.agent) || m.lsn > INT64_MAX)
        return err_set(err, ERR_MALFORMED, 0, "ALARM_CHANGED %s", shell.feed != link ? "before ALARM_FEED" : "of no agent or a strange lsn");
    if (m.lsn <= shell.heard_lsn)
        return true;
    shell.heard_lsn = m.lsn;
    spec = (struct alarm_spec){ .app = m.app, .class_name = m.class_name, .name = m.name, .agent = m.agent, .due_ms = m.due_ms };
    if (!core_set(shell.core, &spec))
        alarm_left_out(m.app);
    return true;
}

static bool
on_alarm_feed(struct link *link, struct bytes payload, struct err *err)
{
    struct msg_ALARM_FEED m;
    uint64_t key;
    size_t at = 0;
    void *worker;

    if (!msg_ALARM_FEED_unpack(&m, payload, err))
        return false;
    if (m.lsn > INT64_MAX)
        return err_set(err, ERR_MALFORMED, 0, "ALARM_FEED with a strange lsn");
    shell.feed = link;
    if (m.gap == 0)
        return true;
    if (shell.kept_lsn > 0)
        room_log(shell.room, 2, "changes of alarms were missed: all databases are scanned for alarms");
    shell.heard_lsn = m.lsn;
    core_doubt(shell.core);
    scans_forget_all(shell.scans);
    shell.is_scans_changed = true;
    while (umap_next(shell.workers, &at, &key, &worker))
        scan_ask(worker);
    return true;
}

static bool
on_alarm_found(struct link *link, struct bytes payload, struct err *err)
{
    struct bytes app = link_peer(link)->app;
    struct msg_ALARM_FOUND m;
    struct alarm_spec spec;

    if (!msg_ALARM_FOUND_unpack(&m, payload, err))
        return false;
    if (agent_id_is_none(&m.agent) || m.due_ms <= 0)
        return err_set(err, ERR_MALFORMED, 0, "ALARM_FOUND without an agent or a date");
    spec = (struct alarm_spec){ .app = app, .class_name = m.class_name, .name = m.name, .agent = m.agent, .due_ms = m.due_ms };
    if (!core_found(shell.core, &spec))
        alarm_left_out(app);
    return true;
}

static bool
on_alarm_scanned(struct link *link, struct bytes payload, struct err *err)
{
    const struct msg_HELLO *peer = link_peer(link);
    struct msg_ALARM_SCANNED m;

    if (!msg_ALARM_SCANNED_unpack(&m, payload, err))
        return false;
    if (scans_told(shell.scans, peer->app, m.scan, peer->index, m.slots))
        shell.is_scans_changed = true;
    return true;
}

/* ---- the ends of deliveries --------------------------------------------------------------------------------------------- */

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
on_worker_message(struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    switch (type) {
    case MSG_ALARM_FOUND:
        return on_alarm_found(link, payload, err);
    case MSG_ALARM_SCANNED:
        return on_alarm_scanned(link, payload, err);
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
        return err_set(err, ERR_MALFORMED, 0, "message %u of a worker is nothing for the scheduler", type);
    }
}

static bool
on_journal_message(struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    switch (type) {
    case MSG_ALARM_CHANGED:
        return on_alarm_changed(link, payload, err);
    case MSG_ALARM_FEED:
        return on_alarm_feed(link, payload, err);
    default:
        return err_set(err, ERR_MALFORMED, 0, "message %u of the journal is nothing for the scheduler", type);
    }
}

static bool
on_message(struct room *room, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    if (shell.is_stopping)
        return true;
    switch (link_peer(link)->role) {
    case ROLE_WORKER:
        return on_worker_message(link, type, payload, err);
    case ROLE_JOURNAL:
        return on_journal_message(link, type, payload, err);
    default:
        return true;                       /* control listens to our log and says nothing */
    }
}

/* ---- the pass ------------------------------------------------------------------------------------------------------------ */

static bool
has_changes(void)
{
    return core_changed(shell.core) != NULL || shell.heard_lsn != shell.kept_lsn || shell.is_scans_changed;
}

static bool
scans_keep(struct err *err)
{
    struct bytes app;
    size_t cursor = 0;
    bool ok = book_forget_scanned(shell.book, err);

    while (ok && scans_next(shell.scans, &cursor, &app))
        ok = book_scanned(shell.book, app, err);
    return ok;
}

/* False without an error: it is not yet time to try again. */
static bool
changes_keep(struct err *err)
{
    struct alarm *alarm;

    if (!has_changes())
        return true;
    if (shell.book == NULL &&
        (clock_mono_ms() < shell.retry_mono_ms || !book_open(&shell.book, shell.folder, NULL, NULL, NULL, err)))
        return false;
    while ((alarm = core_changed(shell.core)) != NULL) {
        if (!book_keep(shell.book, alarm, err))
            return false;
        core_kept(shell.core, alarm);
    }
    if ((shell.is_scans_changed && !scans_keep(err)) ||
        (shell.heard_lsn != shell.kept_lsn && !book_heard(shell.book, shell.heard_lsn, err)) || !book_commit(shell.book, err))
        return false;
    core_committed(shell.core);
    if (shell.feed != NULL && shell.heard_lsn != shell.kept_lsn)
        msg_ALARMS_KEPT_pack(link_out(shell.feed), &(struct msg_ALARMS_KEPT){ .lsn = shell.heard_lsn });
    shell.kept_lsn = shell.heard_lsn;
    shell.is_scans_changed = false;
    shell.is_full = shell.is_full && core_count(shell.core) >= ALARMS_MAX;
    shell.kept_ms = clock_mono_ms();
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
        room_log(shell.room, 3, "the book of alarms cannot be written, alarms are not kept in it until it can; free space on the data disk: %s",
                 err->message);
        shell.is_failing = true;
    }
}

static void
book_works(void)
{
    if (shell.is_failing && shell.book != NULL)
        room_log(shell.room, 1, "the book of alarms is written again");
    shell.is_failing = shell.is_failing && shell.book == NULL;
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

/* How long until the next pass, if nothing else happens. */
static int64_t
settle_wait_ms(void)
{
    int64_t wait_ms = core_wait_ms(shell.core, wall_now_ms());
    int64_t keep_ms = shell.kept_ms + KEEP_MS - clock_mono_ms();

    if (wait_ms < 0 || wait_ms > CLOCK_LOOK_MS)
        wait_ms = CLOCK_LOOK_MS;
    if (shell.book == NULL)
        keep_ms = BOOK_RETRY_MS;
    if (has_changes() && keep_ms < wait_ms)
        wait_ms = keep_ms < 0 ? 0 : keep_ms;
    return wait_ms;
}

static void
shell_settle(void *owner)
{
    struct err err = { 0 };
    struct alarm *alarm;

    if (shell.is_stopping)
        return;
    if (clock_mono_ms() - shell.kept_ms >= KEEP_MS) {
        if (changes_keep(&err))
            book_works();
        else
            book_failed(&err);
        if (shell.is_stopping)
            return;
    }
    for (; (alarm = core_start(shell.core, wall_now_ms())) != NULL; shell.fired++)
        deliver(alarm);
    loop_timer_arm(shell.timer, (uint64_t)settle_wait_ms());
}

static void
on_count(struct room *room, struct buf *json)
{
    const size_t alarms = core_count(shell.core), running = umap_count(shell.deliveries), at_rest = core_waiting(shell.core) + running;

    count_put(json, "alarms", alarms);
    count_put(json, "alarms_due", alarms > at_rest ? alarms - at_rest : 0);
    count_put(json, "alarms_running", running);
    count_put(json, "alarms_fired", shell.fired);
}

const struct room_spec scheduler_room = {
    .role = ROLE_SCHEDULER,
    .name = "scheduler",
    .start = on_start,
    .link_up = on_link_up,
    .link_down = on_link_down,
    .message = on_message,
    .stop = on_stop,
    .count = on_count,
};
