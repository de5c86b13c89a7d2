/*
 * journal_batch — links, their commits, and what becomes of a batch. Part of journal_core.
 */
#include <assert.h>
#include <stdlib.h>

#include "src/journal/journal_core_internal.h"

#define FLAGS_OF_WORKERS (RECORD_FLAGS | COMMIT_AGAIN)

/* ---- links -------------------------------------------------------------------------------------------------------------- */

struct core_link *
core_link_up(struct core *core, struct bytes app)
{
    struct core_link *link = calloc(1, sizeof *link);

    assert(link != NULL);
    buf_append_bytes(&link->app, app);
    list_push_back(&core->links, &link->in_core);
    return link;
}

static void
link_drop_commit(struct core *core, struct core_link *link)
{
    struct core_agent *agent = STEAL(link->agent);

    link->part = 0;
    if (agent == NULL)
        return;
    agent->refs--;
    agent_drop_parts(core, agent);
    agent_settle(core, agent);
}

void
core_link_down(struct core *core, struct core_link **link)
{
    struct core_link *it = STEAL(*link);

    assert(core_batch_is_empty(core));
    link_drop_commit(core, it);
    list_remove(&it->in_core);
    buf_fini(&it->app);
    free(it);
}

uint32_t
core_link_part(const struct core_link *link)
{
    return link->part;
}

bool
core_link_durable(struct core_link *link, uint32_t *out_generation, uint64_t *out_ticket)
{
    if (link->ticket_told == link->ticket_durable)
        return false;
    link->ticket_told = link->ticket_durable;
    *out_generation = link->generation;
    *out_ticket = link->ticket_told;
    return true;
}

bool
core_link_refused(struct core_link *link, uint32_t *out_generation)
{
    if (!link->is_refused || link->is_refusal_told)
        return false;
    link->is_refusal_told = true;
    *out_generation = link->generation;
    return true;
}

/* ---- resends ------------------------------------------------------------------------------------------------------------ */

static bool
is_same(const struct core_record *a, const struct core_record *b)
{
    return a->seq == b->seq && a->part == b->part && a->length == b->length && a->sum == b->sum && a->flags == b->flags &&
           !a->is_damaged && !b->is_damaged;
}

/*
 * Is RECORD, which was sent before, among what a start found? A body names its worker and ticket, so that equal contents of two lives are two
 * commits. A worker resends in order all that it was not told to be durable: what arrived the first time is a run at the end of what was found.
 */
static bool
again_is_kept(struct core_agent *agent, const struct core_record *record)
{
    size_t at = agent->again_at;

    if (at == AGAIN_UNKNOWN)               /* the run begins: it is looked for once */
        for (at = agent->found; at > 0 && !is_same(&agent->records.at[at - 1], record);)
            at--;
    else
        at++;
    if (at == 0 || at > agent->found || !is_same(&agent->records.at[at - 1], record)) {
        agent->again_at = agent->found;    /* behind the run; nothing more of it is kept */
        return false;
    }
    agent->again_at = at;
    return true;
}

/* ---- commits ------------------------------------------------------------------------------------------------------------ */

static bool
commit_is_sound(const struct core_link *link, const struct core_commit *commit, struct err *err)
{
    const bool is_gone = (commit->flags & COMMIT_GONE) != 0;

    if (agent_id_is_none(&commit->key.agent) || commit->key.class_name.len == 0)
        return err_set(err, ERR_MALFORMED, 0, "a commit of no agent");
    if ((commit->flags & ~FLAGS_OF_WORKERS) != 0)
        return err_set(err, ERR_MALFORMED, 0, "a commit with flags %u", commit->flags);
    if (is_gone && (commit->flags & (COMMIT_MORE | COMMIT_BASE | COMMIT_RESTORED)) != 0)
        return err_set(err, ERR_MALFORMED, 0, "a commit that deletes its agent and goes on");
    if ((commit->flags & COMMIT_BASE) != 0 && (commit->flags & (COMMIT_ALARM | COMMIT_RESTORED)) != 0)
        return err_set(err, ERR_MALFORMED, 0, "a base that is more than that");
    if (is_gone != (commit->seq == 0) && (commit->flags & COMMIT_BASE) == 0)
        return err_set(err, ERR_MALFORMED, 0, "commit number %llu %s", (unsigned long long)commit->seq, is_gone ? "deletes its agent" : "does not exist");
    if (link->part > 0 && (commit->ticket != link->ticket || commit->seq != link->seq || is_gone ||
                           ((commit->flags & COMMIT_BASE) != 0) != link->is_base))
        return err_set(err, ERR_MALFORMED, 0, "commit %llu begins before the one before it has ended", (unsigned long long)commit->ticket);
    if (link->part == 0 && commit->ticket <= link->ticket_last)
        return err_set(err, ERR_MALFORMED, 0, "ticket %llu comes after %llu", (unsigned long long)commit->ticket,
                       (unsigned long long)link->ticket_last);
    return true;
}

/* The first part decides for its commit whether the number is the agent's next. */
static bool
number_fits(const struct core_agent *agent, const struct core_commit *commit, struct err *err)
{
    const bool is_known = agent->in_batch > 0 || core_agent_count(agent) > 0;
    const uint64_t last = agent->in_batch > 0 ? agent->batch_seq : agent_last_seq(agent);

    if ((commit->flags & COMMIT_GONE) != 0 || !is_known || commit->seq == last + 1 || agent->is_broken)
        return true;
    return err_set(err, ERR_MALFORMED, 0, "commit %llu of an agent whose last one is %llu", (unsigned long long)commit->seq,
                   (unsigned long long)last);
}

