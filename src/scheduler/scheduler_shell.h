/* scheduler_shell — the scheduler's effects: links, timer, disk. */
#ifndef DORMOUSE_SCHEDULER_SHELL_H
#define DORMOUSE_SCHEDULER_SHELL_H

#include "lib/ipc/room.h"

extern const struct room_spec scheduler_room;

#endif
