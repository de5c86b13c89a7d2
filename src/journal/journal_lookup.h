/*
 * journal_lookup — RECALL_ATs of one link: what agents' databases were, from all segments there are.
 *
 * A question is answered in slices: one segment's index, or LOOKUP_PASS_BYTES of records, per pass, so that batches go between.
 */
#ifndef DORMOUSE_JOURNAL_LOOKUP_H
#define DORMOUSE_JOURNAL_LOOKUP_H

#include "lib/ipc/link.h"
#include "src/journal/journal_log.h"

struct lookups;

struct lookups *lookups_create(struct log *log, struct link *link);   /* both borrowed */
void lookups_destroy(struct lookups **lookups);
/* False with err: it makes no sense, or more than RECALLS_PER_LINK_MAX wait. */
MUST_USE bool lookups_ask(struct lookups *lookups, struct bytes payload, struct err *err);
/* One slice. True: there is more to do, whether or not anything arrives. */
MUST_USE bool lookups_run(struct lookups *lookups);

#endif
