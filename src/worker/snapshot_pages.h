/*
 * snapshot_pages — pages that snapshots of one agent share: a snapshot of a large database writes only those that differ from what an earlier
 * one shows, into a pack of its own, and names the packs that have the rest (decision 011).
 *
 * Promise: a chain of packs, oldest first, makes the whole database: each page is as in the last pack that has it. A pack is never changed.
 * Whatever is wrong with a pack is found before its pages are used.
 */
#ifndef DORMOUSE_WORKER_SNAPSHOT_PAGES_H
#define DORMOUSE_WORKER_SNAPSHOT_PAGES_H

#include "src/worker/snapshot_file.h"

struct store;

struct snapshot_chain {
    size_t             count;
    struct snapshot_id packs[SNAPSHOT_PACKS_MAX];  /* named after the snapshots that they were made for, oldest first */
};

/* What the pages of a chain are known by. */
struct snapshot_known;
void snapshot_known_free(struct snapshot_known **known);

/* Where packs are: the folder, and whose. */
struct snapshot_place {
    const char      *folder;
    struct agent_id  agent;
};
#define SNAPSHOT_PACK_SUFFIX ".pages"

/* Reads what CHAIN's packs say of their pages. False: one cannot be used. */
MUST_USE bool snapshot_known_read(struct snapshot_known **out_known, const struct snapshot_place *place, const struct snapshot_chain *chain, struct err *err);

/* The pages of STORE that KNOWN, made of *CHAIN, does not have so already, as pack ID in *out_pack (empty: there are none), which then ends *CHAIN. Where
 * sharing would not pay, the pack has all, and is all of *CHAIN. KNOWN may be NULL: *CHAIN is not looked at. */
MUST_USE bool snapshot_pages_take(struct store *store, const struct snapshot_id *id, const struct agent_id *agent, const struct snapshot_known *known,
                                  struct snapshot_chain *chain, struct buf *out_pack, struct err *err);

/* Appends the page sets of CHAIN to OUT: in order they make the whole database. */
MUST_USE bool snapshot_pages_read(struct buf *out, const struct snapshot_place *place, const struct snapshot_chain *chain, struct err *err);

#endif
