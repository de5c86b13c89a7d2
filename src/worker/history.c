/* history — see history.h. */
#include "src/worker/history.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/base/map.h"
#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/adopt.h"
#include "src/worker/agent.h"
#include "src/worker/commits.h"
#include "src/worker/log.h"
#include "src/worker/recall.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

#define REQUEST_OURS    0x80000000u        /* recall's requests are below */
#define MARK_RESTORE    1u                 /* struct store_base: a restore waits for the next session */
#define TEXT_RESTORED   "Durable Object reset because its storage is being restored."

struct asked {
    uint32_t         request;
    struct buf       frame;                /* the RECALL_AT, for a journal that was restarted */
    struct buf       records;
    struct agent    *agent;                /* of a restore: held by is_leaving */
    uint64_t         seq;                  /* … the number of its commit */
    history_done_fn *done;
    history_list_fn *listed;
    void            *owner;
};

static struct {
    bool         has_history;
    struct umap *asked;                    /* request → struct asked */
    uint32_t     last_request;
} history;

void
history_init(bool has_history)
{
    history.has_history = has_history;
    history.asked = umap_create();
}

/* ---- bases ---- */

static bool
base_is_due(struct agent *a, uint32_t now_s)
{
    const struct store_base base = store_base(a->store);
    int64_t bytes;

    if (base.time_s != 0 && now_s < base.time_s + BASE_AGE_S && base.kib < BASE_KIB_MIN)
        return false;
    bytes = store_image_bytes(a->store);
    return bytes <= BASE_BYTES_MAX && (base.time_s == 0 || now_s >= base.time_s + BASE_AGE_S || (int64_t)base.kib * 1024 > bytes);
}

static void
base_note(struct agent *a, uint32_t now_s)
{
    store_set_base(a->store, (struct store_base){ .time_s = now_s, .marks = store_base(a->store).marks });
}

void
history_before_commit(struct agent *a)
{
    const uint32_t now_s = (uint32_t)(clock_wall_ms() / 1000);
    struct err err = { 0 };

    if (!history.has_history || store_seq(a->store) != a->sent_seq)
        return;
    if (store_is_unborn(a->store)) {
        base_note(a, now_s);               /* it begins with nothing: that needs no base */
        return;
    }
    if (!base_is_due(a, now_s))
        return;
    base_note(a, now_s);
    if (!commits_send_image(a, &(struct commits_image){ .from = a->store, .flags = COMMIT_BASE, .seq = store_seq(a->store) }, &err))
        worker_log_agent(a, 2, "no base for its history could be made: %s", err.message);
}

void
history_after_commit(struct agent *a, size_t bytes)
{
    struct store_base base = store_base(a->store);
    const uint32_t kib = (uint32_t)(bytes / 1024) + 1;

    base.kib = base.kib < UINT32_MAX - kib ? base.kib + kib : UINT32_MAX;
    store_set_base(a->store, base);
}

/* ---- asking ---- */

static struct asked *
ask(const struct agent *a, enum recall_at_mode mode, int64_t time_ms, uint64_t seq)
{
    struct asked *q = calloc(1, sizeof *q);
    struct msg_RECALL_AT m = { .agent = a->id, .mode = (uint8_t)mode, .time_ms = time_ms, .seq = seq, .class_name = bytes_of(a->class_name) };
    struct link *link = worker_journal();

    assert(q != NULL);
    history.last_request = (history.last_request + 1) & (REQUEST_OURS - 1);
    q->request = m.request = history.last_request | REQUEST_OURS;
    msg_RECALL_AT_pack(&q->frame, &m);
    (void)umap_put(history.asked, q->request, q);
    if (link != NULL)
        buf_append_bytes(link_out(link), buf_view(&q->frame));
    return q;
}

static void
asked_free(struct asked *q)
{
    buf_fini(&q->frame);
    buf_fini(&q->records);
    free(q);
}

