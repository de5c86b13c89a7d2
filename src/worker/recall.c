/* recall — see recall.h. */
#include "src/worker/recall.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/admin.h"
#include "src/worker/agent.h"
#include "src/worker/commits.h"
#include "src/worker/engine.h"
#include "src/worker/log.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

#define KEY_MAX (32 + NAME_MAX_BYTES)

struct suspect {
    struct list_node in_sweep;         /* of one of recall's lists */
    int64_t          due_ms;           /* in `later`; this and the next one on the monotonic clock */
    int64_t          refused_until_ms; /* who wants it is told why it failed */
    enum err_code    failed;
    uint32_t         pause_ms;
    struct agent_id  id;
    size_t           class_len;
    uint8_t          class_name[];
};

static struct {
    struct bmap     *suspects;         /* id, class → struct suspect */
    struct list_node sweep;            /* suspects to be made whole in the background */
    struct list_node later;            /* not now */
    struct loop_timer *retry;          /* runs while there are any */
    bool             is_listed;        /* the first list is complete: who is not on it is whole */
    bool             knows_sockets;
    struct umap     *asked;            /* request → struct agent */
    uint32_t         last_request;
    uint32_t         era;              /* of the last whole list */
    unsigned         sweeping;
} recall;

static void on_retry(void *owner);

static struct bytes
key_of(uint8_t out[KEY_MAX], const struct agent_id *id, struct bytes class_name)
{
    assert(class_name.len <= NAME_MAX_BYTES);
    memcpy(out, id->bytes, 32);
    if (class_name.len > 0)
        memcpy(out + 32, class_name.data, class_name.len);
    return bytes_from(out, 32 + class_name.len);
}

static struct suspect *
suspect_of(struct bytes class_name, const struct agent_id *id)
{
    uint8_t key[KEY_MAX];

    return bmap_get(recall.suspects, key_of(key, id, class_name));
}

static void
suspect_add(const struct agent_id *id, struct bytes class_name)
{
    uint8_t key[KEY_MAX];
    struct suspect *s;

    if (suspect_of(class_name, id) != NULL)
        return;
    s = calloc(1, sizeof *s + class_name.len);
    assert(s != NULL);
    s->id = *id;
    s->class_len = class_name.len;
    if (class_name.len > 0)
        memcpy(s->class_name, class_name.data, class_name.len);
    list_push_back(&recall.sweep, &s->in_sweep);
    bmap_put(recall.suspects, key_of(key, id, class_name), s);
}

void
recall_init(void)
{
    recall.suspects = bmap_create();
    recall.asked = umap_create();
    list_init(&recall.sweep);
    list_init(&recall.later);
    recall.retry = loop_timer_create(worker.loop, on_retry, NULL);
}

bool
recall_is_needed(const struct agent *a)
{
    return !a->is_entry && a->store == NULL && (!recall.is_listed || suspect_of(bytes_of(a->class_name), &a->id) != NULL);
}

bool
recall_is_suspect(struct bytes class_name, const struct agent_id *id)
{
    return !recall.is_listed || suspect_of(class_name, id) != NULL;
}

enum err_code
recall_failed(struct bytes class_name, const struct agent_id *id)
{
    const struct suspect *s = suspect_of(class_name, id);

    return s != NULL && clock_mono_ms() < s->refused_until_ms ? s->failed : ERR_NONE;
}

void
recall_suspect(struct agent *a)
{
    suspect_add(&a->id, bytes_of(a->class_name));
}

void
recall_vouch(const struct agent_id *id, struct bytes class_name)
{
    struct msg_CHECKPOINTED m = { .agent = *id, .era = recall.era, .class_name = class_name };
    struct link *link = worker_journal();
    uint8_t key[KEY_MAX];
    struct suspect *s = bmap_take(recall.suspects, key_of(key, id, class_name));

    if (link != NULL)                  /* else its list of suspects will ask */
        msg_CHECKPOINTED_pack(link_out(link), &m);
    if (s == NULL)
        return;
    list_remove(&s->in_sweep);
    free(s);
}

/* ---- asking ---- */

void
recall_forget(struct agent *a)
{
    if (a->recall_request != 0)
        (void)umap_take(recall.asked, a->recall_request);
    a->recall_request = 0;
    if (a->is_swept) {
        a->is_swept = false;
        recall.sweeping--;
    }
    buf_fini(&a->redo);
}

