/*
 * journal_core_test — the journal's knowledge without disk or links: numbers, tickets, generations, resends, claims, lives, copies; and
 * long random runs, in which a second core reads the log of the first at every restart and must know the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/journal/journal_core.h"

#define LOG_MAX  40000
#define AGENTS   6

/* The log as a disk would have it: durable records in order. */
struct entry { struct found_record found; uint32_t segment; unsigned agent; };

struct world {
    struct core      *core;
    struct core_link *link;
    uint64_t          ticket;
    uint32_t          generation;
    uint32_t          batch_bytes;
    uint32_t          segment, offset;
    struct entry     *log;
    size_t            log_count;
    struct entry      batch[64];
    size_t            batch_count;
};

static struct agent_id
id_of(unsigned n)
{
    struct agent_id id = { { 0 } };

    id.bytes[0] = (uint8_t)n;
    id.bytes[31] = 1;
    return id;
}

static struct core_key
key_of(unsigned n)
{
    return (struct core_key){ BYTES_LIT("shop"), BYTES_LIT("Counter"), id_of(n) };
}

static int
world_open(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    world->log = calloc(LOG_MAX, sizeof *world->log);
    world->core = core_create();
    world->link = core_link_up(world->core, BYTES_LIT("shop"));
    world->segment = 1;
    *state = world;
    return 0;
}

static int
world_close(void **state)
{
    struct world *world = *state;

    if (!core_batch_is_empty(world->core))
        core_batch_refused(world->core);
    core_link_down(world->core, &world->link);
    core_destroy(&world->core);
    free(world->log);
    free(world);
    return 0;
}

struct sent { unsigned agent; uint64_t seq; uint8_t flags; uint32_t sum; };

static enum core_verdict
send_as(struct world *world, const struct sent *sent, uint64_t ticket)
{
    struct err err = { 0 };
    const struct core_commit commit = {
        .key = key_of(sent->agent), .ticket = ticket, .seq = sent->seq, .generation = world->generation, .flags = sent->flags,
        .length = 100, .sum = sent->sum, .offset = world->batch_bytes,
    };
    const uint32_t part = core_link_part(world->link);
    enum core_verdict verdict = core_commit(world->core, world->link, &commit, &err);

    core_check(world->core);
    assert_int_equal(verdict == CORE_BROKEN, err.code == ERR_MALFORMED);
    if (verdict != CORE_APPEND)
        return verdict;
    assert_true(world->batch_count < 64);
    world->batch[world->batch_count++] = (struct entry){
        .found = { .record = { .app = BYTES_LIT("shop"), .class_name = BYTES_LIT("Counter"), .agent = id_of(sent->agent), .seq = sent->seq, .part = part,
                               .flags = sent->flags & (COMMIT_MORE | COMMIT_GONE) },
                   .offset = commit.offset, .length = 100, .sum = sent->sum },
        .agent = sent->agent,
    };
    world->batch_bytes += (uint32_t)record_stride(100);
    return verdict;
}

static enum core_verdict
send(struct world *world, const struct sent *sent)
{
    return send_as(world, sent, core_link_part(world->link) > 0 ? world->ticket : ++world->ticket);
}

static void
batch_durable(struct world *world)
{
    for (size_t i = 0; i < world->batch_count; i++) {
        struct entry *entry = &world->log[world->log_count++];

        assert_true(world->log_count < LOG_MAX);
        *entry = world->batch[i];
        entry->segment = world->segment;
        entry->found.offset += world->offset;
    }
    core_batch_durable(world->core, world->segment, world->offset);
    core_check(world->core);
    world->offset += world->batch_bytes;
    world->batch_bytes = 0;
    world->batch_count = 0;
}

static void
batch_refused(struct world *world)
{
    core_batch_refused(world->core);
    core_check(world->core);
    world->batch_bytes = 0;
    world->batch_count = 0;
}

static void
commit(struct world *world, unsigned agent, uint64_t seq)
{
    assert_int_equal(send(world, &(struct sent){ agent, seq, 0, (uint32_t)(seq * 100 + agent) }), CORE_APPEND);
}

/* A new journal reads the log. */
static void
restart(struct world *world)
{
    core_link_down(world->core, &world->link);
    core_destroy(&world->core);
    world->core = core_create();
    for (size_t i = 0; i < world->log_count; i++)
        core_found(world->core, world->log[i].segment, &world->log[i].found);
    core_found_all(world->core);
    core_check(world->core);
    world->link = core_link_up(world->core, BYTES_LIT("shop"));
    world->ticket = 0;
}

