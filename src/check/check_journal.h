/*
 * check_journal — a journal of our own over copied segments: we are its supervisor, and a worker of each app.
 *
 * So the only reader of segments is the journal itself, also here. Nothing is ever claimed: it deletes nothing.
 */
#ifndef DORMOUSE_CHECK_JOURNAL_H
#define DORMOUSE_CHECK_JOURNAL_H

#include "lib/ipc/message.h"

struct journal;

/* Starts the program "dormouse-journal" beside ours over DATA/journal. Before the sandbox: it needs a new process. */
MUST_USE bool journal_start(struct journal **out_journal, const char *data, struct err *err);
void journal_end(struct journal **journal);

/* Makes us a worker of APP, and learns which of its agents have records. Done once per app. */
MUST_USE bool journal_join(struct journal *journal, const char *app, struct err *err);

struct records {
    struct buf pages;                      /* owned */
    uint64_t   last_seq;                   /* 0: there are none */
    bool       is_anew;                    /* the agent was deleted: what its file has does not count */
};
/* What the journal has of the agent, whose app was joined. ERR_CORRUPT: its records are damaged. Takes it off the list of agents left. */
MUST_USE bool journal_records(struct journal *journal, const char *app, const char *class_name, const struct agent_id *agent,
                              struct records *out_records, struct err *err);
/* An agent with records that was not asked for yet; the names are copies. False: none is left. */
struct left { char *app, *class_name; struct agent_id agent; };
bool journal_left(struct journal *journal, struct left *out_left);

#endif
