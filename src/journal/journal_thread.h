/*
 * journal_thread — work that waits for the disk, done on a thread of its own so that commits go on meanwhile.
 *
 * Threads: one at a time, that does nothing but WORK; its end is told in the loop. What both sides touch is the thread's while it runs.
 */
#ifndef DORMOUSE_JOURNAL_THREAD_H
#define DORMOUSE_JOURNAL_THREAD_H

#include "lib/base/err.h"

struct loop;
struct disk_thread;

struct disk_work {
    void (*work)(void *owner);             /* on the thread, signals blocked */
    void (*done)(void *owner);             /* in the loop, afterwards; may start the next */
    void  *owner;
};
MUST_USE bool disk_thread_create(struct disk_thread **out_thread, struct loop *loop, struct disk_work work, struct err *err);
void disk_thread_start(struct disk_thread *thread);            /* not while it is running */
/* Waits for its end, when it runs, and tells it before it returns; the next may run then. */
void disk_thread_finish(struct disk_thread *thread);
bool disk_thread_is_running(const struct disk_thread *thread);
void disk_thread_destroy(struct disk_thread **thread);         /* waits for it */

#endif
