/*
 * journal_core — what the journal knows: which records are kept and where, what each worker was told, what may be forgotten.
 *
 * Promise: an agent's kept records are its whole commits in order, from the last GONE on; a record is forgotten only when a sync of the
 * databases that began after its agent's checkpoint has succeeded; a ticket is told to be durable only when it and all before it are.
 * Pure: no clock, no descriptor, no message; the shell (journal_shell.c) writes, syncs, sends and says here what came of it. Live commits
 * and the records that a start finds go through the same function, so that a restart knows what this process knew.
 */
#ifndef DORMOUSE_JOURNAL_CORE_H
#define DORMOUSE_JOURNAL_CORE_H

#include "lib/base/err.h"
#include "lib/base/list.h"
#include "src/journal/journal_segment.h"

struct core;
struct core_link;                          /* one worker's link */
struct core_agent;                         /* an agent with records, or with some under way */

struct core_key {
    struct bytes    app, class_name;
    struct agent_id agent;
};

struct core_record {                       /* one kept record */
    uint64_t seq;
    uint32_t segment, offset, length, sum, part;
    uint8_t  flags;                        /* enum commit_flag: MORE, GONE */
    bool     is_damaged;
};

struct core *core_create(void);
void core_destroy(struct core **core);
/* All invariants; for tests. */
void core_check(const struct core *core);

/* ---- what a start finds -------------------------------------------------------------------------------------------------- */
void core_found(struct core *core, uint32_t segment, const struct found_record *found);
void core_found_all(struct core *core);    /* commits without their last part are dropped */

/* ---- links ---------------------------------------------------------------------------------------------------------------- */
struct core_link *core_link_up(struct core *core, struct bytes app);
/* Only between batches. Its incomplete commit is dropped. */
void core_link_down(struct core *core, struct core_link **link);

/* ---- commits -------------------------------------------------------------------------------------------------------------- */
enum core_verdict {
    CORE_APPEND,                           /* it belongs to the batch now, with what was packed for it */
    CORE_DROP,                             /* of an old generation, or kept already; nothing is written */
    CORE_BROKEN,                           /* the worker does not follow the rules: close its link */
};
struct core_commit {
    struct core_key key;
    uint64_t ticket, seq;
    uint32_t generation;
    uint8_t  flags;                        /* enum commit_flag, AGAIN included */
    uint32_t length, sum;                  /* of the body as packed */
    uint32_t offset;                       /* in the batch */
};
uint32_t core_link_part(const struct core_link *link);               /* which part of its commit the link's next COMMIT is */
enum core_verdict core_commit(struct core *core, struct core_link *link, const struct core_commit *commit, struct err *err);

/* The batch was written to SEGMENT from OFFSET on and is durable / is not durable and never will be. */
void core_batch_durable(struct core *core, uint32_t segment, uint32_t offset);
void core_batch_refused(struct core *core);
bool core_batch_is_empty(const struct core *core);                   /* also of tickets: nothing to sync for */

/* What the link must be told: true once for each change. */
bool core_link_durable(struct core_link *link, uint32_t *out_generation, uint64_t *out_ticket);
bool core_link_refused(struct core_link *link, uint32_t *out_generation);

/* ---- recall ---------------------------------------------------------------------------------------------------------------- */
/* NULL: nothing is kept. A held agent's records stay as they are until it is released. */
struct core_agent *core_agent_hold(struct core *core, const struct core_key *key);
void core_agent_release(struct core *core, struct core_agent **agent);
size_t core_agent_count(const struct core_agent *agent);
const struct core_record *core_agent_record(const struct core_agent *agent, size_t i);
bool core_agent_is_broken(const struct core_agent *agent);           /* a commit is missing among its records */
struct core_key core_agent_key(const struct core_agent *agent);      /* borrowed */

/* ---- claims, syncs, suspects ------------------------------------------------------------------------------------------------ */
/* The agent's database holds all that is kept of it now. */
void core_claim(struct core *core, const struct core_key *key);
/* AGENT's records are given out to be applied again: that may take its database away first, or write older pages over newer ones, also
 * under a sync that is running. Nothing is forgotten before the agent is claimed anew. NULL is fine. */
void core_unclaim(struct core_agent *agent);
bool core_agent_is_under_way(const struct core *core, const struct core_key *key);   /* records of it are in the batch */
bool core_has_claims(const struct core *core);
void core_sync_begin(struct core *core);
/* is_synced: what was claimed when it began is forgotten. Else all claims are void. */
void core_sync_end(struct core *core, bool is_synced);
/* Calls FN for each agent of APP with records beyond its claim. */
void core_suspects(const struct core *core, struct bytes app, void (*fn)(void *owner, const struct core_key *key), void *owner);

/* ---- segments ---------------------------------------------------------------------------------------------------------------- */
size_t core_segment_kept(const struct core *core, uint32_t segment);  /* records in it that are needed */
size_t core_kept(const struct core *core);
uint64_t core_kept_bytes(const struct core *core);                   /* that these records take in their segments */
size_t core_agents(const struct core *core);
/* Calls FN for each agent whose oldest record is in SEGMENT, and is not claimed. FN may hold agents but change nothing else. */
void core_pinning(struct core *core, uint32_t segment, void (*fn)(void *owner, struct core_agent *agent), void *owner);
bool core_agent_ask(struct core_agent *agent);                       /* true once until it is claimed: ask for its checkpoint */
/* Record I of AGENT is in the batch again, at OFFSET: with the batch of the last one the copies count instead. */
void core_carry(struct core *core, struct core_agent *agent, size_t i, uint32_t offset);
uint32_t core_carry_marks(const struct core_agent *agent, size_t i);

#endif
