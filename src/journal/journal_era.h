/*
 * journal_era — a number that changes with every sync of the databases that failed, or whose end nobody knows.
 *
 * A failed syncfs() may drop pages that the next one takes for written. Workers say in which era they wrote what they claim, and compare the
 * era of a list of suspects with the one they knew. Promise: two journals of one node have the same era only when no sync failed between
 * them: the next number is in a file while a sync runs. That file is never synced: a power cut takes the workers with it.
 */
#ifndef DORMOUSE_JOURNAL_ERA_H
#define DORMOUSE_JOURNAL_ERA_H

#include "lib/base/err.h"

#define ERA_NAME "era"                     /* in the journal's folder */

struct era;

/* Never fails: where no file can be had, each start has a number of its own. */
struct era *era_open(const char *folder);
uint32_t era_now(const struct era *era);
/* Before a sync. False: the disk does not take the note; a sync must not begin now. */
MUST_USE bool era_sync_begin(struct era *era, struct err *err);
void era_sync_end(struct era *era, bool is_synced);
/* At the end of an orderly stop: nothing is left in the folder. */
void era_remove(struct era *era);

#endif