static size_t
kept(struct world *world, unsigned agent, uint64_t *out_last)
{
    const struct core_key key = key_of(agent);
    struct core_agent *held = core_agent_hold(world->core, &key);
    size_t count;

    *out_last = 0;
    if (held == NULL)
        return 0;
    count = core_agent_count(held);
    *out_last = core_agent_record(held, count - 1)->seq;
    core_agent_release(world->core, &held);
    core_check(world->core);
    return count;
}

static void
assert_kept(struct world *world, unsigned agent, size_t count, uint64_t last)
{
    uint64_t seq;

    assert_int_equal(kept(world, agent, &seq), count);
    assert_int_equal(seq, last);
}

static void
assert_told(struct world *world, uint64_t ticket)
{
    uint32_t generation;
    uint64_t told = 0;

    assert_int_equal(core_link_durable(world->link, &generation, &told), ticket != 0);
    assert_int_equal(told, ticket);
    assert_int_equal(generation * (ticket != 0), world->generation * (ticket != 0));
}

/* ---- numbers, tickets, generations ------------------------------------------------------------------------------------------ */

static void
a_ticket_is_durable_with_its_batch_and_not_before(void **state)
{
    struct world *world = *state;

    commit(world, 1, 1);
    commit(world, 2, 1);
    assert_told(world, 0);
    assert_kept(world, 1, 0, 0);
    batch_durable(world);
    assert_told(world, 2);
    assert_told(world, 0);
    assert_kept(world, 1, 1, 1);
}

static void
a_commit_is_durable_with_its_last_part(void **state)
{
    struct world *world = *state;

    commit(world, 1, 1);
    assert_int_equal(send(world, &(struct sent){ 1, 2, COMMIT_MORE, 20 }), CORE_APPEND);
    batch_durable(world);
    assert_told(world, 1);
    assert_kept(world, 1, 1, 1);
    assert_int_equal(send(world, &(struct sent){ 1, 2, COMMIT_MORE, 21 }), CORE_APPEND);
    batch_durable(world);
    assert_told(world, 0);
    assert_int_equal(send(world, &(struct sent){ 1, 2, 0, 22 }), CORE_APPEND);
    batch_durable(world);
    assert_told(world, 2);
    assert_kept(world, 1, 4, 2);
}

static void
what_breaks_the_rules_is_seen(void **state)
{
    struct world *world = *state;

    assert_int_equal(send(world, &(struct sent){ 1, 0, 0, 1 }), CORE_BROKEN);
    assert_int_equal(send(world, &(struct sent){ 1, 5, COMMIT_GONE, 1 }), CORE_BROKEN);
    assert_int_equal(send(world, &(struct sent){ 1, 0, COMMIT_GONE | COMMIT_MORE, 1 }), CORE_BROKEN);
    assert_int_equal(send(world, &(struct sent){ 1, 1, 64, 1 }), CORE_BROKEN);
    commit(world, 1, 7);                   /* the first that this journal hears of: any number */
    assert_int_equal(send(world, &(struct sent){ 1, 9, 0, 1 }), CORE_BROKEN);
    assert_int_equal(send(world, &(struct sent){ 1, 7, 0, 1 }), CORE_BROKEN);
    batch_durable(world);
    assert_int_equal(send(world, &(struct sent){ 1, 9, 0, 1 }), CORE_BROKEN);
    assert_int_equal(send(world, &(struct sent){ 1, 7, 0, 707 }), CORE_BROKEN);
    commit(world, 1, 8);
    assert_int_equal(send_as(world, &(struct sent){ 1, 9, 0, 1 }, world->ticket), CORE_BROKEN);      /* a ticket twice */
    assert_int_equal(send(world, &(struct sent){ 1, 9, COMMIT_MORE, 1 }), CORE_APPEND);
    assert_int_equal(send(world, &(struct sent){ 2, 9, 0, 1 }), CORE_BROKEN);                        /* another agent within a commit */
    assert_int_equal(send(world, &(struct sent){ 1, 10, 0, 1 }), CORE_BROKEN);
    assert_int_equal(send_as(world, &(struct sent){ 1, 9, 0, 1 }, world->ticket + 1), CORE_BROKEN);
    batch_durable(world);
    assert_kept(world, 1, 2, 8);
}