static void
ask(struct agent *a)
{
    struct msg_RECALL m = { .request = ++recall.last_request, .agent = a->id, .class_name = bytes_of(a->class_name) };

    buf_clear(&a->redo);
    a->redo_is_anew = false;
    a->recall_request = m.request;
    umap_put(recall.asked, m.request, a);
    msg_RECALL_pack(link_out(worker_journal()), &m);
}

void
recall_begin(struct agent *a)
{
    assert(a->heap == NULL);
    a->state = AGENT_RECALLING;
    if (recall.is_listed && worker_journal() != NULL && recall_is_needed(a))
        ask(a);                        /* else when what it waits for is there: ask_all() */
}

static int
by_id(const void *one, const void *other)
{
    const struct agent *a = *(struct agent *const *)one, *b = *(struct agent *const *)other;
    int order = memcmp(&a->id, &b->id, sizeof a->id);

    return order != 0 ? order : strcmp(a->class_name, b->class_name);
}

/* Agents in AGENT_RECALLING, taken down first: going on changes the map, whose order is chance. The caller frees. */
static struct agent **
waiting_agents(size_t *out_count)
{
    struct agent **list = calloc(bmap_count(worker.agents) + 1, sizeof *list);
    size_t cursor = 0;
    struct bytes key;
    void *value;

    assert(list != NULL);
    *out_count = 0;
    while (bmap_next(worker.agents, &cursor, &key, &value))
        if (((struct agent *)value)->state == AGENT_RECALLING)
            list[(*out_count)++] = value;
    qsort(list, *out_count, sizeof *list, by_id);
    return list;
}

/* Its store is open, or it FAILED; then its queue goes on. */
static void
go_on(struct agent *a, const char *failed)
{
    recall_forget(a);
    a->state = AGENT_ABSENT;
    a->is_pumping = true;              /* an answer must not be its end */
    admin_recalled(a, failed);
    a->is_pumping = false;
    agent_pump(a);
}

/* The list is complete, or the journal is new: those that wait ask now, or need not. */
static void
ask_all(void)
{
    size_t count;
    struct agent **list = waiting_agents(&count);

    umap_destroy(&recall.asked);
    recall.asked = umap_create();
    for (size_t i = 0; i < count; i++) {
        if (!recall_is_needed(list[i]))
            go_on(list[i], NULL);
        else if (worker_journal() != NULL)
            ask(list[i]);              /* else when it is there again */
    }
    free(list);
}

bool
recall_knows_sockets(void)
{
    return recall.knows_sockets;
}

void
recall_sockets_known(void)
{
    if (recall.knows_sockets)
        return;
    recall.knows_sockets = true;
    if (recall.is_listed)
        ask_all();
}

void
recall_journal_up(void)
{
    if (recall.is_listed)
        ask_all();
}

/* Suspects that nobody asked for are made whole one after the other, so that the journal can let go of their records. */
static void
sweep(void)
{
    struct suspect *s;

    while (recall.is_listed && worker_journal() != NULL && !worker.is_stopping && recall.sweeping < RECALL_SWEEP_MAX &&
           (s = list_first(&recall.sweep, struct suspect, in_sweep)) != NULL) {
        struct bytes class_name = bytes_from(s->class_name, s->class_len);
        struct agent *a = agent_find(class_name, &s->id);

        list_remove(&s->in_sweep);
        if (a != NULL)
            continue;                  /* it will be, when it rests */
        a = agent_get(class_name, &s->id, BYTES_NONE);
        a->is_swept = true;
        recall.sweeping++;
        recall_begin(a);
    }
}

bool
recall_sweep(void)
{
    sweep();
    return recall.is_listed && recall.sweeping == 0 && list_is_empty(&recall.sweep);
}

void
recall_sweep_again(struct bytes class_name, const struct agent_id *id)
{
    struct suspect *s = suspect_of(class_name, id);

    if (s != NULL && !list_is_linked(&s->in_sweep) && clock_mono_ms() >= s->refused_until_ms)
        list_push_back(&recall.sweep, &s->in_sweep);
    sweep();
}

/* ---- failures ---- */

