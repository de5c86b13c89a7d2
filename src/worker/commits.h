/*
 * commits — this worker's side of the journal: commits on their way, and what becomes of them.
 *
 * Promise: every commit gets a ticket; tickets become durable in order; what was held for one is released when it is, or its agent is
 * reset when it never will be. A journal that dies gets again what it had not confirmed. Decision 007.
 */
#ifndef DORMOUSE_WORKER_COMMITS_H
#define DORMOUSE_WORKER_COMMITS_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct agent;
struct link;
struct store;

void commits_init(void);
/* Commits what AGENT wrote and sends it, with its alarm when that changed; agent.ticket is its ticket, when there was something. False: it is undone (store_commit). */
MUST_USE bool commits_commit(struct agent *agent, struct err *err);
/* Deletes AGENT's data: durable in the journal first, then its folder goes. Nothing is delivered meanwhile; then DONE(agent, err or NULL). */
void commits_send_gone(struct agent *agent, void (*done)(struct agent *agent, const struct err *err, void *owner), void *owner);
/* Sends all of FROM, which may be AGENT's store or another, as one: a base of the history (COMMIT_BASE), or AGENT's next commit SEQ, which
 * takes the place of all it has (COMMIT_RESTORED): its file lacks it from then on. False: nothing was sent. */
struct commits_image {
    struct store *from;
    uint8_t       flags;               /* enum commit_flag */
    uint64_t      seq;
    int64_t       alarm_ms;            /* with COMMIT_ALARM */
    void        (*done)(struct agent *agent, const struct err *err, void *owner);   /* it is durable, or never will be; NULL: nobody asks */
    void         *owner;
};
MUST_USE bool commits_send_image(struct agent *agent, const struct commits_image *image, struct err *err);
bool commits_is_durable(uint64_t ticket);
bool commits_are_durable(const struct agent *agent);   /* all of AGENT's */
bool commits_are_full(void);           /* too much under way: no new turns from outside */
bool commits_are_none(void);           /* nothing under way */
uint64_t commits_count(void);          /* since the start */
/* Copies the store's WAL into its file when it is not there yet, and tells the journal. False: not now; the store is as it was. */
bool commits_checkpoint(struct agent *agent);
/* Closes the store; what is not in its file will be recalled. */
void commits_close_store(struct agent *agent);

void commits_journal_up(struct link *journal);
void commits_journal_down(void);
/* DURABLE, REFUSED, SUSPECTS, RECORD, RECALLED (the last two go to history when it asked), CHECKPOINT_WANTED. */
MUST_USE bool commits_message(uint16_t type, struct bytes payload, struct err *err);

#endif