static void
a_refused_batch_leaves_no_trace(void **state)
{
    struct world *world = *state;
    uint32_t generation = 99;

    commit(world, 1, 1);
    assert_int_equal(send(world, &(struct sent){ 2, 1, COMMIT_MORE, 1 }), CORE_APPEND);
    batch_durable(world);
    assert_int_equal(send(world, &(struct sent){ 2, 1, 0, 2 }), CORE_APPEND);
    commit(world, 1, 2);
    commit(world, 3, 1);
    assert_int_equal(send(world, &(struct sent){ 3, 2, COMMIT_MORE, 2 }), CORE_APPEND);
    batch_refused(world);
    assert_true(core_link_refused(world->link, &generation));
    assert_int_equal(generation, 0);
    assert_false(core_link_refused(world->link, &generation));
    assert_told(world, 1);
    assert_kept(world, 1, 1, 1);
    assert_kept(world, 2, 0, 0);           /* its first part was durable; the commit is not */
    assert_kept(world, 3, 0, 0);
    assert_int_equal(core_agents(world->core), 1);
    assert_int_equal(send(world, &(struct sent){ 3, 2, 0, 2 }), CORE_DROP);     /* still in the pipe */
    assert_int_equal(send(world, &(struct sent){ 1, 3, 0, 2 }), CORE_DROP);
    world->generation = 1;
    commit(world, 1, 2);
    commit(world, 3, 1);
    batch_durable(world);
    assert_told(world, world->ticket);
    world->generation = 0;
    assert_int_equal(send(world, &(struct sent){ 1, 3, 0, 2 }), CORE_DROP);
}

/* ---- restarts and resends ---------------------------------------------------------------------------------------------------- */

static enum core_verdict
again(struct world *world, unsigned agent, uint64_t seq)
{
    return send(world, &(struct sent){ agent, seq, COMMIT_AGAIN | (seq == 0 ? COMMIT_GONE : 0), (uint32_t)(seq * 100 + agent) });
}

static void
a_resend_is_dropped_when_it_is_kept_and_counts(void **state)
{
    struct world *world = *state;

    for (uint64_t seq = 1; seq <= 4; seq++)
        commit(world, 1, seq);
    batch_durable(world);
    restart(world);
    assert_int_equal(again(world, 1, 3), CORE_DROP);
    assert_told(world, 1);                 /* durable since the start */
    assert_int_equal(again(world, 1, 4), CORE_DROP);
    assert_int_equal(again(world, 1, 5), CORE_APPEND);
    assert_told(world, 2);
    assert_int_equal(again(world, 1, 6), CORE_APPEND);
    commit(world, 1, 7);
    batch_durable(world);
    assert_told(world, 5);
    assert_kept(world, 1, 7, 7);
}

static void
a_resend_of_another_content_is_not_taken_for_the_kept_one(void **state)
{
    struct world *world = *state;

    commit(world, 1, 1);
    batch_durable(world);
    restart(world);
    assert_int_equal(send(world, &(struct sent){ 1, 1, COMMIT_AGAIN, 4711 }), CORE_BROKEN);
}

static void
resends_across_lives_are_recognised(void **state)
{
    struct world *world = *state;

    /* A5 GONE A1 arrived; all of it and A2 is sent again. */
    commit(world, 1, 5);
    assert_int_equal(send(world, &(struct sent){ 1, 0, COMMIT_GONE, 1 }), CORE_APPEND);
    commit(world, 1, 1);
    batch_durable(world);
    restart(world);
    assert_kept(world, 1, 2, 1);
    assert_int_equal(again(world, 1, 5), CORE_DROP);
    assert_int_equal(again(world, 1, 0), CORE_DROP);
    assert_int_equal(again(world, 1, 1), CORE_DROP);
    assert_int_equal(again(world, 1, 2), CORE_APPEND);
    batch_durable(world);
    assert_kept(world, 1, 3, 2);
}

static void
an_incomplete_commit_is_dropped_at_a_start(void **state)
{
    struct world *world = *state;

    commit(world, 1, 1);
    assert_int_equal(send(world, &(struct sent){ 1, 2, COMMIT_MORE, 20 }), CORE_APPEND);
    batch_durable(world);
    restart(world);
    assert_kept(world, 1, 1, 1);
    assert_int_equal(core_kept(world->core), 1);
    assert_int_equal(send(world, &(struct sent){ 1, 2, COMMIT_MORE | COMMIT_AGAIN, 20 }), CORE_APPEND);
    assert_int_equal(send(world, &(struct sent){ 1, 2, COMMIT_AGAIN, 21 }), CORE_APPEND);
    batch_durable(world);
    assert_kept(world, 1, 3, 2);
    restart(world);
    assert_kept(world, 1, 3, 2);
}

