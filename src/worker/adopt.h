/*
 * adopt — a database made elsewhere becomes all that an agent has, as its next commit: restores, rollbacks, clones.
 *
 * Promise: until that commit is durable nothing of it is seen and the agent has what it had; nothing is delivered to it meanwhile.
 */
#ifndef DORMOUSE_WORKER_ADOPT_H
#define DORMOUSE_WORKER_ADOPT_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct agent;
struct store;

/* AGENT is reset (its callers hear WHY), its database closed, and it stands still until adopt_end(). *out_seq: the number of the commit that
 * comes. False: not now; nothing happened. */
MUST_USE bool adopt_begin(struct agent *agent, const char *why, uint64_t *out_seq, struct err *err);

struct adoption {
    struct bytes records;              /* page sets that make the whole database; borrowed during the call */
    uint64_t     records_seq;          /* the number of the last of them */
    /* Changes the state before it is AGENT's; NULL: as it was. */
    bool       (*prepare)(struct store *store, void *owner, struct err *err);
    void       (*done)(struct agent *agent, const struct err *err, void *owner);   /* it is durable, or never will be: the caller says adopt_end() */
    void        *owner;
};
/* Between the two: sends it as commit SEQ, with the state's alarm. False: DONE is not called; the agent is as it was. */
MUST_USE bool adopt_send(struct agent *agent, uint64_t seq, const struct adoption *adoption, struct err *err);

/* The agent goes on, with the new state or, after FAILURE, as it was. Its queue does when it is pumped. */
void adopt_end(struct agent *agent, const struct err *failure);

#endif
