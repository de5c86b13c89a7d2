/*
 * journal_shell — see journal_shell.h.
 *
 * One pass per loop iteration (on_pass), before the loop waits: what all links delivered is one write and one sync; then each link is told,
 * questions are answered, and what is needed no more is forgotten. Links write after the pass, so answers leave in the same iteration.
 */
#include "src/journal/journal_shell.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jail/jail.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/journal/journal_era.h"
#include "src/journal/journal_history.h"
#include "src/journal/journal_limits.h"
#include "src/journal/journal_log.h"
#include "src/journal/journal_lookup.h"
#include "src/journal/journal_recall.h"
#include "src/journal/journal_files.h"
#include "src/journal/journal_sync.h"

struct side {                              /* one worker */
    struct list_node  in_shell;
    struct link      *link;                /* NULL: it is down */
    struct core_link *core;
    struct recalls   *recalls;
    struct lookups   *lookups;
    bool              is_suspects_due;
};

static struct {
    struct room       *room;
    struct core       *core;
    struct log        *log;
    struct syncer     *syncer;
    struct files      *files;
    struct era        *era;                /* of its syncs */
    struct loop_hook  *hook;
    struct loop_timer *lookup;             /* questions about history wait for their next slice; else prunes it now and then */
    struct loop_timer *retry;              /* after a failed sync of the databases */
    struct list_node   sides;
    struct buf         batch;
    struct feed       *feed;               /* of the log */
    struct buf         alarms;             /* struct feed_record of each alarm in the batch; offset: in the batch */
    uint64_t           kept_bytes_max;
    size_t             kept_segments_max;
    uint64_t           commits, bytes, writes;     /* since the start: taken; and what of them, in how many syncs, became durable */
    bool               is_sync_due;
    bool               is_retire_due;      /* a segment was sealed */
    bool               is_full;            /* the last batch was refused for want of space */
    bool               is_retrying;        /* `retry` is armed for that */
    struct loop_timer *farewell;           /* at a stop: how long the last words of workers are waited for */
    bool               is_stopping;
    bool               is_farewell_over;
    bool               is_finishing;       /* nothing more is expected from links */
    bool               is_over;            /* nothing is written any more */
} shell;

static void batch_flush(void);

static void
say(int level, const char *text)
{
    room_log(shell.room, level, "%s", text);
}

/* ---- commits ---------------------------------------------------------------------------------------------------------------- */

static void
tell_durable(void)
{
    struct side *side;

    list_each (side, &shell.sides, struct side, in_shell) {
        struct msg_DURABLE msg;

        if (core_link_durable(side->core, &msg.generation, &msg.ticket) && side->link != NULL)
            msg_DURABLE_pack(link_out(side->link), &msg);
    }
}

static void
tell_refused(const struct err *why)
{
    struct side *side;

    list_each (side, &shell.sides, struct side, in_shell) {
        struct msg_REFUSED msg = { .code = (uint16_t)why->code, .message = bytes_of(why->message) };

        if (core_link_refused(side->core, &msg.generation) && side->link != NULL)
            msg_REFUSED_pack(link_out(side->link), &msg);
    }
}

/* The alarms of the batch, which lies in SEGMENT from OFFSET on. */
static void
alarms_durable(uint32_t segment, uint32_t offset)
{
    const uint64_t first_lsn = log_first_lsn(shell.log, segment);

    for (size_t at = 0; at < shell.alarms.len; at += sizeof(struct feed_record)) {
        struct feed_record record;

        memcpy(&record, shell.alarms.data + at, sizeof record);
        record.segment = segment;
        record.offset += offset;
        record.lsn = first_lsn + record.offset;
        feed_add(shell.feed, &record);
    }
}

