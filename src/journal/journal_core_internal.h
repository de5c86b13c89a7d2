/* journal_core_internal — what journal_core.c and journal_batch.c share. Not for others. */
#ifndef DORMOUSE_JOURNAL_CORE_INTERNAL_H
#define DORMOUSE_JOURNAL_CORE_INTERNAL_H

#include "lib/base/map.h"
#include "src/journal/journal_core.h"

#define AGAIN_UNKNOWN SIZE_MAX

struct records {
    struct core_record *at;
    size_t              count, cap;
};

struct core_agent {
    struct buf       key;                  /* id, u16 length of app, app, class */
    uint16_t         app_len;
    bool             is_broken;
    bool             is_asked;             /* for a checkpoint */
    bool             is_carrying;
    struct records   records;              /* from `first` on: those that count; before it: what a start found of an older life */
    size_t           first;
    size_t           found;                /* the first of them that a start found: what a resend is compared with */
    size_t           again_at;             /* the one of these that the next resend is, if it is kept; AGAIN_UNKNOWN: none was resent */
    struct records   parts;                /* of a commit whose last part is not there yet */
    struct records   carried;              /* copies that do not count yet */
    size_t           carry_count;          /* how many records they stand for */
    size_t           claimed;              /* of those that count, from the front: in db.sqlite, as the kernel has it */
    size_t           syncing;              /* of these: claimed when the sync under way began */
    unsigned         refs;                 /* links in the middle of a commit, and holds */
    unsigned         holds;
    unsigned         in_batch;
    uint64_t         batch_seq;            /* the last number in the batch; when in_batch > 0 */
    struct list_node in_claimed;           /* core.claimed, when claimed > 0 */
};

struct in_batch {
    struct core_agent *agent;
    struct core_record record;             /* offset: in the batch; segment: not known yet */
    uint32_t           marks;
};

struct core {
    struct bmap     *agents;               /* key → struct core_agent */
    struct umap     *segments;             /* number → how many records are kept in it */
    size_t           kept;
    uint64_t         kept_bytes;
    struct list_node claimed;
    struct list_node links;
    struct in_batch *batch;
    size_t           batch_count, batch_cap;
    size_t           batch_bases;          /* records in it that are bases: nothing of them is kept */
    bool             is_finding;           /* a start is reading */
};

struct core_link {
    struct list_node   in_core;
    struct buf         app;
    bool               has_generation;
    uint32_t           generation;
    bool               is_refused;         /* … and nothing more of it counts */
    bool               is_refusal_told;
    bool               is_in_batch;
    uint64_t           ticket_last;        /* of the last whole commit */
    uint64_t           ticket_durable, ticket_told;
    uint32_t           part;               /* of the commit under way; 0: none is */
    struct core_agent *agent;              /* … its agent, referenced */
    uint64_t           ticket, seq;        /* … its numbers */
    bool               is_base;            /* … it is COMMIT_BASE */
};

struct core_agent *agent_find(const struct core *core, const struct core_key *key);
struct core_agent *agent_get(struct core *core, const struct core_key *key);
void agent_settle(struct core *core, struct core_agent *agent);      /* frees it when nothing is left of it */
uint64_t agent_last_seq(const struct core_agent *agent);             /* 0 when there is none, or it is GONE */
void agent_place(struct core *core, struct core_agent *agent, const struct core_record *record, uint32_t marks);
void agent_drop_parts(struct core *core, struct core_agent *agent);
void agent_drop_carried(struct core *core, struct core_agent *agent);

#endif
