/*
 * history — what an agent's database was: bases for the journal to keep, restores, bookmarks. Decision 009.
 *
 * Promise: a restore is one commit, durable and undone like any other; until it is durable, nothing of it is seen and the agent is as it was.
 */
#ifndef DORMOUSE_WORKER_HISTORY_H
#define DORMOUSE_WORKER_HISTORY_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "src/worker/bookmark.h"

struct agent;

void history_init(bool has_history);
/* AGENT is about to commit: sends a base of what it is now, when one is due. Between its last commit and the next. */
void history_before_commit(struct agent *agent);
void history_after_commit(struct agent *agent, size_t bytes);

/* Restores AGENT to BOOKMARK, after a reset; nothing is delivered to it meanwhile. Then DONE(agent, the bookmark to undo it or NULL, err or
 * NULL); the agent may go on after DONE. False with err: not now; nothing happened. */
typedef void history_done_fn(struct agent *agent, const struct bookmark *undo, const struct err *err, void *owner);
MUST_USE bool history_restore(struct agent *agent, const struct bookmark *bookmark, history_done_fn *done, void *owner, struct err *err);
/* Which commits there are, as the journal says it (RECALL_AT_LIST): DONE(text, err or NULL). */
typedef void history_list_fn(struct bytes lines, const struct err *err, void *owner);
MUST_USE bool history_list(struct agent *agent, history_list_fn *done, void *owner, struct err *err);

/* The store of AGENT was opened: does it say that a restore waits for the next session? */
void history_store_opened(struct agent *agent);
/* … in the middle of a session: does it wait since one that ended with its worker? */
bool history_is_late(struct agent *agent);
/* From the agent's code: its next session begins with BOOKMARK's state. Commits the turn's writes so far. Outside transactions. */
MUST_USE bool history_ask_restore(struct agent *agent, const struct bookmark *bookmark, struct err *err);
/* A session is over, or begins: true when a restore was begun, and nothing else may be. No heap. */
bool history_begin_session(struct agent *agent);

void history_journal_up(void);
bool history_is_asked(struct bytes payload);       /* RECORD, RECALLED: an answer to us, not to recall */
MUST_USE bool history_record(struct bytes payload, struct err *err);
MUST_USE bool history_recalled(struct bytes payload, struct err *err);

#endif