static void
on_retry(void *owner)
{
    const int64_t now = clock_mono_ms();
    int64_t next = INT64_MAX;
    struct suspect *s;

    list_each(s, &recall.later, struct suspect, in_sweep) {
        if (s->due_ms <= now) {
            list_remove(&s->in_sweep);
            list_push_back(&recall.sweep, &s->in_sweep);
        } else if (s->due_ms < next) {
            next = s->due_ms;
        }
    }
    if (next != INT64_MAX)
        loop_timer_arm(recall.retry, (uint64_t)(next - now));
    sweep();
}

/* What failed now may not fail then, and the journal keeps its records until it does not. */
static void
try_later(struct suspect *s, int64_t pause_ms)
{
    s->due_ms = clock_mono_ms() + pause_ms;
    if (list_is_empty(&recall.later))
        loop_timer_arm(recall.retry, (uint64_t)pause_ms);      /* else it is looked at when that of another is over */
    list_push_back(&recall.later, &s->in_sweep);
}

/* Who asks for it is refused for a while, for its records are read each time. What is damaged is tried again only then. */
static void
suspect_failed(struct suspect *s, enum err_code code)
{
    s->failed = code;
    s->pause_ms = s->pause_ms == 0 ? RECALL_RETRY_MS : s->pause_ms * 2 < RECALL_RETRY_MS_MAX ? s->pause_ms * 2 : RECALL_RETRY_MS_MAX;
    s->refused_until_ms = clock_mono_ms() + s->pause_ms;
    list_remove(&s->in_sweep);
    if (code != ERR_CORRUPT)
        try_later(s, s->pause_ms);
}

static void
suspect_opened(struct suspect *s)
{
    s->refused_until_ms = 0;
    s->pause_ms = 0;
    list_remove(&s->in_sweep);         /* it vouches for itself when it rests */
}

void
recall_later(struct agent *a)
{
    struct suspect *s = suspect_of(bytes_of(a->class_name), &a->id);

    if (s != NULL && !list_is_linked(&s->in_sweep))
        try_later(s, RECALL_LATER_MS);
}

void
recall_refuse(struct agent *a, enum err_code failed)
{
    agent_reset(a, failed, failed == ERR_CORRUPT ? 0 : FAIL_RETRYABLE, agent_storage_text(failed));
}

/* ---- answers ---- */

static struct agent *
asked_by(uint32_t request)
{
    return umap_get(recall.asked, request);
}

bool
recall_record(struct bytes payload, struct err *err)
{
    struct msg_RECORD m;
    struct agent *a;

    if (!msg_RECORD_unpack(&m, payload, err))
        return false;
    a = asked_by(m.request);
    if (a == NULL)
        return true;
    if (m.flags & COMMIT_GONE) {
        buf_clear(&a->redo);
        a->redo_is_anew = true;
        return true;
    }
    buf_append_bytes(&a->redo, m.pages);
    return true;
}

/* It was born shortly before a crash: who lists agents may not have heard of it. */
static void
tell_name(struct agent *a)
{
    struct buf name = { 0 };
    struct err ignored = { 0 };
    bool is_known = false;

    if (a->name == NULL && store_name_get(a->store, &name, &is_known, &ignored) && is_known)
        a->name = bytes_dup(buf_view(&name));
    buf_fini(&name);
    worker_tell_born(a, false);
}

static bool
take_records(struct agent *a, uint64_t last_seq, struct err *err)
{
    char folder[4096];
    uint64_t seq_of_file = 1;
    bool was_absent;

    engine_cpu_limit(0);               /* nobody's turn */
    if (a->redo_is_anew && !store_remove(agent_folder(a, folder, sizeof folder), err))
        return false;
    was_absent = store_peek_seq(agent_folder(a, folder, sizeof folder), &seq_of_file) && seq_of_file == 0;
    if (!agent_open_store(a, buf_view(&a->redo), last_seq, err))
        return false;
    a->may_restore = true;             /* its file does not tell: its records may */
    if (was_absent && a->redo.len > 0)
        tell_name(a);
    return true;
}