static void
batch_flush(void)
{
    struct err why = { 0 };
    enum log_outcome outcome;
    uint32_t segment = SEGMENT_NONE;
    uint32_t offset = 0;
    const uint64_t bytes = shell.batch.len;

    if (shell.is_over || core_batch_is_empty(shell.core))
        return;
    outcome = log_write(shell.log, &shell.batch, &segment, &offset, &why);
    buf_clear(&shell.batch);
    shell.is_sync_due = log_take_closed(shell.log) || shell.is_sync_due;
    shell.is_full = outcome != LOG_DURABLE && why.code == ERR_DISK_FULL;
    if (outcome == LOG_DURABLE) {
        core_batch_durable(shell.core, segment, offset);
        shell.writes++;
        shell.bytes += bytes;
        if (shell.alarms.len > 0)
            alarms_durable(segment, offset);
        buf_clear(&shell.alarms);
        return;
    }
    buf_clear(&shell.alarms);
    tell_durable();                        /* of what was kept already: a refusal takes everything beyond it */
    core_batch_refused(shell.core);
    room_log(shell.room, 3, "commits are refused: %s", why.message);
    tell_refused(&why);
    if (outcome != LOG_DEAD)
        return;
    room_log(shell.room, 3, "no new segment can be made durable: the journal starts anew");
    shell.is_over = true;
    room_exit(shell.room, 1);
}

static bool
on_commit(struct side *side, struct bytes payload, struct err *err)
{
    const struct bytes app = link_peer(side->link)->app;
    struct msg_COMMIT msg;
    struct core_commit commit;
    struct record record;
    enum core_verdict verdict;

    if (!msg_COMMIT_unpack(&msg, payload, err))
        return false;
    if (shell.batch.len >= BATCH_BYTES_MAX)
        batch_flush();
    record = (struct record){ .app = app, .class_name = msg.class_name, .name = msg.name, .pages = msg.pages, .agent = msg.agent, .seq = msg.seq,
                              .ticket = msg.ticket, .pid = link_peer(side->link)->pid, .slot = link_peer(side->link)->index, .epoch = msg.epoch, .part = core_link_part(side->core), .flags = msg.flags & (uint8_t)~COMMIT_AGAIN,
                              .alarm_ms = msg.alarm_ms };
    commit = (struct core_commit){ .key = { app, msg.class_name, msg.agent }, .ticket = msg.ticket, .seq = msg.seq,
                                   .generation = msg.generation, .flags = msg.flags, .offset = (uint32_t)shell.batch.len };
    record_pack(&shell.batch, &record, 0, &commit.length, &commit.sum);
    verdict = core_commit(shell.core, side->core, &commit, err);
    if (verdict != CORE_APPEND) {
        shell.batch.len = commit.offset;
        return verdict != CORE_BROKEN;
    }
    shell.commits += (msg.flags & COMMIT_MORE) == 0;
    if (feed_is_told(record.flags, 0))
        buf_append(&shell.alarms, &(struct feed_record){ .offset = commit.offset, .length = commit.length, .sum = commit.sum },
                   sizeof(struct feed_record));
    return true;
}

static bool
on_checkpointed(struct side *side, struct bytes payload, struct err *err)
{
    struct msg_CHECKPOINTED msg;
    struct core_key key;

    if (!msg_CHECKPOINTED_unpack(&msg, payload, err))
        return false;
    if (msg.era != era_now(shell.era))
        return true;                       /* written before a sync that failed: its agent is on the list that says so */
    key = (struct core_key){ link_peer(side->link)->app, msg.class_name, msg.agent };
    if (core_agent_is_under_way(shell.core, &key))
        batch_flush();                     /* the claim covers what came before it */
    core_claim(shell.core, &key);
    return true;
}

static bool
on_recall(struct side *side, struct bytes payload, struct err *err)
{
    struct msg_RECALL msg;

    if (!msg_RECALL_unpack(&msg, payload, err))
        return false;
    return recalls_ask(side->recalls, msg.request, &(struct core_key){ link_peer(side->link)->app, msg.class_name, msg.agent }, err);
}

/* The scheduler's index has it on disk. */
static bool
on_alarms_kept(struct bytes payload, struct err *err)
{
    struct msg_ALARMS_KEPT msg;

    if (!msg_ALARMS_KEPT_unpack(&msg, payload, err) || !feed_kept(shell.feed, msg.lsn, log_next_lsn(shell.log), err))
        return false;
    log_retire(shell.log, shell.core, LOG_RETIRE_CLOSED);
    return true;
}