static void
a_commit_without_its_first_part_never_was(void **state)
{
    struct world *world = *state;
    const struct core_key key = key_of(1);
    struct core_agent *held;

    commit(world, 1, 1);
    assert_int_equal(send(world, &(struct sent){ 1, 2, COMMIT_MORE, 20 }), CORE_APPEND);
    assert_int_equal(send(world, &(struct sent){ 1, 2, 0, 21 }), CORE_APPEND);
    batch_durable(world);
    world->log[1] = world->log[2];         /* the first part is lost */
    world->log_count--;
    restart(world);
    assert_kept(world, 1, 1, 1);
    commit(world, 1, 2);
    commit(world, 1, 3);
    batch_durable(world);
    restart(world);
    assert_kept(world, 1, 3, 3);
    held = core_agent_hold(world->core, &key);
    assert_false(core_agent_is_broken(held));
    core_agent_release(world->core, &held);
}

static void
a_hole_breaks_its_agent_only(void **state)
{
    struct world *world = *state;
    const struct core_key broken = key_of(1), whole = key_of(2);
    struct core_agent *held;

    for (uint64_t seq = 1; seq <= 3; seq++) {
        commit(world, 1, seq);
        commit(world, 2, seq);
    }
    batch_durable(world);
    memmove(&world->log[2], &world->log[3], (world->log_count - 3) * sizeof world->log[0]);    /* agent 1's second commit is lost */
    world->log_count--;
    restart(world);
    held = core_agent_hold(world->core, &broken);
    assert_true(core_agent_is_broken(held));
    core_agent_release(world->core, &held);
    held = core_agent_hold(world->core, &whole);
    assert_false(core_agent_is_broken(held));
    core_agent_release(world->core, &held);
    core_claim(world->core, &broken);
    core_sync_begin(world->core);
    core_sync_end(world->core, true);
    core_check(world->core);
    assert_null(core_agent_hold(world->core, &broken));
}

/* ---- claims -------------------------------------------------------------------------------------------------------------------- */

static void
count_suspect(void *owner, const struct core_key *key)
{
    ++*(unsigned *)owner;
}

static unsigned
suspects(struct world *world)
{
    unsigned count = 0;

    core_suspects(world->core, BYTES_LIT("shop"), count_suspect, &count);
    return count;
}

static void
only_what_was_claimed_before_a_sync_began_is_forgotten(void **state)
{
    struct world *world = *state;
    const struct core_key key = key_of(1);

    commit(world, 1, 1);
    commit(world, 2, 1);
    batch_durable(world);
    assert_int_equal(suspects(world), 2);
    core_claim(world->core, &key);
    assert_int_equal(suspects(world), 1);
    core_sync_begin(world->core);
    commit(world, 1, 2);
    batch_durable(world);
    core_claim(world->core, &key);
    core_sync_end(world->core, true);
    core_check(world->core);
    assert_kept(world, 1, 1, 2);           /* the second was claimed too late for this sync */
    assert_int_equal(suspects(world), 1);
    core_sync_begin(world->core);
    core_sync_end(world->core, true);
    assert_kept(world, 1, 0, 0);
    assert_kept(world, 2, 1, 1);
}

static void
what_came_after_a_claim_is_not_covered_by_it(void **state)
{
    struct world *world = *state;
    const struct core_key key = key_of(1);

    commit(world, 1, 1);
    batch_durable(world);
    core_claim(world->core, &key);
    commit(world, 1, 2);
    batch_durable(world);
    assert_int_equal(suspects(world), 1);
    core_sync_begin(world->core);
    core_sync_end(world->core, true);
    core_check(world->core);
    assert_kept(world, 1, 1, 2);
}

static void
what_is_given_back_is_not_forgotten_by_a_sync_under_way(void **state)
{
    struct world *world = *state;
    const struct core_key key = key_of(1);
    struct core_agent *held;

    commit(world, 1, 1);
    batch_durable(world);
    core_claim(world->core, &key);
    core_sync_begin(world->core);
    held = core_agent_hold(world->core, &key);
    core_unclaim(held);
    core_agent_release(world->core, &held);
    core_sync_end(world->core, true);
    core_check(world->core);
    assert_kept(world, 1, 1, 1);
    assert_int_equal(suspects(world), 1);
    core_claim(world->core, &key);
    core_sync_begin(world->core);
    core_sync_end(world->core, true);
    assert_kept(world, 1, 0, 0);
}

