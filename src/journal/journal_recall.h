/*
 * journal_recall — RECALLs of one link, answered one after the other, as fast as its worker reads.
 */
#ifndef DORMOUSE_JOURNAL_RECALL_H
#define DORMOUSE_JOURNAL_RECALL_H

#include "lib/ipc/link.h"
#include "src/journal/journal_log.h"

struct recalls;

struct recalls *recalls_create(struct core *core, struct log *log, struct link *link);   /* all borrowed */
void recalls_destroy(struct recalls **recalls);
/* False with err at RECALLS_PER_LINK_MAX. */
MUST_USE bool recalls_ask(struct recalls *recalls, uint32_t request, const struct core_key *key, struct err *err);
/* Sends what the link takes; called in every pass, after everything received before was made durable or refused. */
void recalls_answer(struct recalls *recalls);

#endif
