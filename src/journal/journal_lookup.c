/*
 * journal_lookup — see journal_lookup.h.
 */
#include "src/journal/journal_lookup.h"

#include <assert.h>
#include <stdlib.h>

#include "src/journal/journal_history.h"
#include "src/journal/journal_limits.h"
#include "src/journal/journal_past.h"

struct lookup {
    struct list_node         in_lookups;
    uint32_t                 request;
    enum recall_at_mode      mode;
    struct core_key          key;          /* bytes owned by `names` */
    struct buf               names;
    struct past             *past;
    uint32_t                 segment;      /* the last one that was looked at; UINT32_MAX: none yet */
    bool                     is_chosen;
    const struct past_place *places;       /* owned by past */
    size_t                   count, next;
    uint64_t                 seq;
};

struct lookups {
    struct log      *log;
    struct link     *link;
    struct list_node waiting;
    size_t           count;
    struct buf       body;
};

struct lookups *
lookups_create(struct log *log, struct link *link)
{
    struct lookups *lookups = calloc(1, sizeof *lookups);

    assert(lookups != NULL);
    lookups->log = log;
    lookups->link = link;
    list_init(&lookups->waiting);
    return lookups;
}

static void
lookup_end(struct lookups *lookups, struct lookup *lookup)
{
    history_release(log_history(lookups->log));
    list_remove(&lookup->in_lookups);
    lookups->count--;
    past_destroy(&lookup->past);
    buf_fini(&lookup->names);
    free(lookup);
}

void
lookups_destroy(struct lookups **lookups)
{
    struct lookups *it = STEAL(*lookups);
    struct lookup *lookup;

    if (it == NULL)
        return;
    list_each (lookup, &it->waiting, struct lookup, in_lookups)
        lookup_end(it, lookup);
    buf_fini(&it->body);
    free(it);
}

bool
lookups_ask(struct lookups *lookups, struct bytes payload, struct err *err)
{
    const struct bytes app = link_peer(lookups->link)->app;
    struct msg_RECALL_AT msg;
    struct lookup *lookup;

    if (!msg_RECALL_AT_unpack(&msg, payload, err))
        return false;
    if (msg.mode >= RECALL_AT_MODES || msg.class_name.len == 0)
        return err_set(err, ERR_MALFORMED, 0, "RECALL_AT in mode %u", msg.mode);
    if (lookups->count == RECALLS_PER_LINK_MAX)
        return err_set(err, ERR_LIMIT, 0, "more than %d RECALL_ATs wait", RECALLS_PER_LINK_MAX);
    lookup = calloc(1, sizeof *lookup);
    assert(lookup != NULL);
    lookup->request = msg.request;
    lookup->mode = (enum recall_at_mode)msg.mode;
    lookup->segment = UINT32_MAX;
    lookup->past = past_create(&(struct past_query){ lookup->mode, msg.time_ms, msg.seq });
    buf_append_bytes(&lookup->names, app);
    buf_append_bytes(&lookup->names, msg.class_name);
    lookup->key = (struct core_key){ .app = bytes_from(lookup->names.data, app.len),
                                     .class_name = bytes_from(lookup->names.data + app.len, msg.class_name.len), .agent = msg.agent };
    list_push_back(&lookups->waiting, &lookup->in_lookups);
    lookups->count++;
    history_hold(log_history(lookups->log));
    return true;
}

/* ---- the indexes -------------------------------------------------------------------------------------------------------- */

static void
on_told(void *owner, const struct found_record *found)
{
    struct lookup *lookup = owner;
    const struct record *record = &found->record;

    if (found->is_damaged || (found->marks & MARK_CARRY) != 0 || !agent_id_equal(&record->agent, &lookup->key.agent) ||
        !bytes_equal(record->class_name, lookup->key.class_name) || !bytes_equal(record->app, lookup->key.app))
        return;
    past_add(lookup->past, &(struct past_place){ record->seq, found->time_ms, lookup->segment, found->offset, found->length, found->sum,
                                                 record->part, record->flags });
}

