/*
 * backup_opens — do the databases of a backup open? Asks dormouse-check (src/check), which has none of our secrets and no network.
 */
#ifndef DORMOUSE_BACKUP_OPENS_H
#define DORMOUSE_BACKUP_OPENS_H

#include "lib/base/err.h"

struct opens;

/* Starts dormouse-check over the folder SCRATCH, which has the journal's segments of the backup. */
MUST_USE bool opens_start(struct opens **out_opens, const char *scratch, struct err *err);
void opens_end(struct opens **opens);

/* APP has agents. */
MUST_USE bool opens_app(struct opens *opens, const char *app, struct err *err);
/* The agent's files lie in the scratch folder. ERR_CORRUPT: its database does not open, or is damaged; ERR_LOST: nobody can say. */
MUST_USE bool opens_agent(struct opens *opens, const char *app, const char *class_name, const char *id, struct err *err);
/* Agents that only the journal has; FN is told those that do not open. Once, at the end. */
MUST_USE bool opens_rest(struct opens *opens, void (*fn)(void *owner, const char *what, const char *message), void *owner, struct err *err);

#endif