void
history_journal_up(void)
{
    size_t cursor = 0;
    uint64_t request;
    void *value;

    while (umap_next(history.asked, &cursor, &request, &value)) {
        struct asked *q = value;

        buf_clear(&q->records);
        buf_append_bytes(link_out(worker_journal()), buf_view(&q->frame));
    }
}

bool
history_is_asked(struct bytes payload)
{
    uint32_t request = 0;

    if (payload.len >= sizeof request)
        request = (uint32_t)payload.data[3] << 24;   /* both messages begin with it, little-endian */
    return (request & REQUEST_OURS) != 0;
}

bool
history_list(struct agent *a, history_list_fn *done, void *owner, struct err *err)
{
    struct asked *q;

    if (!history.has_history)
        return err_set(err, ERR_UNAVAILABLE, 0, "this node keeps no history: \"history_mb\" is 0");
    q = ask(a, RECALL_AT_LIST, 0, 0);
    q->listed = done;
    q->owner = owner;
    return true;
}

/* ---- restores ---- */

bool
history_restore(struct agent *a, const struct bookmark *bookmark, history_done_fn *done, void *owner, struct err *err)
{
    struct asked *q;
    uint64_t seq;

    if (!history.has_history)
        return err_set(err, ERR_UNAVAILABLE, 0, "this node keeps no history: \"history_mb\" is 0");
    if (!adopt_begin(a, TEXT_RESTORED, &seq, err))
        return false;
    q = ask(a, bookmark->mode, bookmark->time_ms, bookmark->seq);
    q->agent = a;
    q->seq = seq;
    q->done = done;
    q->owner = owner;
    return true;
}

static void
restore_end(struct asked *q, const struct err *failure)
{
    const struct bookmark undo = { .time_ms = clock_wall_ms(), .mode = RECALL_AT_COMMIT, .seq = q->seq - 1 };

    adopt_end(q->agent, failure);
    q->done(q->agent, failure == NULL ? &undo : NULL, failure, q->owner);
    asked_free(q);
}

static void
on_sent(struct agent *a, const struct err *failure, void *owner)
{
    restore_end(owner, failure);           /* whoever tells us pumps */
}

/* Makes the state that was recalled the agent's next commit. */
static bool
state_adopt(struct asked *q, uint64_t seq, struct err *err)
{
    const struct adoption adoption = { .records = buf_view(&q->records), .records_seq = seq, .done = on_sent, .owner = q };

    return adopt_send(q->agent, q->seq, &adoption, err);
}

/* ---- answers ---- */

bool
history_record(struct bytes payload, struct err *err)
{
    struct msg_RECORD m;
    struct asked *q;

    if (!msg_RECORD_unpack(&m, payload, err))
        return false;
    q = umap_get(history.asked, m.request);
    if (q != NULL)
        buf_append_bytes(&q->records, m.pages);
    return true;
}

bool
history_recalled(struct bytes payload, struct err *err)
{
    struct msg_RECALLED m;
    struct asked *q;
    struct err failure = { 0 };
    struct agent *a;

    if (!msg_RECALLED_unpack(&m, payload, err))
        return false;
    q = umap_take(history.asked, m.request);
    if (q == NULL)
        return true;
    if (m.ok != RECALLED_OK)
        (void)err_set(&failure, ERR_NOT_FOUND, 0, "%.*s", (int)m.message.len, (const char *)m.message.data);
    if (q->listed != NULL) {
        q->listed(buf_view(&q->records), m.ok == RECALLED_OK ? NULL : &failure, q->owner);
        asked_free(q);
        return true;
    }
    a = q->agent;
    if (m.ok == RECALLED_OK && state_adopt(q, m.last_seq, &failure))
        return true;                       /* on_sent goes on */
    restore_end(q, &failure);
    agent_pump(a);
    return true;
}

/* ---- restores that code asked for ---- */