static void
batch_push(struct core *core, struct core_agent *agent, const struct core_record *record, uint32_t marks)
{
    if (core->batch_count == core->batch_cap) {
        core->batch_cap = core->batch_cap == 0 ? 64 : core->batch_cap * 2;
        core->batch = realloc(core->batch, core->batch_cap * sizeof core->batch[0]);
        assert(core->batch != NULL);
    }
    core->batch[core->batch_count++] = (struct in_batch){ agent, *record, marks };
    agent->in_batch++;
}

/* The link's commit has gone on by one part. */
static void
link_advance(struct core *core, struct core_link *link, struct core_agent *agent, const struct core_commit *commit)
{
    const bool is_more = (commit->flags & COMMIT_MORE) != 0;

    if (is_more && link->agent == NULL) {
        link->agent = agent;
        agent->refs++;
    } else if (!is_more && link->agent != NULL) {
        link->agent = NULL;
        agent->refs--;
    }
    link->part = is_more ? link->part + 1 : 0;
    link->ticket = commit->ticket;
    link->seq = commit->seq;
    link->is_base = (commit->flags & COMMIT_BASE) != 0;
    if (is_more)
        return;
    link->ticket_last = commit->ticket;
    if (!link->is_in_batch)
        link->ticket_durable = commit->ticket;
}

static bool
generation_is_old(struct core *core, struct core_link *link, uint32_t generation)
{
    if (!link->has_generation || generation > link->generation) {
        link_drop_commit(core, link);
        link->has_generation = true;
        link->generation = generation;
        link->is_refused = link->is_refusal_told = false;
    }
    return generation < link->generation || link->is_refused;
}

enum core_verdict
core_commit(struct core *core, struct core_link *link, const struct core_commit *commit, struct err *err)
{
    const struct core_record record = {
        .seq = commit->seq, .offset = commit->offset, .length = commit->length, .sum = commit->sum, .part = link->part,
        .flags = commit->flags & (COMMIT_MORE | COMMIT_GONE),
    };
    struct core_agent *agent;
    bool ok;

    if (generation_is_old(core, link, commit->generation))
        return CORE_DROP;
    if (!commit_is_sound(link, commit, err))
        return CORE_BROKEN;
    agent = agent_get(core, &commit->key);
    if (link->agent != NULL && link->agent != agent) {
        agent_settle(core, agent);
        (void)err_set(err, ERR_MALFORMED, 0, "commit %llu goes on with another agent", (unsigned long long)commit->ticket);
        return CORE_BROKEN;
    }
    if ((commit->flags & COMMIT_BASE) != 0) {
        /* Its number is that of a commit there was. A resend writes it once more: it is of no use but to history. */
        core->batch_bases++;
        link->is_in_batch = true;
        link_advance(core, link, agent, commit);
        agent_settle(core, agent);
        return CORE_APPEND;
    }
    if ((commit->flags & COMMIT_AGAIN) != 0 && again_is_kept(agent, &record)) {
        link_advance(core, link, agent, commit);
        agent_settle(core, agent);
        return CORE_DROP;
    }
    ok = link->part > 0 || number_fits(agent, commit, err);
    if (!ok) {
        agent_settle(core, agent);
        return CORE_BROKEN;
    }
    batch_push(core, agent, &record, 0);
    agent->batch_seq = commit->seq;
    link->is_in_batch = true;
    link_advance(core, link, agent, commit);
    return CORE_APPEND;
}

/* ---- the batch ------------------------------------------------------------------------------------------------------------ */

bool
core_batch_is_empty(const struct core *core)
{
    return core->batch_count == 0 && core->batch_bases == 0;
}

void
core_carry(struct core *core, struct core_agent *agent, size_t i, uint32_t offset)
{
    struct core_record record = *core_agent_record(agent, i);

    record.offset = offset;
    batch_push(core, agent, &record, core_carry_marks(agent, i));
    agent->batch_seq = agent_last_seq(agent);
}

void
core_batch_durable(struct core *core, uint32_t segment, uint32_t offset)
{
    struct core_link *link;

    for (size_t i = 0; i < core->batch_count; i++) {
        struct in_batch *entry = &core->batch[i];

        entry->record.segment = segment;
        entry->record.offset += offset;
        entry->agent->in_batch--;
        agent_place(core, entry->agent, &entry->record, entry->marks);
    }
    for (size_t i = 0; i < core->batch_count; i++)
        core->batch[i].agent->refs++;      /* so that each is settled once, whichever entry is its last */
    for (size_t i = 0; i < core->batch_count; i++) {
        core->batch[i].agent->refs--;
        agent_settle(core, core->batch[i].agent);
    }
    core->batch_count = 0;
    core->batch_bases = 0;
    list_each (link, &core->links, struct core_link, in_core) {
        if (link->is_in_batch)
            link->ticket_durable = link->ticket_last;
        link->is_in_batch = false;
    }
}

void
core_batch_refused(struct core *core)
{
    struct core_link *link;

    list_each (link, &core->links, struct core_link, in_core) {
        if (!link->is_in_batch)
            continue;
        link->is_in_batch = false;
        link->is_refused = true;
        link->is_refusal_told = false;
        link->ticket_last = link->ticket_durable;
        link_drop_commit(core, link);
    }
    for (size_t i = 0; i < core->batch_count; i++) {
        struct core_agent *agent = core->batch[i].agent;

        agent->in_batch--;
        if (agent->in_batch > 0)
            continue;
        agent_drop_parts(core, agent);
        agent_drop_carried(core, agent);
        agent_settle(core, agent);
    }
    core->batch_count = 0;
    core->batch_bases = 0;
}
