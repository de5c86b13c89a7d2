/*
 * recall — agents whose database file may lack commits that the journal has ("suspects"), and how they get them back.
 *
 * Promise: no database is opened before it is known whether it is a suspect, and a suspect's never without the journal's records.
 * Memory: one entry per suspect; the journal bounds their number, not the number of agents.
 */
#ifndef DORMOUSE_WORKER_RECALL_H
#define DORMOUSE_WORKER_RECALL_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct agent;
struct agent_id;
struct link;

void recall_init(void);
/* Whether AGENT's database must not be opened now: it is a suspect, or nobody knows yet. Its store is closed. */
bool recall_is_needed(const struct agent *agent);
/* The gateway has told which agents have sockets: one that started before would not know its own. */
bool recall_knows_sockets(void);
void recall_sockets_known(void);
/* Asks for AGENT's records, if there may be any; its state is AGENT_RECALLING until its store is open, or it failed. Then its queue goes on. */
void recall_begin(struct agent *agent);
void recall_forget(struct agent *agent);           /* takes its question back, if one is open */
void recall_suspect(struct agent *agent);          /* its file lacks commits from now on */
void recall_later(struct agent *agent);            /* a suspect that went: it is made whole in the background, not at once */
/* Tells the journal that the agent's file has every commit, as far as this worker knows; it is no suspect any more. */
void recall_vouch(const struct agent_id *id, struct bytes class_name);
void recall_journal_up(void);                      /* asks again */
MUST_USE bool recall_suspects(struct bytes payload, struct err *err);
MUST_USE bool recall_record(struct bytes payload, struct err *err);
MUST_USE bool recall_recalled(struct bytes payload, struct err *err);
MUST_USE bool recall_checkpoint_wanted(struct bytes payload, struct err *err);
/* A suspect whose records could not be had or used a short while ago is not asked for again yet: why; else ERR_NONE. */
enum err_code recall_failed(struct bytes class_name, const struct agent_id *id);
void recall_refuse(struct agent *agent, enum err_code failed);     /* tells who waits for it */
bool recall_is_suspect(struct bytes class_name, const struct agent_id *id);
/* If it is a suspect: the sweep makes it whole soon, or tries once more. */
void recall_sweep_again(struct bytes class_name, const struct agent_id *id);
/* Goes on with the sweep; true when the list is known and nothing is left of it to try. */
bool recall_sweep(void);

#endif
