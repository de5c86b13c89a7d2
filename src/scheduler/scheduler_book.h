/*
 * scheduler_book — the index of alarms on disk: a database of lib/store.
 *
 * Promise: what book_commit() returned true for is there after any crash, together or not at all: rows, how far the feed was heard,
 * which apps were scanned. The index is derived (each alarm lives in its agent's database): a damaged book is begun anew.
 */
#ifndef DORMOUSE_SCHEDULER_BOOK_H
#define DORMOUSE_SCHEDULER_BOOK_H

#include "lib/base/err.h"
#include "src/scheduler/scheduler_core.h"
#include "src/scheduler/scheduler_scans.h"

struct book;

/* Opens the book in FOLDER and gives what it holds: all alarms into CORE, scanned apps into SCANS, and how far the feed was heard
 * (0: nothing yet). CORE NULL: they know it already. ERR_CORRUPT: CORE and SCANS may hold a part of it. */
MUST_USE bool book_open(struct book **out_book, const char *folder, struct core *core, struct scans *scans, uint64_t *out_lsn,
                        struct err *err);
void book_close(struct book **book);
/* At an orderly stop: all of it is in the file whose pages have checksums. What is not committed is undone. */
MUST_USE bool book_settle(struct book *book, struct err *err);
/* Takes the book in FOLDER away; it is not open. */
MUST_USE bool book_remove(const char *folder, struct err *err);
/* Writes the record of ALARM, or takes it off when the alarm is gone or taken back. Like all below durable with the next commit. */
MUST_USE bool book_keep(struct book *book, const struct alarm *alarm, struct err *err);
MUST_USE bool book_heard(struct book *book, uint64_t lsn, struct err *err);
MUST_USE bool book_scanned(struct book *book, struct bytes app, struct err *err);
/* No app counts as scanned. */
MUST_USE bool book_forget_scanned(struct book *book, struct err *err);
MUST_USE bool book_commit(struct book *book, struct err *err);

#endif
