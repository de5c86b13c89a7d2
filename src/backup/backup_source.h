/*
 * backup_source — the data folder of a node, running or not, while it is copied.
 *
 * Promise: from source_open() on the journal deletes nothing (the marker DATA/journal/hold), one backup of the folder runs at a time, and a
 * stopped node does not start. The law that makes a copy right (docs/decisions/010-backup.md): databases are copied between source_open(),
 * which notes the oldest segment, and source_cut(); then come the segments from that one up to the cut.
 */
#ifndef DORMOUSE_BACKUP_SOURCE_H
#define DORMOUSE_BACKUP_SOURCE_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct source;

/* SOCKET: the admin socket, asked only when the node runs. */
MUST_USE bool source_open(struct source **out_source, const char *data, const char *socket, struct err *err);
void source_close(struct source **source);
int  source_dir(const struct source *source);
bool source_is_live(const struct source *source);

/* Renews the marker when it is due. Called often. */
void source_tick(struct source *source);
/* False: we stood still for so long that the journal may have deleted what is needed. */
MUST_USE bool source_is_held(const struct source *source, struct err *err);

/* Ends the journal's segment: what was acknowledged before is on this side. */
MUST_USE bool source_cut(struct source *source, int64_t *out_cut_ms, struct err *err);
/* After the cut: calls FN with the path of each segment below the data folder, where it lies now. is_needed: the databases of the copy need
 * it; else it is history. ERR_UNAVAILABLE: one that is needed is gone. */
MUST_USE bool source_segments(struct source *source, bool (*fn)(void *owner, const char *path, const char *name, bool is_needed, struct err *err),
                              void *owner, struct err *err);

/* The names in folder PATH, sorted; an absent folder has none. The caller frees with names_free(). */
struct names { char **name; size_t count, cap; };
MUST_USE bool names_read(int dir, const char *path, struct names *out_names, struct err *err);
void names_free(struct names *names);

#endif
