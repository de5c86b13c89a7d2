/*
 * journal_core — see journal_core.h. This file: agents and their records. Links, commits and batches: journal_batch.c.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/journal/journal_core_internal.h"

/* ---- segments ------------------------------------------------------------------------------------------------------------ */

static void
record_count(struct core *core, const struct core_record *record, bool is_more)
{
    const uint32_t segment = record->segment;
    const uint64_t bytes = record_stride(record->length);
    uintptr_t count = (uintptr_t)umap_get(core->segments, segment);

    assert(is_more || count > 0);
    count = is_more ? count + 1 : count - 1;
    core->kept = is_more ? core->kept + 1 : core->kept - 1;
    core->kept_bytes = is_more ? core->kept_bytes + bytes : core->kept_bytes - bytes;
    if (count > 0)
        (void)umap_put(core->segments, segment, (void *)count);
    else
        (void)umap_take(core->segments, segment);
}

size_t
core_segment_kept(const struct core *core, uint32_t segment)
{
    return (size_t)(uintptr_t)umap_get(core->segments, segment);
}

size_t
core_kept(const struct core *core)
{
    return core->kept;
}

uint64_t
core_kept_bytes(const struct core *core)
{
    return core->kept_bytes;
}

size_t
core_agents(const struct core *core)
{
    return bmap_count(core->agents);
}

/* ---- arrays of records ------------------------------------------------------------------------------------------------------ */

static void
records_push(struct records *records, const struct core_record *record)
{
    if (records->count == records->cap) {
        records->cap = records->cap == 0 ? 2 : records->cap * 2;
        records->at = realloc(records->at, records->cap * sizeof records->at[0]);
        assert(records->at != NULL);
    }
    records->at[records->count++] = *record;
}

static void
records_drop(struct records *records, size_t count)
{
    assert(count <= records->count);
    records->count -= count;
    if (records->count == 0) {
        free(records->at);
        *records = (struct records){ 0 };
        return;
    }
    memmove(records->at, records->at + count, records->count * sizeof records->at[0]);
}

/* Drops RECORDS, which counted in their segments. */
static void
records_forget(struct core *core, struct records *records)
{
    for (size_t i = 0; i < records->count; i++)
        record_count(core, &records->at[i], false);
    records_drop(records, records->count);
}

/* ---- agents ------------------------------------------------------------------------------------------------------------------ */

static void
key_pack(struct buf *out, const struct core_key *key)
{
    buf_append(out, key->agent.bytes, sizeof key->agent.bytes);
    put_u16(out, (uint16_t)key->app.len);
    buf_append_bytes(out, key->app);
    buf_append_bytes(out, key->class_name);
}

struct core_agent *
agent_find(const struct core *core, const struct core_key *key)
{
    struct buf packed = { 0 };
    struct core_agent *agent;

    key_pack(&packed, key);
    agent = bmap_get(core->agents, buf_view(&packed));
    buf_fini(&packed);
    return agent;
}

struct core_agent *
agent_get(struct core *core, const struct core_key *key)
{
    struct core_agent *agent = agent_find(core, key);

    if (agent != NULL)
        return agent;
    agent = calloc(1, sizeof *agent);
    assert(agent != NULL);
    key_pack(&agent->key, key);
    agent->app_len = (uint16_t)key->app.len;
    agent->again_at = AGAIN_UNKNOWN;
    (void)bmap_put(core->agents, buf_view(&agent->key), agent);
    return agent;
}

struct core_key
core_agent_key(const struct core_agent *agent)
{
    const size_t at = sizeof(struct agent_id) + sizeof(uint16_t);
    struct core_key key = { .app = bytes_from(agent->key.data + at, agent->app_len) };

    key.class_name = bytes_from(agent->key.data + at + agent->app_len, agent->key.len - at - agent->app_len);
    memcpy(key.agent.bytes, agent->key.data, sizeof key.agent.bytes);
    return key;
}

static void
agent_free(struct core_agent *agent)
{
    list_remove(&agent->in_claimed);
    free(agent->records.at);
    free(agent->parts.at);
    free(agent->carried.at);
    buf_fini(&agent->key);
    free(agent);
}