/* Somebody makes a backup: what is durable now shall lie in files that do not change any more. */
static bool
on_cut(struct link *link, struct bytes payload, struct err *err)
{
    struct msg_JOURNAL_CUT msg;
    struct msg_JOURNAL_CUT_DONE done = { 0 };

    if (!msg_JOURNAL_CUT_unpack(&msg, payload, err))
        return false;
    batch_flush();                         /* what came before the question is on this side of the cut */
    done.request = msg.request;
    done.ok = !shell.is_over;
    if (shell.is_over) {
        done.message = BYTES_LIT("the journal starts anew");
    } else {
        done.segment = log_cut(shell.log);
        shell.is_sync_due = log_take_closed(shell.log) || shell.is_sync_due;
    }
    msg_JOURNAL_CUT_DONE_pack(link_out(link), &done);
    return true;
}

static bool
on_file_sync(struct link *link, struct bytes payload, struct err *err)
{
    struct msg_FILE_SYNC msg;
    int fd;

    if (!msg_FILE_SYNC_unpack(&msg, payload, err))
        return false;
    fd = link_take_fd(link);
    if (fd < 0)
        return err_set(err, ERR_MALFORMED, 0, "FILE_SYNC came without a descriptor");
    files_sync(shell.files, link, msg.request, fd);
    return true;
}

static bool
on_message(struct room *room, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct side *side = link_user(link);

    if (shell.is_finishing || shell.is_over)
        return true;
    if (type == MSG_JOURNAL_CUT && link == room_link(room, ROLE_CONTROL, 0, ""))   /* by the supervisor's word, not by its own */
        return on_cut(link, payload, err);
    if (link_peer(link)->role == ROLE_SCHEDULER && type == MSG_ALARMS_KEPT)
        return on_alarms_kept(payload, err);
    if (side == NULL)
        return err_set(err, ERR_MALFORMED, 0, "message %u from a %s is nothing for the journal", type, role_name(link_peer(link)->role));
    switch (type) {
    case MSG_COMMIT:
        return on_commit(side, payload, err);
    case MSG_CHECKPOINTED:
        return on_checkpointed(side, payload, err);
    case MSG_RECALL:
        return on_recall(side, payload, err);
    case MSG_RECALL_AT:
        return lookups_ask(side->lookups, payload, err);
    case MSG_FILE_SYNC:
        return on_file_sync(link, payload, err);
    default:
        return err_set(err, ERR_MALFORMED, 0, "message %u is nothing for the journal", type);
    }
}

/* ---- suspects ---------------------------------------------------------------------------------------------------------------- */

struct suspects {
    struct side *side;
    struct buf   entries;
};

static void
suspects_send(struct suspects *suspects, uint8_t flags)
{
    msg_SUSPECTS_pack(link_out(suspects->side->link), &(struct msg_SUSPECTS){ flags, era_now(shell.era), buf_view(&suspects->entries) });
    buf_clear(&suspects->entries);
}

static void
on_suspect(void *owner, const struct core_key *key)
{
    struct suspects *suspects = owner;

    if (suspects->entries.len >= SUSPECTS_CHUNK_BYTES)
        suspects_send(suspects, SUSPECTS_MORE);
    buf_append(&suspects->entries, key->agent.bytes, sizeof key->agent.bytes);
    put_u16(&suspects->entries, (uint16_t)key->class_name.len);
    buf_append_bytes(&suspects->entries, key->class_name);
}

static void
tell_suspects(void)
{
    struct side *side;

    list_each (side, &shell.sides, struct side, in_shell) {
        struct suspects suspects = { .side = side };

        if (!side->is_suspects_due)
            continue;
        core_suspects(shell.core, link_peer(side->link)->app, on_suspect, &suspects);
        suspects_send(&suspects, 0);
        side->is_suspects_due = false;
        buf_fini(&suspects.entries);
    }
}

