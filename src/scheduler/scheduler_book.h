/*
 * scheduler_book — the index of alarms on disk: a database of lib/store.
 *
 * Promise: what book_commit() returned true for is there after any crash. The index is derived (each alarm lives in its
 * agent's database), but whoever was told that an alarm is armed relies on it.
 */
#ifndef DORMOUSE_SCHEDULER_BOOK_H
#define DORMOUSE_SCHEDULER_BOOK_H

#include "lib/base/err.h"
#include "src/scheduler/scheduler_core.h"

struct book;

/* Opens the book in FOLDER and loads all alarms into CORE; NULL: that knows them already. */
MUST_USE bool book_open(struct book **out_book, const char *folder, struct core *core, struct err *err);
void book_close(struct book **book);
/* Writes the record of ALARM, or takes it off when the alarm is gone or taken back. Durable with the next commit. */
MUST_USE bool book_keep(struct book *book, const struct alarm *alarm, struct err *err);
MUST_USE bool book_commit(struct book *book, struct err *err);

#endif