void
agent_settle(struct core *core, struct core_agent *agent)
{
    if (core_agent_count(agent) > 0 || agent->parts.count > 0 || agent->carried.count > 0 || agent->refs > 0 || agent->in_batch > 0)
        return;
    (void)bmap_take(core->agents, buf_view(&agent->key));
    agent_free(agent);
}

uint64_t
agent_last_seq(const struct core_agent *agent)
{
    const size_t count = agent->records.count;

    return count == agent->first ? 0 : agent->records.at[count - 1].seq;
}

size_t
core_agent_count(const struct core_agent *agent)
{
    return agent->records.count - agent->first;
}

const struct core_record *
core_agent_record(const struct core_agent *agent, size_t i)
{
    assert(i < core_agent_count(agent));
    return &agent->records.at[agent->first + i];
}

bool
core_agent_is_broken(const struct core_agent *agent)
{
    return agent->is_broken;
}

struct core_agent *
core_agent_hold(struct core *core, const struct core_key *key)
{
    struct core_agent *agent = agent_find(core, key);

    if (agent == NULL || core_agent_count(agent) == 0)
        return NULL;
    agent->refs++;
    agent->holds++;
    return agent;
}

void
core_agent_release(struct core *core, struct core_agent **agent)
{
    struct core_agent *it = STEAL(*agent);

    assert(it->refs > 0);
    assert(it->holds > 0);
    it->refs--;
    it->holds--;
    agent_settle(core, it);
}

/* ---- placing ------------------------------------------------------------------------------------------------------------------ */

/* The first COUNT of the records that count do so no more. Those that a start found stay as what a resend is compared with. */
static void
head_forget(struct core *core, struct core_agent *agent, size_t count)
{
    for (size_t i = 0; i < count; i++)
        record_count(core, &agent->records.at[agent->first + i], false);
    agent->first += count;
    agent->claimed = agent->claimed > count ? agent->claimed - count : 0;
    agent->syncing = agent->syncing > count ? agent->syncing - count : 0;
    if (core->is_finding)
        return;
    records_drop(&agent->records, agent->first);
    agent->found = agent->found > agent->first ? agent->found - agent->first : 0;
    agent->again_at = AGAIN_UNKNOWN;
    agent->first = 0;
}

static void
commit_place(struct core *core, struct core_agent *agent)
{
    const struct core_record *last = &agent->parts.at[agent->parts.count - 1];
    const bool is_next = core_agent_count(agent) == 0 || last->seq == agent_last_seq(agent) + 1;

    if ((last->flags & COMMIT_GONE) != 0) {
        records_forget(core, &agent->carried);
        agent->is_carrying = false;
        head_forget(core, agent, core_agent_count(agent));
        agent->is_broken = false;
    } else if (!is_next) {
        agent->is_broken = true;
    }
    for (size_t i = 0; i < agent->parts.count; i++)
        records_push(&agent->records, &agent->parts.at[i]);
    records_drop(&agent->parts, agent->parts.count);
}

static void
carry_place(struct core *core, struct core_agent *agent, const struct core_record *record, uint32_t marks)
{
    struct records tail = { 0 };
    size_t covered;

    if ((marks & MARK_CARRY_FIRST) != 0) {
        records_forget(core, &agent->carried);
        agent->carry_count = core_agent_count(agent);
        agent->is_carrying = true;
    }
    if (!agent->is_carrying)
        return;                            /* the start of it is lost: the originals count */
    records_push(&agent->carried, record);
    record_count(core, record, true);
    if ((marks & MARK_CARRY_LAST) == 0)
        return;
    agent->is_carrying = false;
    covered = agent->claimed;
    for (size_t i = agent->first + agent->carry_count; i < agent->records.count; i++)
        records_push(&tail, &agent->records.at[i]);
    for (size_t i = 0; i < agent->carry_count; i++)
        record_count(core, &agent->records.at[agent->first + i], false);
    free(agent->records.at);
    agent->records = agent->carried;
    agent->carried = (struct records){ 0 };
    for (size_t i = 0; i < tail.count; i++)
        records_push(&agent->records, &tail.at[i]);
    free(tail.at);
    agent->first = 0;
    agent->found = core->is_finding ? 0 : agent->found;
    agent->again_at = AGAIN_UNKNOWN;
    agent->claimed = covered;
}