static void
mark_clear(struct agent *a)
{
    struct store_base base = store_base(a->store);

    base.marks &= ~MARK_RESTORE;
    store_set_base(a->store, base);
    a->may_restore = false;
}

void
history_store_opened(struct agent *a)
{
    a->may_restore = a->may_restore || (store_base(a->store).marks & MARK_RESTORE) != 0;
}

bool
history_is_late(struct agent *a)
{
    struct buf text = { 0 };
    struct err err = { 0 };
    bool is_waiting = store_restore_get(a->store, &text, &err) && text.len > 0;

    buf_fini(&text);
    if (!is_waiting)
        mark_clear(a);
    return is_waiting;
}

bool
history_ask_restore(struct agent *a, const struct bookmark *bookmark, struct err *err)
{
    struct store_base base = store_base(a->store);
    char text[BOOKMARK_BYTES + 1];

    if (!history.has_history)
        return err_set(err, ERR_UNAVAILABLE, 0, "This Durable Object's storage back-end does not implement point-in-time recovery.");
    bookmark_print(bookmark, text);
    if (!store_restore_set(a->store, bytes_from(text, BOOKMARK_BYTES), err))
        return false;
    base.marks |= MARK_RESTORE;
    store_set_base(a->store, base);
    a->may_restore = true;
    a->restore_is_void = false;
    /* Now, not at the end of the turn: what follows is abort(), which undoes what is not committed. */
    return gate_commit(a, err);
}

/* Nothing waits any more. */
static void
waiting_clear(struct agent *a)
{
    struct buf text = { 0 };
    struct err err = { 0 };
    bool ok = a->store != NULL || agent_open_store(a, BYTES_NONE, 0, &err);

    a->may_restore = a->restore_is_void = false;   /* also when that fails: once more at the next start of the worker */
    ok = ok && store_restore_get(a->store, &text, &err);
    if (ok && text.len > 0)
        ok = store_restore_set(a->store, BYTES_NONE, &err) && commits_commit(a, &err);
    buf_fini(&text);
    if (!ok) {
        worker_log_agent(a, 3, "take back its restore: %s", err.message);
        return;
    }
    mark_clear(a);
}

static void
on_waiting_done(struct agent *a, const struct bookmark *undo, const struct err *failure, void *owner)
{
    if (failure == NULL) {
        a->may_restore = false;            /* the restored state has none that waits */
        return;
    }
    worker_log_agent(a, 3, "its storage cannot be restored: %s", failure->message);
    /* It never will be. A file that lacks commits must not be opened for it: the next session begins with its records. */
    a->restore_is_void = failure->code == ERR_NOT_FOUND || failure->code == ERR_LIMIT || failure->code == ERR_CORRUPT;
    if (a->restore_is_void && !recall_is_needed(a))
        waiting_clear(a);
    agent_reset(a, failure->code, FAIL_RETRYABLE, failure->message);
}

bool
history_begin_session(struct agent *a)
{
    struct buf text = { 0 };
    struct bookmark bookmark;
    struct err err = { 0 };
    bool ok;

    if (!a->may_restore || a->is_leaving || a->is_entry || worker.is_stopping)
        return false;
    assert(a->heap == NULL);
    if (recall_is_needed(a)) {
        recall_begin(a);
        return true;
    }
    if (a->restore_is_void) {
        waiting_clear(a);
        return false;
    }
    ok = (a->store != NULL || agent_open_store(a, BYTES_NONE, 0, &err)) && store_restore_get(a->store, &text, &err);
    if (ok && bookmark_parse(buf_view(&text), &bookmark) && history_restore(a, &bookmark, on_waiting_done, NULL, &err)) {
        buf_fini(&text);
        return true;
    }
    buf_fini(&text);
    if (err.code != ERR_NONE)
        worker_log_agent(a, 3, "its storage cannot be restored: %s", err.message);
    waiting_clear(a);
    return false;
}