/* ---- links -------------------------------------------------------------------------------------------------------------------- */

static void
on_link_up(struct room *room, struct link *link)
{
    struct side *side;

    if (link_peer(link)->role == ROLE_SCHEDULER)
        feed_up(shell.feed, link);
    if (link_peer(link)->role != ROLE_WORKER)
        return;
    side = calloc(1, sizeof *side);
    assert(side != NULL);
    side->link = link;
    side->core = core_link_up(shell.core, link_peer(link)->app);
    side->recalls = recalls_create(shell.core, shell.log, link);
    side->lookups = lookups_create(shell.log, link);
    side->is_suspects_due = true;
    list_push_back(&shell.sides, &side->in_shell);
    link_set_user(link, side);
}

static void
on_link_down(struct room *room, struct link *link, const struct err *err)
{
    struct side *side = link_user(link);

    if (link_peer(link)->role == ROLE_SCHEDULER)
        feed_down(shell.feed);
    if (side == NULL)
        return;
    side->link = NULL;
    link_set_user(link, NULL);
    files_link_down(shell.files, link);
    batch_flush();                         /* what it delivered whole counts, and leaves no trace of the link behind */
    recalls_destroy(&side->recalls);
    lookups_destroy(&side->lookups);
    core_link_down(shell.core, &side->core);
    list_remove(&side->in_shell);
    free(side);
}

/* ---- space --------------------------------------------------------------------------------------------------------------------- */

/* The worker that owns AGENT, once all workers of its app are linked. *out_has_workers: any of its app is. */
static struct side *
owner_of(const struct core_key *key, bool *out_has_workers)
{
    struct side *side;
    struct side *owner = NULL;
    uint16_t slots = 0, count = 0;

    list_each (side, &shell.sides, struct side, in_shell) {
        const struct msg_HELLO *peer = link_peer(side->link);

        if (!bytes_equal(peer->app, key->app))
            continue;
        count++;
        if (peer->index >= slots)
            slots = peer->index + 1;
    }
    *out_has_workers = count > 0;
    if (count == 0 || count != slots)
        return NULL;
    list_each (side, &shell.sides, struct side, in_shell)
        if (bytes_equal(link_peer(side->link)->app, key->app) && link_peer(side->link)->index == agent_id_slot(&key->agent, slots))
            owner = side;
    return owner;
}

struct pinning {                           /* agents to be carried forward */
    struct core_agent **agents;
    size_t              count, cap;
};

static void
on_pinning(void *owner, struct core_agent *agent)
{
    struct pinning *pinning = owner;
    const struct core_key key = core_agent_key(agent);
    bool has_workers;
    struct side *side = owner_of(&key, &has_workers);

    if (side != NULL && core_agent_ask(agent))
        msg_CHECKPOINT_WANTED_pack(link_out(side->link), &(struct msg_CHECKPOINT_WANTED){ key.agent, key.class_name });
    if (has_workers)
        return;
    if (pinning->count == pinning->cap) {
        pinning->cap = pinning->cap == 0 ? 64 : pinning->cap * 2;
        pinning->agents = realloc(pinning->agents, pinning->cap * sizeof pinning->agents[0]);
        assert(pinning->agents != NULL);
    }
    pinning->agents[pinning->count++] = core_agent_hold(shell.core, &key);
}

/* Can every record be read? A damaged one must stay where it is, with all of its agent. */
static bool
is_readable(struct core_agent *agent, struct buf *scratch)
{
    struct err why = { 0 };

    for (size_t i = 0; i < core_agent_count(agent); i++)
        if (!log_read(shell.log, core_agent_record(agent, i), scratch, &why))
            return false;
    return !core_agent_is_broken(agent);
}