void
agent_drop_parts(struct core *core, struct core_agent *agent)
{
    records_forget(core, &agent->parts);
}

void
agent_drop_carried(struct core *core, struct core_agent *agent)
{
    records_forget(core, &agent->carried);
    agent->is_carrying = false;
}

void
agent_place(struct core *core, struct core_agent *agent, const struct core_record *record, uint32_t marks)
{
    if ((marks & MARK_CARRY) != 0) {
        carry_place(core, agent, record, marks);
        return;
    }
    if (record->part == 0)
        agent_drop_parts(core, agent);
    if (record->part != agent->parts.count)
        return;                            /* parts before it are lost: the commit never was */
    records_push(&agent->parts, record);
    record_count(core, record, true);
    if ((record->flags & COMMIT_MORE) == 0)
        commit_place(core, agent);
}

/* ---- what a start finds ---------------------------------------------------------------------------------------------------------- */

/* A damaged record keeps its place, so that whoever asks for the agent learns of it, and that its segment stays. */
static void
damaged_place(struct core *core, struct core_agent *agent, const struct core_record *record)
{
    agent->is_broken = true;
    records_push(&agent->records, record);
    record_count(core, record, true);
}

void
core_found(struct core *core, uint32_t segment, const struct found_record *found)
{
    const struct core_key key = { found->record.app, found->record.class_name, found->record.agent };
    const struct core_record record = {
        .seq = found->record.seq, .segment = segment, .offset = found->offset, .length = found->length, .sum = found->sum,
        .part = found->record.part, .flags = found->record.flags & (COMMIT_MORE | COMMIT_GONE), .is_damaged = found->is_damaged,
    };
    struct core_agent *agent;

    core->is_finding = true;
    if (key.class_name.len == 0 || (found->record.flags & COMMIT_BASE) != 0)
        return;                            /* so damaged that it names nobody; or not kept */
    agent = agent_get(core, &key);
    if (found->is_damaged)
        damaged_place(core, agent, &record);
    else
        agent_place(core, agent, &record, found->marks);
}

void
core_found_all(struct core *core)
{
    size_t cursor = 0;
    struct bytes key;
    void *value;

    while (bmap_next(core->agents, &cursor, &key, &value)) {
        struct core_agent *agent = value;

        agent_drop_parts(core, agent);
        agent_drop_carried(core, agent);
        agent->found = agent->records.count;
        agent_settle(core, agent);
    }
    core->is_finding = false;
}

/* ---- claims and syncs ------------------------------------------------------------------------------------------------------------- */

void
core_claim(struct core *core, const struct core_key *key)
{
    struct core_agent *agent = agent_find(core, key);

    if (agent == NULL || core_agent_count(agent) == 0)
        return;
    agent->claimed = core_agent_count(agent);
    agent->is_asked = false;
    if (!list_is_linked(&agent->in_claimed))
        list_push_back(&core->claimed, &agent->in_claimed);
}

void
core_unclaim(struct core_agent *agent)
{
    if (agent == NULL)
        return;
    agent->claimed = agent->syncing = 0;
    list_remove(&agent->in_claimed);
}

bool
core_agent_is_under_way(const struct core *core, const struct core_key *key)
{
    const struct core_agent *agent = agent_find(core, key);

    return agent != NULL && agent->in_batch > 0;
}

bool
core_has_claims(const struct core *core)
{
    return !list_is_empty(&core->claimed);
}

void
core_sync_begin(struct core *core)
{
    struct core_agent *agent;

    list_each (agent, &core->claimed, struct core_agent, in_claimed)
        agent->syncing = agent->claimed;
}

