/*
 * control_agents — which agents exist: the folders on disk are the truth, the index of names is a hint.
 *
 * Promise: a page costs what it shows, not what exists; no table per agent in memory. Births are written in groups, so that a
 * thousand a second cost little; a crash may lose the names of the last ones, never the agents.
 */
#ifndef DORMOUSE_CONTROL_AGENTS_H
#define DORMOUSE_CONTROL_AGENTS_H

#include <jansson.h>

#include "lib/ipc/message.h"
#include "src/control/control_disk.h"

struct births;                     /* not yet written to the index */

struct births *births_create(const struct disk *disk);
void births_destroy(struct births **births);   /* writes what is left */
/* Remembers that the agent came (or went). APP is valid; class and name are anything. */
void births_add(struct births *births, const char *app, const struct msg_AGENT_BORN *born);
size_t births_count(const struct births *births);
/* Writes them down. A failure loses names from listings only; the first one is reported in err. */
bool births_write(struct births *births, struct err *err);

struct agents_query {
    const char *app;               /* valid */
    const char *class_name;        /* NULL: all */
    const char *after;             /* "CLASS/HEX", the cursor of the page before; NULL: from the start */
    size_t      limit;             /* 1 … LISTING_PAGE_MAX */
};
/* {"agents":[{"class","id","name"?}],"after"?: cursor}. A new object; NULL with err when the cursor is malformed. */
json_t *agents_page(const struct disk *disk, const struct agents_query *query, struct err *err);

/* A class name as a path part: letters, digits, '_' and '$' as they are, other bytes as %XX. OUT holds 3 × NAME_MAX_BYTES + 1. */
#define CLASS_PATH_BYTES (3 * NAME_MAX_BYTES + 1)
void class_to_path(struct bytes class_name, char out[CLASS_PATH_BYTES]);

#endif