/* Writes the agent's records again at the head. */
static void
carry(struct core_agent *agent, struct buf *scratch)
{
    struct err why = { 0 };
    const size_t count = core_agent_count(agent);

    if (!is_readable(agent, scratch))
        return;
    for (size_t i = 0; i < count && !shell.is_over; i++) {
        const struct core_record *record = core_agent_record(agent, i);
        const uint32_t offset = (uint32_t)shell.batch.len;

        if (!log_read(shell.log, record, scratch, &why)) {
            say(3, why.message);           /* the copies so far do not count without the last one */
            return;
        }
        record_pack_body(&shell.batch, buf_view(scratch), core_carry_marks(agent, i), record->sum);
        core_carry(shell.core, agent, i, offset);
        if (shell.batch.len >= BATCH_BYTES_MAX)
            batch_flush();
    }
}

/* Its app was removed, and then its folder: there is no database that its records could be missing in. With the next sync they are forgotten. */
static bool
is_let_go(const struct core_agent *agent)
{
    const struct core_key key = core_agent_key(agent);

    if (syncer_has(shell.syncer, key.app))
        return false;
    core_claim(shell.core, &key);
    shell.is_sync_due = true;
    return true;
}

/* Above the limit, and when the disk is full, what pins the oldest segment goes: its worker is asked to checkpoint, or without one its
 * records move to the head; not when most of the log is needed anyway: then moving frees nothing. */
static void
space_make(void)
{
    const bool is_many = log_segments(shell.log) > shell.kept_segments_max;
    struct pinning pinning = { 0 };
    struct buf scratch = { 0 };

    if (shell.is_over || (!shell.is_full && !is_many && log_bytes(shell.log) <= shell.kept_bytes_max))
        return;
    if (!shell.is_full)
        log_give_up_alarms(shell.log, shell.core);
    core_pinning(shell.core, log_oldest(shell.log), on_pinning, &pinning);
    for (size_t i = 0; i < pinning.count; i++) {
        if (!is_let_go(pinning.agents[i]) && !shell.is_full && (is_many || core_kept_bytes(shell.core) < log_bytes(shell.log) / 2))
            carry(pinning.agents[i], &scratch);
    }
    batch_flush();
    for (size_t i = 0; i < pinning.count; i++)
        core_agent_release(shell.core, &pinning.agents[i]);
    free(pinning.agents);
    buf_fini(&scratch);
    log_retire(shell.log, shell.core, LOG_RETIRE_CLOSED);
}

static void
finish(void)
{
    if (shell.is_over)
        return;
    batch_flush();
    log_retire(shell.log, shell.core, core_kept(shell.core) == 0 ? LOG_RETIRE_ALL : LOG_RETIRE_CLOSED);
    if (core_kept(shell.core) > 0)
        room_log(shell.room, 1, "%zu agents have commits that their databases may lack; they are read back when they start", core_agents(shell.core));
    era_remove(shell.era);
    shell.is_over = true;
    room_exit(shell.room, 0);
}

static void
sync_begin(void)
{
    struct err why = { 0 };

    shell.is_sync_due = false;
    if (!era_sync_begin(shell.era, &why)) {
        say(3, why.message);
        if (shell.is_finishing)
            finish();
        else
            loop_timer_arm(shell.retry, SYNC_RETRY_MS);
        return;
    }
    core_sync_begin(shell.core);
    syncer_start(shell.syncer);
}

static void
on_synced(int sys_errno)
{
    struct side *side;

    if (shell.is_over)
        return;
    era_sync_end(shell.era, sys_errno == 0);
    core_sync_end(shell.core, sys_errno == 0);
    if (sys_errno != 0) {
        room_log(shell.room, 3, "sync the databases: %s; look into the system log for the disk; agents are checked again", strerror(sys_errno));
        list_each (side, &shell.sides, struct side, in_shell)
            side->is_suspects_due = true;
        loop_timer_arm(shell.retry, SYNC_RETRY_MS);
    } else {
        log_retire(shell.log, shell.core, LOG_RETIRE_CLOSED);
        space_make();
    }
    if (shell.is_finishing && sys_errno == 0 && core_has_claims(shell.core))
        sync_begin();
    else if (shell.is_finishing)
        finish();
}

/* Workers have stopped before us, the scheduler does with us, but what they said last may lie in their sockets still: it is read when their
 * links have ended. */