static void
say_end(struct lookups *lookups, const struct lookup *lookup, const char *failure)
{
    msg_RECALLED_pack(link_out(lookups->link), &(struct msg_RECALLED){ lookup->request, failure == NULL ? RECALLED_OK : RECALLED_DAMAGED, lookup->seq,
                                                                       bytes_of(failure == NULL ? "" : failure) });
}

static void
say_list(struct lookups *lookups, const struct lookup *lookup)
{
    struct buf text = { 0 };

    past_list(lookup->past, &text);
    if (text.len > 0)
        msg_RECORD_pack(link_out(lookups->link), &(struct msg_RECORD){ .request = lookup->request, .pages = buf_view(&text) });
    buf_fini(&text);
    say_end(lookups, lookup, NULL);
}

static bool
choose(struct lookup *lookup, struct err *err)
{
    uint64_t bytes = 0;

    if (!past_places(lookup->past, &lookup->places, &lookup->count, &lookup->seq, err))
        return false;
    for (size_t i = 0; i < lookup->count; i++)
        bytes += lookup->places[i].length;
    if (bytes > LOOKUP_ANSWER_BYTES_MAX)
        return err_set(err, ERR_LIMIT, 0, "the records of that state take %llu MiB, more than a worker can hold; restore it from a backup",
                       (unsigned long long)(bytes >> 20));
    return true;
}

/* Looks at the next older segment. True: the question is answered, with a failure or a list. */
static bool
segment_look(struct lookups *lookups, struct lookup *lookup)
{
    const uint32_t number = log_before(lookups->log, lookup->segment);
    struct err err = { 0 };
    bool is_last = number == SEGMENT_NONE;

    if (!is_last) {
        lookup->segment = number;
        /* One that cannot be read is as if it were gone: what that leaves out is found to be missing. */
        if (!log_tell(lookups->log, number, on_told, lookup, &err))
            err_clear(&err);
        is_last = past_segment_end(lookup->past);
    }
    if (!is_last)
        return false;
    lookup->is_chosen = true;
    if (lookup->mode == RECALL_AT_LIST) {
        say_list(lookups, lookup);
        return true;
    }
    if (choose(lookup, &err))
        return false;
    say_end(lookups, lookup, err.message);
    return true;
}

/* ---- the records ---------------------------------------------------------------------------------------------------------- */

static bool
record_send(struct lookups *lookups, const struct lookup *lookup, const struct past_place *place, struct err *err)
{
    const struct core_record at = { .seq = place->seq, .segment = place->segment, .offset = place->offset, .length = place->length,
                                    .sum = place->sum };
    struct record record;

    if (!log_read(lookups->log, &at, &lookups->body, err))
        return false;
    if (!record_unpack(&record, buf_view(&lookups->body)) || !agent_id_equal(&record.agent, &lookup->key.agent))
        return err_set(err, ERR_CORRUPT, 0, "the record at byte %u of journal segment %u is another agent's", place->offset, place->segment);
    msg_RECORD_pack(link_out(lookups->link), &(struct msg_RECORD){ lookup->request, record.seq, record.flags & COMMIT_MORE, record.pages });
    return true;
}

/* True: it is answered. */
static bool
records_send(struct lookups *lookups, struct lookup *lookup)
{
    uint64_t sent = 0;
    struct err err = { 0 };

    while (lookup->next < lookup->count && sent < LOOKUP_PASS_BYTES && !link_is_backed_up(lookups->link)) {
        const struct past_place *place = &lookup->places[lookup->next++];

        if (!record_send(lookups, lookup, place, &err)) {
            say_end(lookups, lookup, err.message);
            return true;
        }
        sent += place->length;
    }
    if (lookup->next < lookup->count)
        return false;
    say_end(lookups, lookup, NULL);
    return true;
}

bool
lookups_run(struct lookups *lookups)
{
    struct lookup *lookup = list_first(&lookups->waiting, struct lookup, in_lookups);

    if (lookup == NULL || link_is_backed_up(lookups->link))
        return false;                      /* the link is read on first */
    if (lookup->is_chosen ? records_send(lookups, lookup) : segment_look(lookups, lookup))
        lookup_end(lookups, lookup);
    return !list_is_empty(&lookups->waiting) && !link_is_backed_up(lookups->link);
}
