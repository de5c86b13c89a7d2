/* control_shell — the room's callbacks: links come and go, messages arrive, everything else is in the nouns. */
#ifndef DORMOUSE_CONTROL_SHELL_H
#define DORMOUSE_CONTROL_SHELL_H

#include "lib/ipc/room.h"

extern const struct room_spec control_room;

#endif