static void
stop_advance(void)
{
    const bool is_anyone_left = !list_is_empty(&shell.sides) || feed_is_up(shell.feed);

    if (!shell.is_stopping || shell.is_finishing || (!shell.is_farewell_over && is_anyone_left))
        return;
    shell.is_finishing = true;
    if (syncer_is_running(shell.syncer))
        return;                            /* its end goes on from here */
    if (core_has_claims(shell.core))
        sync_begin();
    else
        finish();
}

static void
on_farewell(void *owner)
{
    shell.is_farewell_over = true;         /* the pass does the rest */
}

static void
on_retry(void *owner)
{
    shell.is_retrying = false;
    shell.is_sync_due = true;              /* the pass does the rest */
}

static void
on_lookup(void *owner)
{
    (void)history_prune(log_history(shell.log), clock_wall_ms());
    loop_timer_arm(shell.lookup, HISTORY_PRUNE_MS);   /* questions: the pass does the rest */
}

/* ---- the pass ------------------------------------------------------------------------------------------------------------------ */

static void
on_pass(void *owner)
{
    struct side *side;
    bool is_closed;

    batch_flush();
    if (shell.is_over)
        return;
    tell_durable();
    stop_advance();
    if (shell.is_finishing)
        return;
    is_closed = shell.is_sync_due;
    if (shell.is_retire_due)
        log_retire(shell.log, shell.core, LOG_RETIRE_CLOSED);
    shell.is_retire_due = false;
    tell_suspects();
    list_each (side, &shell.sides, struct side, in_shell)
        recalls_answer(side->recalls);
    feed_run(shell.feed, shell.log, say);
    list_each (side, &shell.sides, struct side, in_shell)
        if (lookups_run(side->lookups))
            loop_timer_arm(shell.lookup, 0);
    if (is_closed && !syncer_is_running(shell.syncer) && core_has_claims(shell.core))
        sync_begin();
    else if (is_closed && !core_has_claims(shell.core) && !syncer_is_running(shell.syncer)) {
        shell.is_sync_due = false;
        space_make();
    }
    if (shell.is_full && !shell.is_retrying) {
        shell.is_retrying = true;          /* no segment is closed any more: agents that rest meanwhile free those that there are */
        loop_timer_arm(shell.retry, SYNC_RETRY_MS);
    }
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------- */

struct conf {
    char *data, *apps;                     /* owned */
    int64_t segment_bytes, kept_bytes, kept_segments;
    int64_t history_days, history_mb;
};

static bool
conf_read(struct bytes text, struct conf *out, struct err *err)
{
    json_t *json = json_loadb((const char *)text.data, text.len, 0, NULL);
    const char *data = json_string_value(json_object_get(json, "data"));
    const char *apps = json_string_value(json_object_get(json, "apps"));
    const json_t *segment_bytes = json_object_get(json, "segment_bytes");
    const json_t *kept_bytes = json_object_get(json, "kept_bytes");
    const json_t *kept_segments = json_object_get(json, "kept_segments");
    const json_t *history_days = json_object_get(json, "history_days");
    const json_t *history_mb = json_object_get(json, "history_mb");

    *out = (struct conf){ .segment_bytes = SEGMENT_BYTES, .kept_bytes = KEPT_BYTES_MAX, .kept_segments = KEPT_SEGMENTS_MAX, .history_days = HISTORY_DAYS };
    if (data != NULL && apps != NULL) {
        out->data = bytes_dup(bytes_of(data));
        out->apps = bytes_dup(bytes_of(apps));
    }
    if (json_is_integer(segment_bytes))
        out->segment_bytes = json_integer_value(segment_bytes);
    if (json_is_integer(kept_bytes))
        out->kept_bytes = json_integer_value(kept_bytes);
    if (json_is_integer(kept_segments))
        out->kept_segments = json_integer_value(kept_segments);
    if (json_is_integer(history_days))
        out->history_days = json_integer_value(history_days);
    if (json_is_integer(history_mb))
        out->history_mb = json_integer_value(history_mb);
    json_decref(json);
    if (out->data == NULL)
        return err_set(err, ERR_CONFIG, 0, "journal: \"data\" and \"apps\" must name folders");
    if (out->segment_bytes < SEGMENT_BYTES_MIN || out->segment_bytes > SEGMENT_BYTES || out->kept_bytes < 0 || out->kept_segments < 1)
        return err_set(err, ERR_CONFIG, 0, "journal: \"segment_bytes\" is %u to %u, \"kept_bytes\" is not negative, \"kept_segments\" is positive", SEGMENT_BYTES_MIN,
                       SEGMENT_BYTES);
    if (out->history_days < 0 || out->history_days > INT16_MAX || out->history_mb < 0 || out->history_mb > INT32_MAX)
        return err_set(err, ERR_CONFIG, 0, "journal: \"history_days\" is 0 to %d, \"history_mb\" 0 to %d", INT16_MAX, INT32_MAX);
    return true;
}

/* It may have been all that kept it from going. */
static void
on_sealed(void)
{
    shell.is_retire_due = true;            /* the pass does the rest */
}

static bool
shell_open(const struct conf *conf, struct bytes text, struct err *err)
{
    const struct log_spec spec = { .folder = conf->data, .segment_bytes = (uint32_t)conf->segment_bytes, .say = say, .loop = room_loop(shell.room), .sealed = on_sealed,
                                   .history_days = (uint32_t)conf->history_days, .history_bytes = (uint64_t)conf->history_mb << 20 };

    /* Before the jail, which hides the databases: the journal syncs their file system and has no other business there. */
    return syncer_create(&shell.syncer, room_loop(shell.room), conf->apps, on_synced, err) && files_create(&shell.files, room_loop(shell.room), err) && jail_enter(ROLE_JOURNAL, text, err) &&
           log_open(&shell.log, &spec, shell.core, err);
}

static bool
on_start(struct room *room, struct bytes text, struct err *err)
{
    struct conf conf;
    bool ok = conf_read(text, &conf, err);

    shell.room = room;
    shell.core = core_create();
    shell.kept_bytes_max = (uint64_t)conf.kept_bytes;
    shell.kept_segments_max = (size_t)conf.kept_segments;
    list_init(&shell.sides);
    ok = ok && shell_open(&conf, text, err);
    if (ok)
        shell.era = era_open(conf.data);
    free(conf.data);
    free(conf.apps);
    if (!ok)
        return false;
    shell.lookup = loop_timer_create(room_loop(room), on_lookup, NULL);
    loop_timer_arm(shell.lookup, HISTORY_PRUNE_MS);
    shell.feed = log_feed(shell.log);
    shell.retry = loop_timer_create(room_loop(room), on_retry, NULL);
    shell.farewell = loop_timer_create(room_loop(room), on_farewell, NULL);
    shell.hook = loop_before_wait(room_loop(room), on_pass, NULL);
    if (core_kept(shell.core) > 0)
        room_log(room, 1, "%zu agents have commits that their databases may lack: %zu records in %zu segments", core_agents(shell.core),
                 core_kept(shell.core), log_segments(shell.log));
    room_ready(room);
    return true;
}

static void
on_stop(struct room *room, uint32_t grace_ms)
{
    shell.is_stopping = true;
    loop_timer_arm(shell.farewell, grace_ms / FAREWELL_PARTS);       /* the pass does the rest */
}

static void
on_count(struct room *room, struct buf *json)
{
    count_put(json, "commits", shell.commits);
    count_put(json, "bytes", shell.bytes);
    count_put(json, "syncs", shell.writes);
    count_put(json, "segments", log_segments(shell.log));
    count_put(json, "log_bytes", log_bytes(shell.log));
    count_put(json, "agents_not_in_their_database", core_agents(shell.core));
}

const struct room_spec journal_room = {
    .role = ROLE_JOURNAL,
    .name = "journal",
    .start = on_start,
    .link_up = on_link_up,
    .link_down = on_link_down,
    .message = on_message,
    .stop = on_stop,
    .count = on_count,
};
