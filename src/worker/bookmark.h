/*
 * bookmark — a state of an agent's database as a text: when it was asked for, and which state is meant.
 *
 * Texts order as the times do; of one time, as the commits do. "tttttttt-tttttttt-kkkkkkkk-nnn…": ms since 1970, enum recall_at_mode, number.
 */
#ifndef DORMOUSE_WORKER_BOOKMARK_H
#define DORMOUSE_WORKER_BOOKMARK_H

#include "lib/ipc/message.h"

#define BOOKMARK_BYTES 59                  /* without NUL */

struct bookmark {
    int64_t             time_ms;
    enum recall_at_mode mode;              /* TIME, COMMIT or UNDO */
    uint64_t            seq;               /* COMMIT: of the state's commit; 0: before the first */
};

void bookmark_print(const struct bookmark *bookmark, char out[BOOKMARK_BYTES + 1]);
MUST_USE bool bookmark_parse(struct bytes text, struct bookmark *out_bookmark);

#endif