bool
recall_recalled(struct bytes payload, struct err *err)
{
    struct msg_RECALLED m;
    struct agent *a;
    struct suspect *s;
    struct err failure = { 0 };

    if (!msg_RECALLED_unpack(&m, payload, err))
        return false;
    a = umap_take(recall.asked, m.request);
    if (a == NULL)
        return true;
    if (m.ok != RECALLED_OK)
        (void)err_set(&failure, m.ok == RECALLED_NOT_NOW ? ERR_IO : ERR_CORRUPT, 0, "its latest commits cannot be read from the journal: %.*s", (int)m.message.len, (const char *)m.message.data);
    s = suspect_of(bytes_of(a->class_name), &a->id);
    if (m.ok == RECALLED_OK && take_records(a, m.last_seq, &failure)) {
        if (s != NULL)
            suspect_opened(s);
        go_on(a, NULL);
    } else {
        worker_log_agent(a, 3, "it stays away: %s", failure.message);
        if (s != NULL)
            suspect_failed(s, failure.code);
        recall_refuse(a, failure.code);
        a->may_restore = false;        /* its records tell, once they can be read */
        a->state = AGENT_RECALLING;
        go_on(a, failure.message);
    }
    sweep();
    return true;
}

/* ---- the list ---- */

/* Its file lost pages that its store takes for written and would not write again: only the journal's records make it whole. Commits on
 * their way are among these by the time they are asked for. */
static void
start_over(struct agent *a)
{
    if (a->state != AGENT_ABSENT)
        agent_reset(a, ERR_IO, FAIL_RESET | FAIL_RETRYABLE, TEXT_STORAGE_FAILED);
    a->wants_checkpoint = false;
    commits_close_store(a);
    agent_pump(a);
}

/* A later list of a journal that was restarted: it forgot which of them are whole. We know, unless it speaks of a sync that failed. */
static void
answer_suspect(const struct agent_id *id, struct bytes class_name, bool is_void)
{
    struct agent *a = agent_find(class_name, id);

    if (is_void) {
        suspect_add(id, class_name);
        if (a != NULL && (a->store != NULL || a->heap != NULL || a->state == AGENT_WARM))
            start_over(a);
        return;
    }
    if (suspect_of(class_name, id) == NULL &&
        (a == NULL || (!a->is_leaving && (a->store == NULL || store_is_checkpointed(a->store)))))
        recall_vouch(id, class_name);
}

bool
recall_suspects(struct bytes payload, struct err *err)
{
    struct msg_SUSPECTS m;
    struct bytes rest;

    if (!msg_SUSPECTS_unpack(&m, payload, err))
        return false;
    for (rest = m.entries; rest.len > 0;) {
        struct agent_id id;
        struct bytes class_name;

        if (rest.len < 34)
            return err_set(err, ERR_MALFORMED, 0, "SUSPECTS is cut short");
        memcpy(id.bytes, rest.data, 32);
        class_name = bytes_from(rest.data + 34, (size_t)rest.data[32] | (size_t)rest.data[33] << 8);
        if (class_name.len > rest.len - 34 || class_name.len > NAME_MAX_BYTES)
            return err_set(err, ERR_MALFORMED, 0, "SUSPECTS is cut short");
        rest = bytes_from(class_name.data + class_name.len, rest.len - 34 - class_name.len);
        if (agent_id_slot(&id, worker.slots) != worker.slot)
            continue;
        if (recall.is_listed)
            answer_suspect(&id, class_name, m.era != recall.era);
        else
            suspect_add(&id, class_name);
    }
    if (!(m.flags & SUSPECTS_MORE)) {
        recall.era = m.era;
        if (!recall.is_listed) {
            recall.is_listed = true;
            ask_all();
        }
        sweep();
    }
    return true;
}

bool
recall_checkpoint_wanted(struct bytes payload, struct err *err)
{
    struct msg_CHECKPOINT_WANTED m;
    struct suspect *s;
    struct agent *a;

    if (!msg_CHECKPOINT_WANTED_unpack(&m, payload, err))
        return false;
    if (agent_id_slot(&m.agent, worker.slots) != worker.slot)
        return true;                   /* the journal takes us for its owner while the last worker is away: we know nothing of it */
    a = agent_find(m.class_name, &m.agent);
    s = suspect_of(m.class_name, &m.agent);
    if (a != NULL && a->store != NULL && !store_is_checkpointed(a->store)) {
        a->wants_checkpoint = true;
        if (commits_are_durable(a))
            gate_settled(a);
    } else if (recall.is_listed && s == NULL && (a == NULL || !a->is_leaving)) {
        recall_vouch(&m.agent, m.class_name);
    } else if (s != NULL) {
        recall_sweep_again(m.class_name, &m.agent);
    }
    return true;
}
