/*
 * journal_recall — see journal_recall.h.
 */
#include "src/journal/journal_recall.h"

#include <assert.h>
#include <stdlib.h>

#include "src/journal/journal_limits.h"

struct recall {
    struct list_node   in_recalls;
    uint32_t           request;
    struct core_key    key;                /* bytes owned by `names` */
    struct buf         names;
    bool               is_begun;
    struct core_agent *agent;              /* held, once begun; NULL: nothing is kept */
    size_t             next;               /* the record to be sent */
};

struct recalls {
    struct core     *core;
    struct log      *log;
    struct link     *link;
    struct list_node waiting;
    size_t           count;
    struct buf       body;
};

struct recalls *
recalls_create(struct core *core, struct log *log, struct link *link)
{
    struct recalls *recalls = calloc(1, sizeof *recalls);

    assert(recalls != NULL);
    recalls->core = core;
    recalls->log = log;
    recalls->link = link;
    list_init(&recalls->waiting);
    return recalls;
}

static void
recall_end(struct recalls *recalls, struct recall *recall)
{
    if (recall->agent != NULL)
        core_agent_release(recalls->core, &recall->agent);
    list_remove(&recall->in_recalls);
    recalls->count--;
    buf_fini(&recall->names);
    free(recall);
}

void
recalls_destroy(struct recalls **recalls)
{
    struct recalls *it = STEAL(*recalls);
    struct recall *recall;

    if (it == NULL)
        return;
    list_each (recall, &it->waiting, struct recall, in_recalls)
        recall_end(it, recall);
    buf_fini(&it->body);
    free(it);
}

bool
recalls_ask(struct recalls *recalls, uint32_t request, const struct core_key *key, struct err *err)
{
    struct recall *recall;

    if (recalls->count == RECALLS_PER_LINK_MAX)
        return err_set(err, ERR_LIMIT, 0, "more than %d RECALLs wait", RECALLS_PER_LINK_MAX);
    recall = calloc(1, sizeof *recall);
    assert(recall != NULL);
    recall->request = request;
    recall->key = *key;
    buf_append_bytes(&recall->names, key->app);
    buf_append_bytes(&recall->names, key->class_name);
    recall->key.app = bytes_from(recall->names.data, key->app.len);
    recall->key.class_name = bytes_from(recall->names.data + key->app.len, key->class_name.len);
    list_push_back(&recalls->waiting, &recall->in_recalls);
    recalls->count++;
    return true;
}

static void
say_end(struct recalls *recalls, const struct recall *recall, enum recalled ok, uint64_t last_seq, const char *message)
{
    msg_RECALLED_pack(link_out(recalls->link), &(struct msg_RECALLED){ recall->request, (uint8_t)ok, last_seq, bytes_of(message) });
}

/* One record. False with err: it cannot be read. */
static bool
say_record(struct recalls *recalls, const struct recall *recall, const struct core_record *kept, struct err *err)
{
    struct record record;

    if (!log_read(recalls->log, kept, &recalls->body, err))
        return false;
    if (!record_unpack(&record, buf_view(&recalls->body)) || !bytes_equal(record.class_name, recall->key.class_name) ||
        !bytes_equal(record.app, recall->key.app) || !agent_id_equal(&record.agent, &recall->key.agent))
        return err_set(err, ERR_CORRUPT, 0, "the record at byte %u of journal segment %u is another agent's", kept->offset, kept->segment);
    msg_RECORD_pack(link_out(recalls->link), &(struct msg_RECORD){ recall->request, record.seq, record.flags & (COMMIT_MORE | COMMIT_GONE), record.pages });
    return true;
}

/* True: it is answered. */
static bool
recall_go_on(struct recalls *recalls, struct recall *recall)
{
    struct err err = { 0 };
    size_t count;

    if (!recall->is_begun) {
        recall->is_begun = true;
        recall->agent = core_agent_hold(recalls->core, &recall->key);
        core_unclaim(recall->agent);
    }
    if (recall->agent == NULL) {
        say_end(recalls, recall, RECALLED_OK, 0, "");
        return true;
    }
    if (core_agent_is_broken(recall->agent)) {
        say_end(recalls, recall, RECALLED_DAMAGED, 0, "commits of this agent are missing in the journal, which was damaged; restore it from a backup");
        return true;
    }
    for (; recall->next < core_agent_count(recall->agent); recall->next++) {
        if (link_is_backed_up(recalls->link))
            return false;
        if (!say_record(recalls, recall, core_agent_record(recall->agent, recall->next), &err)) {
            (void)err_add(&err, err.code == ERR_CORRUPT ? "commits of this agent cannot be read; restore it from a backup" : "commits of this agent cannot be read now");
            say_end(recalls, recall, err.code == ERR_CORRUPT ? RECALLED_DAMAGED : RECALLED_NOT_NOW, 0, err.message);
            return true;
        }
    }
    count = core_agent_count(recall->agent);
    say_end(recalls, recall, RECALLED_OK, count == 0 ? 0 : core_agent_record(recall->agent, count - 1)->seq, "");
    return true;
}

void
recalls_answer(struct recalls *recalls)
{
    struct recall *recall;

    list_each (recall, &recalls->waiting, struct recall, in_recalls) {
        if (link_is_backed_up(recalls->link) || !recall_go_on(recalls, recall))
            return;
        recall_end(recalls, recall);
    }
}