static void
a_failed_sync_makes_claims_void(void **state)
{
    struct world *world = *state;
    const struct core_key key = key_of(1);

    commit(world, 1, 1);
    batch_durable(world);
    core_claim(world->core, &key);
    core_sync_begin(world->core);
    core_sync_end(world->core, false);
    core_check(world->core);
    assert_int_equal(suspects(world), 1);
    assert_false(core_has_claims(world->core));
    core_sync_begin(world->core);
    core_sync_end(world->core, true);
    assert_kept(world, 1, 1, 1);
}

static void
claims_outlive_their_link_and_gone_takes_them_back(void **state)
{
    struct world *world = *state;
    const struct core_key key = key_of(1);

    commit(world, 1, 1);
    batch_durable(world);
    core_claim(world->core, &key);
    core_link_down(world->core, &world->link);
    world->link = core_link_up(world->core, BYTES_LIT("shop"));
    world->ticket = 0;
    assert_int_equal(suspects(world), 0);
    core_sync_begin(world->core);
    assert_int_equal(send(world, &(struct sent){ 1, 0, COMMIT_GONE, 1 }), CORE_APPEND);
    batch_durable(world);
    core_sync_end(world->core, true);
    core_check(world->core);
    assert_kept(world, 1, 1, 0);           /* GONE itself was not claimed */
    assert_int_equal(suspects(world), 1);
    commit(world, 1, 1);
    batch_durable(world);
    assert_kept(world, 1, 2, 1);
}

static void
what_is_held_is_not_forgotten(void **state)
{
    struct world *world = *state;
    const struct core_key key = key_of(1);
    struct core_agent *held;

    commit(world, 1, 1);
    batch_durable(world);
    held = core_agent_hold(world->core, &key);
    core_claim(world->core, &key);
    core_sync_begin(world->core);
    core_sync_end(world->core, true);
    assert_int_equal(core_agent_count(held), 1);
    core_agent_release(world->core, &held);
    core_sync_begin(world->core);
    core_sync_end(world->core, true);
    assert_kept(world, 1, 0, 0);
}

/* ---- segments -------------------------------------------------------------------------------------------------------------------- */

static void
take_agent(void *owner, struct core_agent *agent)
{
    struct core_agent **out = owner;

    assert_null(*out);
    *out = agent;
}

/* Copies all records of AGENT into the batch, and into the log as a disk would have them. */
static void
carry(struct world *world, struct core_agent *agent, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct core_record *record = core_agent_record(agent, i);
        const struct core_key key = core_agent_key(agent);

        world->batch[world->batch_count++] = (struct entry){
            .found = { .record = { .app = BYTES_LIT("shop"), .class_name = BYTES_LIT("Counter"), .agent = key.agent, .seq = record->seq,
                                   .part = record->part, .flags = record->flags },
                       .offset = world->batch_bytes, .length = record->length, .sum = record->sum, .marks = core_carry_marks(agent, i) },
            .agent = key.agent.bytes[0],
        };
        core_carry(world->core, agent, i, world->batch_bytes);
        world->batch_bytes += (uint32_t)record_stride(record->length);
    }
}

static void
copies_count_when_the_last_one_is_durable(void **state)
{
    struct world *world = *state;
    struct core_agent *agent = NULL;

    for (uint64_t seq = 1; seq <= 3; seq++)
        commit(world, 1, seq);
    batch_durable(world);
    world->segment = 2;
    world->offset = 0;
    core_pinning(world->core, 1, take_agent, &agent);
    assert_non_null(agent);
    carry(world, agent, 0, 2);
    batch_durable(world);
    assert_int_equal(core_segment_kept(world->core, 1), 3);
    carry(world, agent, 2, 3);
    batch_durable(world);
    assert_int_equal(core_segment_kept(world->core, 1), 0);
    assert_int_equal(core_segment_kept(world->core, 2), 3);
    commit(world, 1, 4);
    batch_durable(world);
    assert_kept(world, 1, 4, 4);
    for (int with_originals = 1; with_originals >= 0; with_originals--) {
        restart(world);
        assert_kept(world, 1, 4, 4);
        assert_int_equal(core_segment_kept(world->core, 2), 4);
        memmove(world->log, world->log + 3 * with_originals, (world->log_count - 3 * (size_t)with_originals) * sizeof world->log[0]);
        world->log_count -= 3 * (size_t)with_originals;
    }
}

