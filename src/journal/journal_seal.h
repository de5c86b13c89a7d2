/*
 * journal_seal — the index of a full segment, written on a thread of its own so that commits go on meanwhile: packing and writing one of 94,000
 * records takes 7 to 14 ms.
 *
 * Promise: while it runs the segment can be read and told, not written, closed or sealed again.
 */
#ifndef DORMOUSE_JOURNAL_SEAL_H
#define DORMOUSE_JOURNAL_SEAL_H

#include "lib/base/err.h"

struct loop;
struct sealer;
struct segment;

/* FN is told in the loop when a segment's sealing has ended; failure NULL: it is sealed. */
MUST_USE bool sealer_create(struct sealer **out_sealer, struct loop *loop, void (*fn)(void *owner, const struct err *failure), void *owner, struct err *err);
/* Begins to seal SEGMENT, which nobody writes to any more; not while one is being sealed. */
void sealer_start(struct sealer *sealer, struct segment *segment);
const struct segment *sealer_segment(const struct sealer *sealer);   /* being sealed, or NULL */
/* Waits for it, and tells FN before it returns; FN may start the next. */
void sealer_finish(struct sealer *sealer);
void sealer_destroy(struct sealer **sealer);                          /* waits for the thread; FN is not told any more */

#endif