void
core_sync_end(struct core *core, bool is_synced)
{
    struct core_agent *agent;

    list_each (agent, &core->claimed, struct core_agent, in_claimed) {
        if (!is_synced)
            agent->claimed = agent->syncing = 0;
        if (agent->holds > 0 || agent->is_carrying)
            agent->syncing = 0;            /* somebody reads them: the next sync forgets them */
        if (agent->syncing > 0) {
            head_forget(core, agent, agent->syncing);
            agent->is_broken = agent->is_broken && core_agent_count(agent) > 0;
        }
        agent->syncing = 0;
        if (agent->claimed == 0)
            list_remove(&agent->in_claimed);
        agent_settle(core, agent);
    }
}

void
core_suspects(const struct core *core, struct bytes app, void (*fn)(void *owner, const struct core_key *key), void *owner)
{
    size_t cursor = 0;
    struct bytes packed;
    void *value;

    while (bmap_next(core->agents, &cursor, &packed, &value)) {
        const struct core_agent *agent = value;
        const struct core_key key = core_agent_key(agent);

        if (core_agent_count(agent) > agent->claimed && bytes_equal(key.app, app))
            fn(owner, &key);
    }
}

/* ---- pinned segments ---------------------------------------------------------------------------------------------------------------- */

void
core_pinning(struct core *core, uint32_t segment, void (*fn)(void *owner, struct core_agent *agent), void *owner)
{
    size_t cursor = 0;
    struct bytes packed;
    void *value;

    while (bmap_next(core->agents, &cursor, &packed, &value)) {
        struct core_agent *agent = value;
        const size_t count = core_agent_count(agent);

        if (count > agent->claimed && core_agent_record(agent, 0)->segment == segment)
            fn(owner, agent);
    }
}

bool
core_agent_ask(struct core_agent *agent)
{
    const bool is_new = !agent->is_asked;

    agent->is_asked = true;
    return is_new;
}

uint32_t
core_carry_marks(const struct core_agent *agent, size_t i)
{
    return MARK_CARRY | (i == 0 ? MARK_CARRY_FIRST : 0) | (i + 1 == core_agent_count(agent) ? MARK_CARRY_LAST : 0);
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------ */

struct core *
core_create(void)
{
    struct core *core = calloc(1, sizeof *core);

    assert(core != NULL);
    core->agents = bmap_create();
    core->segments = umap_create();
    list_init(&core->claimed);
    list_init(&core->links);
    return core;
}

void
core_destroy(struct core **core)
{
    struct core *it = STEAL(*core);
    size_t cursor = 0;
    struct bytes packed;
    void *value;

    if (it == NULL)
        return;
    assert(list_is_empty(&it->links));
    while (bmap_next(it->agents, &cursor, &packed, &value)) {
        struct core_agent *agent = value;

        (void)bmap_take(it->agents, packed);
        agent_free(agent);
    }
    bmap_destroy(&it->agents);
    umap_destroy(&it->segments);
    free(it->batch);
    free(it);
}

static void
records_tally(struct umap *tally, const struct records *records, size_t first)
{
    for (size_t i = first; i < records->count; i++) {
        const uint32_t segment = records->at[i].segment;

        (void)umap_put(tally, segment, (void *)((uintptr_t)umap_get(tally, segment) + 1));
    }
}

void
core_check(const struct core *core)
{
    struct umap *tally = umap_create();
    size_t cursor = 0;
    size_t total = 0;
    struct bytes packed;
    uint64_t segment;
    void *value;

    while (bmap_next(core->agents, &cursor, &packed, &value)) {
        const struct core_agent *agent = value;

        assert(agent->first <= agent->records.count);
        assert(agent->claimed <= core_agent_count(agent));
        assert(agent->syncing <= agent->claimed);
        assert(agent->holds <= agent->refs);
        assert((agent->claimed > 0) <= list_is_linked(&agent->in_claimed));
        assert(agent->found <= agent->records.count);
        records_tally(tally, &agent->records, agent->first);
        records_tally(tally, &agent->parts, 0);
        records_tally(tally, &agent->carried, 0);
        total += core_agent_count(agent) + agent->parts.count + agent->carried.count;
    }
    assert(total == core->kept);
    assert(umap_count(tally) == umap_count(core->segments));
    cursor = 0;
    while (umap_next(tally, &cursor, &segment, &value))
        assert(umap_get(core->segments, segment) == value);
    umap_destroy(&tally);
}