static void
copies_without_the_last_one_count_for_nothing(void **state)
{
    struct world *world = *state;
    struct core_agent *agent = NULL;

    for (uint64_t seq = 1; seq <= 3; seq++)
        commit(world, 1, seq);
    batch_durable(world);
    world->segment = 2;
    world->offset = 0;
    core_pinning(world->core, 1, take_agent, &agent);
    carry(world, agent, 0, 2);
    batch_durable(world);
    commit(world, 2, 1);
    batch_durable(world);
    restart(world);
    assert_kept(world, 1, 3, 3);
    assert_int_equal(core_segment_kept(world->core, 1), 3);
    assert_int_equal(core_segment_kept(world->core, 2), 1);
}

/* ---- random runs -------------------------------------------------------------------------------------------------------------------- */

static uint32_t seed;

static uint32_t
chance(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 10) % below;
}


/* One commit of a random agent, sometimes the end of it; the model counts records. */
static void
random_commit(struct world *world, uint64_t *last, size_t *count)
{
    const unsigned n = chance(AGENTS);
    const unsigned parts = chance(5) == 0 ? 1 + chance(3) : 1;

    if (chance(8) == 0) {
        assert_int_equal(send(world, &(struct sent){ n + 1, 0, COMMIT_GONE, 1 }), CORE_APPEND);
        last[n] = 0;
        count[n] = 1;
        return;
    }
    last[n]++;
    for (unsigned part = 0; part < parts; part++)
        assert_int_equal(send(world, &(struct sent){ n + 1, last[n], part + 1 < parts ? COMMIT_MORE : 0, chance(UINT32_MAX) }), CORE_APPEND);
    count[n] += parts;
}

static void
random_runs_agree_with_a_model_and_with_a_restart(void **state)
{
    struct world *world = *state;
    uint64_t last[AGENTS] = { 0 }, durable_last[AGENTS] = { 0 };
    size_t count[AGENTS] = { 0 }, durable_count[AGENTS] = { 0 };

    seed = 20;
    for (int step = 0; step < 3000; step++) {
        const unsigned commits = 1 + chance(6);

        for (unsigned i = 0; i < commits; i++)
            random_commit(world, last, count);
        if (chance(10) == 0) {
            batch_refused(world);
            world->generation++;
            memcpy(last, durable_last, sizeof last);
            memcpy(count, durable_count, sizeof count);
        } else {
            batch_durable(world);
            memcpy(durable_last, last, sizeof last);
            memcpy(durable_count, count, sizeof count);
        }
        world->segment += chance(20) == 0;
        if (chance(50) == 0) {
            restart(world);
            world->generation = 0;
        }
        for (unsigned n = 0; n < AGENTS; n++)
            assert_kept(world, n + 1, durable_count[n], durable_last[n]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_ticket_is_durable_with_its_batch_and_not_before, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_commit_is_durable_with_its_last_part, world_open, world_close),
        cmocka_unit_test_setup_teardown(what_breaks_the_rules_is_seen, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_refused_batch_leaves_no_trace, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_resend_is_dropped_when_it_is_kept_and_counts, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_resend_of_another_content_is_not_taken_for_the_kept_one, world_open, world_close),
        cmocka_unit_test_setup_teardown(resends_across_lives_are_recognised, world_open, world_close),
        cmocka_unit_test_setup_teardown(an_incomplete_commit_is_dropped_at_a_start, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_commit_without_its_first_part_never_was, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_hole_breaks_its_agent_only, world_open, world_close),
        cmocka_unit_test_setup_teardown(only_what_was_claimed_before_a_sync_began_is_forgotten, world_open, world_close),
        cmocka_unit_test_setup_teardown(what_came_after_a_claim_is_not_covered_by_it, world_open, world_close),
        cmocka_unit_test_setup_teardown(what_is_given_back_is_not_forgotten_by_a_sync_under_way, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_failed_sync_makes_claims_void, world_open, world_close),
        cmocka_unit_test_setup_teardown(claims_outlive_their_link_and_gone_takes_them_back, world_open, world_close),
        cmocka_unit_test_setup_teardown(what_is_held_is_not_forgotten, world_open, world_close),
        cmocka_unit_test_setup_teardown(copies_count_when_the_last_one_is_durable, world_open, world_close),
        cmocka_unit_test_setup_teardown(copies_without_the_last_one_count_for_nothing, world_open, world_close),
        cmocka_unit_test_setup_teardown(random_runs_agree_with_a_model_and_with_a_restart, world_open, world_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
