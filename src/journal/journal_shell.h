/* journal_shell — the journal's effects: links, disk, the thread that syncs the databases. */
#ifndef DORMOUSE_JOURNAL_SHELL_H
#define DORMOUSE_JOURNAL_SHELL_H

#include "lib/ipc/room.h"

extern const struct room_spec journal_room;

#endif
